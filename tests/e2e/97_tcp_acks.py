#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""kill -9 of the gateway at random moments while TCP devices send with sequence numbers: one asks for an acknowledgement
of each message, one for cumulative ones. Nothing acknowledged is lost, order holds [D-01 D-02 D-03].

TRUNKLINE_KILL_ROUNDS (5), TRUNKLINE_SEED (random) choose how often and when.
"""

import os
import random
import re
import socket
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support", "e2e"))

from gateway import Gateway, new_key  # noqa: E402
from harness import eventually, expect, main, note  # noqa: E402
from hub import Hub  # noqa: E402

ROUNDS = int(os.environ.get("TRUNKLINE_KILL_ROUNDS", "5"))
SEED = int(os.environ.get("TRUNKLINE_SEED", random.randrange(1 << 32)))
WINDOW = 50


class Sender(threading.Thread):
    """Says 1:…, 2:…; after a lost connection again from the first that lacks its "OK n"."""

    def __init__(self, port, cumulative):
        super().__init__(daemon=True)
        self.port, self.cumulative = port, cumulative
        self.acknowledged = 0
        self.connects = 0
        self.failure = None
        self.ending = threading.Event()

    def run(self):
        try:
            while not self.ending.is_set():
                try:
                    with socket.create_connection(("127.0.0.1", self.port), 5) as link:
                        self.connects += 1
                        self.converse(link)
                except OSError:
                    time.sleep(0.02)
        except Exception as failure:  # told by the main thread
            self.failure = failure

    def converse(self, link):
        link.settimeout(0.2)
        sent, rest = self.acknowledged, b""
        while not self.ending.is_set():
            while sent < self.acknowledged + WINDOW:
                sent += 1
                link.sendall(f"{sent}:{'x' * 100}\n".encode())
            try:
                data = link.recv(65536)
            except socket.timeout:
                continue
            if not data:
                return
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                number = int(re.fullmatch(rb"OK (\d+)", line).group(1))
                expected = number > self.acknowledged if self.cumulative else number == self.acknowledged + 1
                expect(expected and number <= sent, f"OK {number} after {self.acknowledged}, {sent} sent")
                self.acknowledged = number


def device_map(device, port, cumulative):
    return f"""[[device]]
id = "{device}"
tcp.listen = "127.0.0.1:{port}"
tcp.ack = "OK {{sequence}}\\n"
tcp.sequence = {{ match = '^(\\d+):' }}
tcp.cumulative = {str(cumulative).lower()}
"""


def body(scenario):
    note(f"{ROUNDS} rounds, TRUNKLINE_SEED={SEED}")
    chance = random.Random(SEED)
    ports = {"each": scenario.ports.take(), "cumulative": scenario.ports.take()}
    keys = {device: new_key() for device in ports}
    hub = Hub(scenario, keys)
    gateway = Gateway(scenario, hub, {name: device_map(name, port, name == "cumulative") for name, port in ports.items()}, keys)
    gateway.start()
    senders = {name: Sender(port, name == "cumulative") for name, port in ports.items()}
    for sender in senders.values():
        sender.start()
    for number in range(1, ROUNDS + 1):
        before = {name: sender.acknowledged for name, sender in senders.items()}
        eventually(lambda: all(sender.failure or sender.acknowledged > before[name] for name, sender in senders.items()),
                   "both devices go on")
        time.sleep(chance.uniform(0, 1.0))  # the random moment
        gateway.kill()
        note(f"round {number}: killed; acknowledged so far: "
             + ", ".join(f"{name} {sender.acknowledged}" for name, sender in senders.items()))
        gateway.start()
    before = {name: sender.acknowledged for name, sender in senders.items()}
    eventually(lambda: all(sender.failure or sender.acknowledged > before[name] for name, sender in senders.items()),
               "both devices go on after the last")
    for sender in senders.values():
        sender.ending.set()
    for name, sender in senders.items():
        sender.join(30)
        expect(sender.failure is None, f"{name}: {sender.failure}")

        def arrived(device=name):
            return [int(arrival["body"].split(":")[0]) for arrival in hub.arrivals(device)]

        eventually(lambda: set(range(1, sender.acknowledged + 1)) <= set(arrived()), f"{name}: all that was acknowledged is at the hub")
        numbers = arrived()
        seen = 0
        for value in numbers:
            expect(value <= seen + 1, f"{name}: {value} came before {seen + 1}")
            seen = max(seen, value)
        note(f"{name}: {sender.acknowledged} acknowledged, {len(numbers)} arrivals, {len(numbers) - len(set(numbers))} repeats, "
             f"{sender.connects} connections, none lost, in order")


if __name__ == "__main__":
    main("97_tcp_acks", body)
