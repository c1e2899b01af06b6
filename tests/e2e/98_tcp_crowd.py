#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A crowd at one listener of the daemon: many connections that are idle and then all talk, a storm of reconnections, a peer that sends
without an end mark and one that never reads. Memory stays bounded, nobody else waits, and nothing is left behind [D-01 D-06 I-01 R-01].

TRUNKLINE_LONG=1: 10 000 connections (as many as this shell may have), a storm of 5000, 1 GiB without an end.
"""

import os
import re
import resource
import selectors
import socket
import statistics
import struct
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support", "e2e"))

from gateway import Gateway, new_key  # noqa: E402
from harness import SOON, eventually, expect, main, note  # noqa: E402
from hub import Hub  # noqa: E402
from tcp_peers import memory_limit_kib  # noqa: E402

LONG = bool(os.environ.get("TRUNKLINE_LONG"))
CROWD, STORM, ENDLESS_MIB = (10_000, 5_000, 1024) if LONG else (200, 300, 32)
STORMY = 50  # devices that reconnect
PONG = 256
IN_A_FILE = 1000


def memory_kib(pid):
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
        return int(re.search(r"^Pss:\s+(\d+)", file.read(), re.M).group(1))


class Peer:
    def __init__(self, port, name):
        self.socket = socket.create_connection(("127.0.0.1", port), SOON)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.name = name
        self.say(f"REG {name}\n")

    def say(self, text):
        self.socket.sendall(text.encode())

    def hear(self, wanted):
        got = b""
        while len(got) < len(wanted):
            data = self.socket.recv(len(wanted) - len(got))
            expect(data, f"{self.name}: the connection ended")
            got += data
        expect(got == wanted, f"{self.name}: {got!r} instead of {wanted!r}")

    def ask(self):
        began = time.monotonic()
        self.say("reading\n")
        self.hear(b"K\n")
        return time.monotonic() - began

    def reset(self):
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()


def hear_all(peers, wanted):
    """The same from each of them, in any order."""
    with selectors.DefaultSelector() as ready:
        for peer in peers:
            ready.register(peer.socket, selectors.EVENT_READ, peer)
        left = len(peers)
        while left:
            events = ready.select(SOON)
            expect(events, f"{left} of {len(peers)} heard nothing")
            for key, _ in events:
                key.data.hear(wanted)
                ready.unregister(key.fileobj)
                left -= 1


def body(scenario):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    crowd = min(CROWD, hard - 1000)
    names = [f"d{number}" for number in range(crowd)] + [f"s{number}" for number in range(STORMY)] + ["endless", "deaf", "good"]
    keys = {name: new_key() for name in names}
    hub = Hub(scenario, {}, arguments=["--record", "count"])
    for name, key in keys.items():
        hub.ask("add_device", device=name, key=key)
    port = scenario.ports.take()
    maps = [f"""[[device]]
id = "{name}"
tcp.listen = "127.0.0.1:{port}"
tcp.identify = {{ by = "registration", match = '^REG (\\w+)$', answer = "H\\n" }}
tcp.ack = "K\\n"
tcp.heartbeat = {{ match = '^ping$', answer = "{'p' * (PONG - 1)}\\n" }}
""" for name in names]
    files = {f"crowd-{at}": "".join(maps[at:at + IN_A_FILE]) for at in range(0, len(maps), IN_A_FILE)}
    gateway = Gateway(scenario, hub, files, keys, hub_table='attach_rate = "off"\n', durability="process")
    gateway.cli("check")
    process = gateway.start()
    eventually(lambda: gateway.status() is not None, "the gateway answers", seconds=300)

    def arrivals():
        return hub.ask("status")["arrivals"]

    before = memory_kib(process.pid)
    peers = [Peer(port, f"d{number}") for number in range(crowd)]
    hear_all(peers, b"H\n")
    expect(gateway.metric("tcp_connections") == crowd, "all are connected")
    idle = memory_kib(process.pid)
    began = time.monotonic()
    for peer in peers:
        peer.say("x" * 200 + "\n")
    hear_all(peers, b"K\n")
    took = time.monotonic() - began
    eventually(lambda: arrivals() == crowd, "one message of each is at the hub", seconds=300)
    note(f"{crowd} connections: {(idle - before) / crowd:.1f} KiB each; then all talk, all acknowledged after {took:.1f} s, all at the hub")

    good = Peer(port, "good")
    good.hear(b"H\n")
    calm = statistics.median(good.ask() for _ in range(100))
    beside = []
    for number in range(STORM):
        stormy = Peer(port, f"s{number % STORMY}")
        if number % 3:
            stormy.hear(b"H\n")
        stormy.reset()
        if number % 25 == 0:
            beside.append(good.ask())
    eventually(lambda: gateway.metric("tcp_connections") == crowd + 1, "nothing is left of the storm")
    again = Peer(port, "s0")
    again.hear(b"H\n")
    again.ask()
    note(f"a storm of {STORM}: another device's acknowledgement {calm * 1000:.1f} ms before, {statistics.median(beside) * 1000:.1f} ms beside it")

    endless, deaf = Peer(port, "endless"), Peer(port, "deaf")
    endless.hear(b"H\n")
    deaf.hear(b"H\n")
    memory, beside, block, pings, swallowed = memory_kib(process.pid), [], "x" * (1 << 20), b"ping\n" * 10_000, 0
    deaf.socket.setblocking(False)
    for number in range(ENDLESS_MIB):
        endless.say(block)
        try:
            swallowed += deaf.socket.send(pings)
        except BlockingIOError:
            pass  # it is not read any more
        if number % 8 == 0:
            beside.append(good.ask())
    grown = memory_kib(process.pid) - memory
    expect(grown < memory_limit_kib(gateway.program, 8 * 1024), f"{grown} KiB more memory")
    expect(swallowed < 10 << 20, f"{swallowed} bytes of a peer that does not read were taken")
    eventually(lambda: gateway.metric("tcp_overlong_lines_total") == 1, "the endless line is counted once")
    endless.say("\nafter all\n")
    endless.hear(b"K\n")
    note(f"{ENDLESS_MIB} MiB without an end, and a peer that never reads (stopped after {swallowed >> 10} KiB): {grown} KiB more; beside them "
         f"{statistics.median(beside) * 1000:.1f} ms")
    expect(gateway.process.terminate(seconds=300) == 0, "the gateway did not end with 0 at SIGTERM")


if __name__ == "__main__":
    main("98_tcp_crowd", body)
