# SPDX-License-Identifier: Apache-2.0
"""Packages for scenarios in Node.js: what a lock file names, brought by npm once."""

import hashlib
import os
import shutil
import subprocess
import sys

from harness import note

SKIPPED = 77  # what ctest takes for it
FILES = ("package.json", "package-lock.json")


def packages(scenario, sources):
    """The node_modules folder of the lock file in `sources`; where it cannot be had, the scenario ends as skipped."""

    def skip(reason):
        note(f"{scenario}: skipped: {reason}")
        sys.exit(SKIPPED)

    for program in ("node", "npm"):
        if not shutil.which(program):
            skip(f"{program} is not installed")
    lock = b"".join(open(os.path.join(sources, name), "rb").read() for name in FILES)
    home = os.path.join(os.path.dirname(os.path.abspath(os.environ["TRUNKLINE_PREFIX"])), os.path.basename(sources))
    folder = os.path.join(home, hashlib.sha256(lock).hexdigest()[:16])
    if not os.path.exists(os.path.join(folder, "complete")):
        os.makedirs(folder, exist_ok=True)
        for name in FILES:
            shutil.copy(os.path.join(sources, name), folder)
        command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel", "error"]
        try:
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
        except subprocess.TimeoutExpired:
            skip("npm did not bring the packages within five minutes")
        if done.returncode != 0:
            lines = done.stderr.strip().splitlines() or ["no reason given"]
            skip(f"npm cannot bring the packages: {lines[0]}")
        open(os.path.join(folder, "complete"), "w").close()
    return os.path.join(folder, "node_modules")
