#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every warning and error of the daemon stands in packaging/OPERATIONS.md, so that who reads the journal finds what to do.

usage: check_events.py ROOT      prints what is missing, exit status 1 if there is something
"""

import os
import re
import sys

COVERED = ("gateway", "adapters", "identity", "config")
# An event may be chosen between two names.
CALL = re.compile(r"log::(?:warning|error)\(([^{;]*)[{;]")
NAME = re.compile(r'"([a-z]+(?:_[a-z]+)+)"')


def events_of(text):
    return {name for call in CALL.findall(text) for name in NAME.findall(call)}


def events_on(page):
    """The events in the first column of the page's tables, of which a row may name several."""
    rows = re.findall(r"^\| (`[^|]*) \|", page, re.M)
    return {name for row in rows for name in re.findall(r"`([a-z_]+)`", row)}


def main():
    root = os.path.abspath(sys.argv[1])
    with open(os.path.join(root, "packaging", "OPERATIONS.md"), encoding="utf-8") as file:
        page = events_on(file.read())
    found = {}
    for folder, _, names in os.walk(root):
        for name in names:
            path = os.path.relpath(os.path.join(folder, name), root)
            if not path.startswith(COVERED) or not name.endswith((".cc", ".h")):
                continue
            with open(os.path.join(root, path), encoding="utf-8") as file:
                for event in events_of(file.read()):
                    found[event] = path
    if not found:
        sys.exit("no event was found: the pattern is out of date")
    missing = sorted(set(found) - page)
    for event in missing:
        print(f"{found[event]}: {event} is not in packaging/OPERATIONS.md")
    sys.exit(1 if missing else 0)


if __name__ == "__main__":
    main()
