#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The official Node SDKs for devices and services, unmodified, against the simulator.

Skipped, with the reason, where node, npm or the packages cannot be had.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support", "e2e"))

from gateway import new_key  # noqa: E402
from harness import PATIENCE, expect, main, note  # noqa: E402
from hub import Hub  # noqa: E402

SKIPPED = 77  # what ctest takes for it
SOURCES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "node")
FILES = ("package.json", "package-lock.json")
DEVICE, MODULE = "node-1", "meter"


def skip(reason):
    note(f"70_node_sdk: skipped: {reason}")
    sys.exit(SKIPPED)


def packages():
    """The folder that has the packages of the lock file, installed there once."""
    for program in ("node", "npm"):
        if not shutil.which(program):
            skip(f"{program} is not installed")
    lock = b"".join(open(os.path.join(SOURCES, name), "rb").read() for name in FILES)
    home = os.path.join(os.path.dirname(os.path.abspath(os.environ["TRUNKLINE_PREFIX"])), "node-sdk")
    folder = os.path.join(home, hashlib.sha256(lock).hexdigest()[:16])
    if not os.path.exists(os.path.join(folder, "complete")):
        os.makedirs(folder, exist_ok=True)
        for name in FILES:
            shutil.copy(os.path.join(SOURCES, name), folder)
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


def body(scenario):
    device_key, module_key = new_key(), new_key()
    https = f"127.0.0.1:{scenario.ports.take()}"
    devices = {DEVICE: device_key, f"{DEVICE}/{MODULE}": module_key}
    hub = Hub(scenario, devices, name="node-hub", arguments=["--https", https])
    hub.ask("limits", feedback_delay_ms=100)
    facts = {**hub.facts, "device_key": device_key, "module_key": module_key}
    env = {**os.environ, "NODE_PATH": MODULES, "NODE_EXTRA_CA_CERTS": hub.ca_file}
    command = ["node", os.path.join(SOURCES, "checks.js"), json.dumps(facts)]
    sdk = scenario.start("node", command, env=env, echo=note)
    expect(sdk.wait(180 * PATIENCE) == 0, "a check of the SDKs did not hold")

    first = hub.arrivals(DEVICE)[0]
    expect(first["message_id"] == "node-telemetry" and first["body"] == '{"temperature":21.5}', f"it arrived as {first}")
    expect(first["properties"] == {"source": "sdk"} and first["content_type"] == "application/json", f"{first}")
    expect(hub.count(DEVICE) == 101 and hub.count(f"{DEVICE}/{MODULE}") == 1, "not every message arrived once")
    status = hub.ask("status")
    expect(status["method_answers_unmatched"] == 0, "an answer matched no call")
    expect(status["authorisation_errors"] == 0, "something was not authorised")


if __name__ == "__main__":
    MODULES = packages()
    main("70_node_sdk", body)
