#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The hub goes away under load and comes back: devices are served, nothing is lost or restarted [D-02 R-01].

TRUNKLINE_AWAY_SECONDS (10) says for how long.
"""

import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support", "e2e"))

from harness import eventually, expect, main, note  # noqa: E402
from plant import Plant  # noqa: E402

AWAY = float(os.environ.get("TRUNKLINE_AWAY_SECONDS", "10"))


def body(scenario):
    plant = Plant(scenario)
    plant.start_load()
    for device in plant.devices:
        plant.hub.wait_arrivals(device.device, 20)
    plant.hub.ask("listen", mode="refuse")
    plant.hub.ask("drop", how="rst")
    plant.hub.wait_connections(0)
    before = [plant.hub.count(device.device) for device in plant.devices]
    back = time.monotonic() + AWAY
    note(f"the hub is away for {AWAY:.0f} s")
    while time.monotonic() < back:
        plant.wait_progress(10)
        expect(plant.hub.connections_now() == 0, "the gateway is connected to a hub that is away")
    status = plant.gateway.status()
    expect(status["verdict"] != "ok", "status says ok while the hub is away")
    expect(status["safety"]["waiting"] > 0, f"nothing waits in the spool: {status['safety']}")
    note(f"{status['safety']['waiting']} messages wait; the hub is back")
    plant.hub.ask("listen", mode="accept")
    plant.hub.wait_connections(1)
    for device, count in zip(plant.devices, before):
        plant.hub.wait_arrivals(device.device, count + 20)
    plant.drain()
    plant.check()
    expect(plant.gateway.starts == 1 and plant.gateway.process.running(), "the gateway was restarted")
    expect(plant.tcp.connects == 1, f"the TCP device had to connect {plant.tcp.connects} times")
    eventually(lambda: plant.gateway.status()["verdict"] == "ok", "the verdict is ok again")


if __name__ == "__main__":
    main("30_hub_away", body)
