#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Holds the source tree to its layout: include direction, library borders, top-level names, licence lines, file length.

usage: check_structure.py ROOT      prints every breach as file:line: sentence, exit status 1 if there is one
"""

import os
import re
import subprocess
import sys

TOP_LEVEL = {
    "CMakeLists.txt", "gateway", "adapters", "identity", "config", "tests", "packaging", "README.md",
    "LICENSE", "CHANGELOG.md", "CONTRIBUTING.md", "CMakePresets.json",
}

# An include may only point to a lower level; folders of one level do not include each other.
LEVELS = {
    "gateway/base": 0,
    "gateway/net": 1,
    "gateway/core": 2,
    "gateway/mapping": 3,
    "config": 4,
    "adapters/mqtt": 5, "adapters/coap": 5, "adapters/tcp": 5, "identity": 5, "gateway/amqp": 5,
    "gateway/pipeline": 6, "gateway/hub": 6,
    "gateway/ops": 7, "gateway/service": 7,
    "gateway/cli": 8,
    "gateway/app": 9,
}

# The simulator states the hub's rules a second time, so it shares the transport with the product and nothing else.
HUBSIM_MAY_INCLUDE = {"gateway/base", "gateway/net", "gateway/amqp", "tests/hubsim"}

# Which product folders may include a library's headers: one place each, so that its exceptions and types stay there.
LIBRARIES = [
    (r"proton/", {"gateway/amqp", "gateway/hub"}),
    (r"mqtt/|MQTT\w*\.h$|mosquitto\w*\.h$|mqtt_protocol\.h$", {"adapters/mqtt"}),
    (r"coap3?/", {"adapters/coap"}),
    (r"sqlite3\.h$|SQLiteCpp/", {"identity", "gateway/pipeline"}),
    (r"toml\+\+/|toml\.hpp$", {"config"}),
    (r"CLI/", {"gateway/cli", "gateway/app"}),
    (r"spdlog/", {"gateway/base"}),
    (r"systemd/", {"gateway/ops", "gateway/app", "gateway/base"}),
]

SOURCE = re.compile(r"\.(cc|h)$")
LICENSED = re.compile(r"\.(cc|h|py)$")
LICENCE = "SPDX-License-Identifier: Apache-2.0"
INCLUDE = re.compile(r'^\s*#\s*include\s*(["<])([^">]+)[">]')
LONGEST = 600


def folder_of(path):
    """The folder with a level that a path belongs to, "tests/hubsim", or its top-level name."""
    parts = path.split("/")
    two = "/".join(parts[:2])
    return two if two in LEVELS or two == "tests/hubsim" else parts[0]


def check_include(path, kind, target):
    """What is wrong with this include, or nothing."""
    here, there = folder_of(path), folder_of(target)
    if kind == "<":
        if here not in LEVELS:
            return None
        for pattern, allowed in LIBRARIES:
            if re.match(pattern, target) and here not in allowed:
                return f"<{target}> belongs to {' and '.join(sorted(allowed))} only"
        return None
    if "/" not in target:
        return f'"{target}" is not written from the root of the tree'
    if here == "tests/hubsim":
        return None if there in HUBSIM_MAY_INCLUDE else f"tests/hubsim must not know {there}"
    if here not in LEVELS:
        return None  # tests may look at everything
    if there not in LEVELS:
        return f"product code must not include {there}"
    if there != here and LEVELS[there] >= LEVELS[here]:
        return f"{here} (level {LEVELS[here]}) must not include {there} (level {LEVELS[there]})"
    return None


def check_file(path, text):
    """Every breach in one file, as (line, sentence)."""
    breaches = []
    lines = text.split("\n")
    if LICENSED.search(path) and LICENCE not in "\n".join(lines[:3]):
        breaches.append((1, f"the first lines lack '{LICENCE}'"))
    if not SOURCE.search(path):
        return breaches
    length = len(lines) - (lines[-1] == "")
    if length > LONGEST:
        breaches.append((length, f"{length} lines; no file has more than {LONGEST}"))
    if path.endswith(".h") and "#pragma once" not in text:
        breaches.append((1, "a header without #pragma once"))
    parts = path.split("/")
    if parts[0] in ("gateway", "adapters") and len(parts) > 2 and folder_of(path) not in LEVELS:
        breaches.append((1, f"{'/'.join(parts[:2])} has no level in the layout"))
    for number, line in enumerate(lines, 1):
        found = INCLUDE.match(line)
        if found:
            wrong = check_include(path, found.group(1), found.group(2))
            if wrong:
                breaches.append((number, wrong))
    return breaches


def check_tree(root, paths):
    """Every breach in the tree, as "file:line: sentence"; `paths` are relative to the root."""
    report = []
    for name in sorted({path.split("/")[0] for path in paths}):
        if not name.startswith(".") and name not in TOP_LEVEL:
            report.append(f"{name}:1: not a name of the top level")
    for path in sorted(paths):
        if not LICENSED.search(path):
            continue
        with open(os.path.join(root, path), encoding="utf-8") as file:
            report += [f"{path}:{line}: {sentence}" for line, sentence in check_file(path, file.read())]
    return report


def files_of(root):
    """What git knows of, or without git all but dot folders and build folders; only what exists."""
    done = subprocess.run(
        ["git", "-c", f"safe.directory={root}", "-C", root, "ls-files", "--cached", "--others", "--exclude-standard"],
        capture_output=True, text=True, check=False,
    )
    if done.returncode == 0:
        return [path for path in done.stdout.splitlines() if os.path.isfile(os.path.join(root, path))]
    paths = []
    for folder, subfolders, names in os.walk(root):
        subfolders[:] = [name for name in subfolders if not name.startswith((".", "build")) and name != "__pycache__"]
        paths += [os.path.relpath(os.path.join(folder, name), root) for name in names]
    return paths


def main():
    root = os.path.abspath(sys.argv[1])
    report = check_tree(root, files_of(root))
    print("\n".join(report))
    sys.exit(1 if report else 0)


if __name__ == "__main__":
    main()
