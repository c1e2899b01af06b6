#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""kill -9 of the gateway at random moments under load, with reconnects, rejections and detached links mixed in:
nothing acknowledged is lost, order holds, the ledger balances [D-01 D-02 D-03 D-04 D-05].

TRUNKLINE_KILL_ROUNDS (5), TRUNKLINE_SEED (random) choose how often and when.
"""

import os
import random
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support", "e2e"))

from harness import expect, main, note  # noqa: E402
from plant import Plant  # noqa: E402

ROUNDS = int(os.environ.get("TRUNKLINE_KILL_ROUNDS", "5"))
SEED = int(os.environ.get("TRUNKLINE_SEED", random.randrange(1 << 32)))


def body(scenario):
    note(f"{ROUNDS} rounds, TRUNKLINE_SEED={SEED}")
    chance = random.Random(SEED)
    plant = Plant(scenario, rates=(300, 100, 300))
    plant.start_load()
    for number in range(1, ROUNDS + 1):
        trouble = plant.trouble(chance)
        if chance.random() < 0.25:
            time.sleep(chance.uniform(0, 0.4))  # the random moment: while it starts
        else:
            plant.wait_progress()
            time.sleep(chance.uniform(0, 1.5))  # the random moment: under load
        expect(plant.gateway.process.running(), "the gateway ended by itself")
        plant.gateway.kill()
        for device in plant.devices:
            device.gateway_died()
        acknowledged = ", ".join(f"{device.device} {device.acknowledged}" for device in plant.devices)
        note(f"round {number}: {trouble}, killed; acknowledged so far: {acknowledged}")
        plant.gateway.start()
    plant.wait_progress()
    plant.drain()
    plant.check(kills=ROUNDS)
    plant.check_ledger()


if __name__ == "__main__":
    main("20_kill_rounds", body)
