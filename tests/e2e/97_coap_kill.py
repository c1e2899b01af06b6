#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""kill -9 of the gateway in mid-flight of CoAP devices, two over DTLS (Mbed TLS) and one plain, on a network that delivers
each datagram twice: every 2.04 that a device saw is at the hub, and within one life of the gateway no request counts twice
[D-01 D-02 D-03].

TRUNKLINE_KILL_ROUNDS (3), TRUNKLINE_SEED (random) choose how often and when.
"""

import os
import random
import re
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support", "e2e"))

from coap_client import CoapLoad  # noqa: E402
from coap_relay import Relay  # noqa: E402
from gateway import Gateway, new_key  # noqa: E402
from harness import SOON, eventually, expect, main, note  # noqa: E402
from hub import Hub  # noqa: E402
from load import check_arrivals  # noqa: E402

ROUNDS = int(os.environ.get("TRUNKLINE_KILL_ROUNDS", "3"))
SEED = int(os.environ.get("TRUNKLINE_SEED", random.randrange(1 << 32)))
KEYS = {"meter-a": "the key of meter a", "meter-b": "the key of meter b"}


def repeated(gateway):
    found = re.search(r"^trunkline_coap_repeated_total (\d+)$", gateway.get("/metrics")[1], re.MULTILINE)
    return int(found.group(1))


def body(scenario):
    note(f"{ROUNDS} rounds, TRUNKLINE_SEED={SEED}")
    chance = random.Random(SEED)
    keys = {device: new_key() for device in ("plain", *KEYS)}
    hub = Hub(scenario, keys)
    keys.update({device: (keys[device], "", key) for device, key in KEYS.items()})
    plain_port, dtls_port = scenario.ports.take(), scenario.ports.take()
    maps = {device: f'[[device]]\nid = "{device}"\ncoap.telemetry = "/t"\ncoap.identity = "{device}"\n' for device in KEYS}
    maps["plain"] = '[[device]]\nid = "plain"\ncoap.telemetry = "/plain"\n'
    gateway = Gateway(scenario, hub, maps, keys, coap_port=plain_port,
                      coap_table=f'listen_dtls = "127.0.0.1:{dtls_port}"\n')
    gateway.start()
    eventually(lambda: (gateway.status() or {}).get("verdict") == "ok", "trunkline status says ok")
    relays = {device: Relay(scenario, device, dtls_port, "psk", device, key) for device, key in KEYS.items()}
    loads = [CoapLoad("plain", plain_port, "/plain", 100, copies=2)]
    loads += [CoapLoad(device, relay.port, "/t", 100, copies=2) for device, relay in relays.items()]
    for load in loads:
        load.start()
    recognised = 0
    for number in range(1, ROUNDS + 1):
        goals = [(load, load.acknowledged + 20) for load in loads]
        for load, goal in goals:
            load.wait_acknowledged(goal)
        recognised += repeated(gateway)
        time.sleep(chance.uniform(0, 0.5))  # the random moment
        gateway.kill()
        for relay in relays.values():
            relay.restart()
        for load in loads:
            load.gateway_died()
        note(f"round {number}: killed; acknowledged: " + ", ".join(f"{load.device} {load.acknowledged}" for load in loads))
        gateway.start()
    for load in loads:
        load.wait_acknowledged(load.acknowledged + 20)
        load.finish()
    recognised += repeated(gateway)
    eventually(lambda: (gateway.status() or {}).get("safety", {}).get("waiting") == 0, "nothing waits", 2 * SOON)
    for load in loads:
        # One request at a time: at each kill the device cannot know whether that one arrived.
        result = check_arrivals(load.device, hub.arrivals(load.device), load.sent, ROUNDS + load.unexplained_repeats)
        note(f"{load.device}: " + ", ".join(f"{count} {what}" for what, count in result.items()))
    sessions = {device: relay.sessions() for device, relay in relays.items()}
    expect(all(count > ROUNDS for count in sessions.values()), f"not every life had a session: {sessions}")
    expect(recognised > 20 * ROUNDS, f"only {recognised} repeated datagrams were recognised")
    note(f"{recognised} repeated datagrams were recognised; sessions {sessions}")
    expect(gateway.process.terminate() == 0, "the gateway did not end with 0 at SIGTERM")


if __name__ == "__main__":
    main("97_coap_kill", body)
