#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Ten thousand messages that the broker held come back at the reconnection, and the gateway is killed in the midst of them,
three times: all are at the hub, in order, and the ledger balances [D-01 D-02 D-03 D-05].

TRUNKLINE_HELD (10000) and TRUNKLINE_SEED (random) choose how many and when.
"""

import json
import os
import random
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support", "e2e"))

from broker import Broker  # noqa: E402
from gateway import Gateway, new_key  # noqa: E402
from harness import SOON, eventually, expect, main, note  # noqa: E402
from hub import Hub  # noqa: E402
from load import check_arrivals  # noqa: E402
from mqtt_client import MqttLoad  # noqa: E402

HELD = int(os.environ.get("TRUNKLINE_HELD", "10000"))
SEED = int(os.environ.get("TRUNKLINE_SEED", random.randrange(1 << 32)))
KILLS = 3
DEVICE = "boiler"


def body(scenario):
    note(f"{HELD} messages, {KILLS} kills, TRUNKLINE_SEED={SEED}")
    chance = random.Random(SEED)
    keys = {DEVICE: new_key()}
    broker = Broker(scenario)
    hub = Hub(scenario, keys)
    maps = {DEVICE: f'[[device]]\nid = "{DEVICE}"\nmqtt.telemetry = "plant/boiler/state"\n'}
    # A kill cannot tell "process" from "power", and this way it does not take the time of ten thousand syncs.
    gateway = Gateway(scenario, hub, maps, keys, broker=broker, durability="process")
    gateway.start()
    broker.wait_subscribed("trunkline", ["plant/boiler/state"])
    expect(gateway.process.terminate() == 0, "the gateway did not end with 0 at SIGTERM")

    load = MqttLoad(DEVICE, broker.port, "plant/boiler/state", rate=1_000_000, window=200, padding=150)
    load.start()
    eventually(lambda: load.sent >= HELD, f"{HELD} messages are published", 3 * SOON)
    load.finish()
    note(f"the broker acknowledged {load.sent} messages while the gateway was away")

    for kill in range(KILLS):
        gateway.start()
        goal = int(load.sent * (kill + chance.uniform(0.2, 0.8)) / (KILLS + 1))
        hub.wait_arrivals(DEVICE, max(goal, 1), 3 * SOON)
        expect(gateway.process.running(), "the gateway ended by itself")
        gateway.kill()
        acknowledged = broker.process.count_lines(r"Received PUBACK from trunkline")
        note(f"killed with {hub.count(DEVICE)} arrivals at the hub and {acknowledged} acknowledged to the broker")
    expect(acknowledged < load.sent, "the kills came after the replay; nothing is shown")
    gateway.start()
    records = []

    def all_there():
        records.extend(hub.arrivals(DEVICE, records[-1]["index"] if records else 0))
        waiting = (gateway.status() or {}).get("safety", {}).get("waiting")
        return len({record["body"] for record in records}) >= load.sent and waiting == 0

    eventually(all_there, "every message is at the hub and nothing waits in the spool", 3 * SOON, 0.3)
    redelivered = broker.process.count_lines(r"Sending PUBLISH to trunkline \(d1,")
    result = check_arrivals(DEVICE, records, load.sent, redelivered)
    note(f"{redelivered} redelivered by the broker; " + ", ".join(f"{count} {what}" for what, count in result.items()))
    ledger = json.loads(gateway.cli("ledger", "--json").stdout)
    expect('"unaccounted": 0' in json.dumps(ledger), f"the ledger shows no balance: {ledger}")
    expect(gateway.process.terminate() == 0, "the gateway did not end with 0 at SIGTERM")


if __name__ == "__main__":
    main("92_mqtt_replay", body)
