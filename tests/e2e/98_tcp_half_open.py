#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A serial server of one slot in a network of its own, which is cut without a FIN: the gateway finds it within the
configured time, never holds a second connection, and is back when the network is [R-01].

Needs the right to make a network namespace; without it the scenario is not run (exit status 77).
"""

import os
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support", "e2e"))

from gateway import Gateway, new_key  # noqa: E402
from harness import eventually, expect, main, note  # noqa: E402
from hub import Hub  # noqa: E402

NAME = f"tl{os.getpid() % 100000}"
HERE, THERE = "10.231.77.1", "10.231.77.2"
PORT = 4001
DEAD_AFTER = 4

# Serves one peer at a time, as serial servers do: a second one waits until the first is gone.
SERVER = f"""
import socket, sys
host = socket.socket(); host.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
host.bind(("{THERE}", {PORT})); host.listen(4)
print("listening", flush=True)
while True:
    link, peer = host.accept()
    print("slot taken by", peer[1], flush=True)
    link.settimeout(0.5)
    try:
        while True:
            link.sendall(b"tick\\n")
            try:
                if not link.recv(100): break
            except socket.timeout:
                pass
    except OSError as error:
        print("lost", error, flush=True)
    link.close()
    print("slot free", flush=True)
"""


def ip(*arguments):
    return subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)


def make_network(scenario):
    if ip("netns", "add", NAME).returncode != 0:
        return False
    scenario.on_exit(lambda: ip("netns", "del", NAME))
    steps = [
        ("link", "add", NAME, "type", "veth", "peer", "name", "eth0", "netns", NAME),
        ("addr", "add", f"{HERE}/30", "dev", NAME), ("link", "set", NAME, "up"),
        ("-n", NAME, "addr", "add", f"{THERE}/30", "dev", "eth0"), ("-n", NAME, "link", "set", "eth0", "up"),
    ]
    return all(ip(*step).returncode == 0 for step in steps)


def held():
    """Our connections to the server, whatever their state but closed ones."""
    there = "".join(f"{int(part):02X}" for part in reversed(THERE.split("."))) + f":{PORT:04X}"
    with open("/proc/net/tcp", encoding="ascii") as table:
        rows = [line.split() for line in table.readlines()[1:]]
    # 01 established, 02 SYN sent; orphans that only time out hold nothing of ours.
    return sum(1 for row in rows if row[2] == there and row[3] in ("01", "02") and row[9] != "0")


def body(scenario):
    if not make_network(scenario):
        print("98_tcp_half_open: no right to make a network namespace here")
        sys.exit(77)
    server = scenario.start("serial-server", ["ip", "netns", "exec", NAME, sys.executable, "-c", SERVER])
    server.wait_line("listening")
    keys = {"meter-1": new_key()}
    hub = Hub(scenario, keys)
    gateway = Gateway(scenario, hub, {"meter": f"""[[device]]
id = "meter-1"
tcp.connect = "{THERE}:{PORT}"
tcp.dead_after = "{DEAD_AFTER}s"
tcp.silence = "{DEAD_AFTER}s"
tcp.retry = "1s"
tcp.bind = "{HERE}"
"""}, keys)
    gateway.start()
    hub.wait_arrivals("meter-1", 2)
    most = 0

    def until(question, what, seconds=60):
        nonlocal most
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            most = max(most, held())
            if question():
                return
            time.sleep(0.02)
        expect(False, f"not within {seconds} s: {what}")

    for number in range(1, 3):
        until(lambda: held() == 1, "the slot is ours")
        # Packets still go there, and nobody answers: no FIN, no RST, no error.
        ip("-n", NAME, "addr", "del", f"{THERE}/30", "dev", "eth0")
        cut = time.monotonic()
        lost = gateway.process.count_lines("device_disconnected")
        until(lambda: gateway.process.count_lines("device_disconnected") > lost, "the loss is noticed", 30)
        took = time.monotonic() - cut
        # Half a second between its messages, and slow machines.
        expect(took < DEAD_AFTER + 5, f"the cut was found after {took:.1f} s, tcp.silence is {DEAD_AFTER} s")
        ip("-n", NAME, "addr", "add", f"{THERE}/30", "dev", "eth0")
        count = hub.count("meter-1")
        until(lambda: hub.count("meter-1") > count + 1, "readings again", 60)
        note(f"cut {number}: found after {took:.1f} s, back after {time.monotonic() - cut:.1f} s")
    expect(most == 1, f"{most} connections to the serial server at one time")
    note("never more than one connection or attempt")


if __name__ == "__main__":
    main("98_tcp_half_open", body)
