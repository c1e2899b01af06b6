#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The official Node SDKs for devices and services, unmodified, against the simulator.

Skipped, with the reason, where node, npm or the packages cannot be had.
"""

import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support", "e2e"))

from gateway import new_key  # noqa: E402
from harness import PATIENCE, expect, main, note  # noqa: E402
from hub import Hub  # noqa: E402
from node_packages import packages  # noqa: E402

SOURCES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "node")
DEVICE, MODULE = "node-1", "meter"


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
    MODULES = packages("70_node_sdk", SOURCES)
    main("70_node_sdk", body)
