#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Serial servers of one slot in a network of their own, which is cut without a FIN [R-01]. What finds the cut is set for each of them
alone, and named in the log: keepalive on an idle line and the user timeout of what was sent (both tcp.dead_after), or tcp.silence.
Never a second connection, back when the network is; our own address and interface are the ones that the maps say.

Needs the right to make a network namespace; without it the scenario is not run (exit status 77).
"""

import os
import re
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support", "e2e"))

from gateway import Gateway, new_key  # noqa: E402
from harness import expect, main, note  # noqa: E402
from hub import Hub  # noqa: E402

NAME = f"tl{os.getpid() % 100000}"
HERE, ALSO_HERE, THERE = "10.231.77.1", "10.231.77.3", "10.231.77.2"
SHORT, LONG = 4, 90

# Serves one peer at a time, as serial servers do: a second one waits until the first is gone.
SERVER = f"""
import os, socket, threading
def say(text): os.write(1, (text + "\\n").encode())
def serve(host, port, talks):
    while True:
        link, peer = host.accept()
        say(f"slot {{port}} taken by {{peer[0]}}")
        link.settimeout(0.5)
        # Its alive check, which frees a slot whose holder has gone.
        link.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in ((socket.TCP_KEEPIDLE, 2), (socket.TCP_KEEPINTVL, 1), (socket.TCP_KEEPCNT, 3)):
            link.setsockopt(socket.IPPROTO_TCP, option, value)
        try:
            link.sendall(b"hello\\n")
            while True:
                if talks: link.sendall(b"tick\\n")
                try:
                    data = link.recv(100)
                    if not data: break
                    link.sendall(data)
                except socket.timeout:
                    pass
        except OSError as error:
            say(f"lost {{error}}")
        link.close()
for number in range(3):
    host = socket.socket(); host.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    host.setsockopt(socket.IPPROTO_IP, 15, 1)  # IP_FREEBIND: the cable comes later
    host.bind(("{THERE}", 4001 + number)); host.listen(4)
    threading.Thread(target=serve, args=(host, 4001 + number, number == 1)).start()
say("listening")
"""


class Meter:
    """A device, what shall find its cut, and how the log says so."""

    def __init__(self, number, options, reason, own):
        self.device, self.port = f"meter-{number}", 4000 + number
        self.options, self.reason, self.own = options, reason, own
        self.most = 0
        self.found = None

    def map(self):
        return f"""[[device]]
id = "{self.device}"
tcp.connect = "{THERE}:{self.port}"
tcp.retry = "1s"
{self.options}
"""

    def held(self):
        """How many connections to its server we have. The kernel's table is long and read in pieces, so one that went while it was
        read may stand there beside the next: what is held at one time is in two readings."""
        seen = self._sockets()
        return len(seen) if len(seen) < 2 else len(seen & self._sockets())

    def _sockets(self):
        """Our connections to its server, whatever their state but closed ones."""
        there = "".join(f"{int(part):02X}" for part in reversed(THERE.split("."))) + f":{self.port:04X}"
        with open("/proc/net/tcp", encoding="ascii") as table:
            rows = [line.split() for line in table.readlines()[1:]]
        # 01 established, 02 SYN sent; orphans that only time out hold nothing of ours.
        return {(row[1], row[9]) for row in rows if row[2] == there and row[3] in ("01", "02") and row[9] != "0"}


METERS = [
    Meter(1, f'tcp.dead_after = "{SHORT}s"\ntcp.bind = "{HERE}"', "timed out", HERE),  # idle: keepalive
    Meter(2, f'tcp.dead_after = "{LONG}s"\ntcp.silence = "{SHORT}s"\ntcp.bind = "{NAME}"', "nothing was heard for tcp.silence", HERE),
    Meter(3, f'tcp.dead_after = "{SHORT}s"\ntcp.probe = {{ send = "are you there\\n", every = "1s", timeout = "{LONG}s" }}\n'
             f'tcp.bind = "{ALSO_HERE}"', "timed out", ALSO_HERE),  # bytes are on their way: user timeout
]


def ip(*arguments):
    return subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)


def make_network(scenario):
    """The servers, in a network namespace that lives as long as they do, and a cable to them; None without the right to do so."""
    if subprocess.run(["unshare", "--net", "true"], capture_output=True, check=False).returncode != 0:
        return None
    server = scenario.start("serial-servers", ["unshare", "--net", sys.executable, "-c", SERVER])
    server.wait_line("listening")
    steps = [
        ("link", "add", NAME, "type", "veth", "peer", "name", "eth0", "netns", str(server.pid)),
        ("addr", "add", f"{HERE}/29", "dev", NAME), ("addr", "add", f"{ALSO_HERE}/29", "dev", NAME), ("link", "set", NAME, "up"),
    ]
    if not all(ip(*step).returncode == 0 for step in steps):
        return None
    scenario.on_exit(lambda: ip("link", "del", NAME))
    there(server, "addr", "add", f"{THERE}/29", "dev", "eth0")
    there(server, "link", "set", "eth0", "up")
    return server


def there(server, *arguments):
    """The other end of the cable."""
    done = subprocess.run(["nsenter", f"--net=/proc/{server.pid}/ns/net", "ip", *arguments], capture_output=True, text=True, check=False)
    expect(done.returncode == 0, f"ip {' '.join(arguments)} there: {done.stderr}")


def body(scenario):
    server = make_network(scenario)
    if server is None:
        print("98_tcp_half_open: no right to make a network namespace here")
        sys.exit(77)
    keys = {meter.device: new_key() for meter in METERS}
    hub = Hub(scenario, keys)
    gateway = Gateway(scenario, hub, {"meters": "\n".join(meter.map() for meter in METERS)}, keys)
    gateway.start()

    def until(question, what, seconds=60):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for meter in METERS:
                meter.most = max(meter.most, meter.held())
            if question():
                return
            time.sleep(0.02)
        expect(False, f"not within {seconds} s: {what}")

    for number in range(1, 3):
        until(lambda: all(meter.held() == 1 for meter in METERS), "the slots are ours")
        counts = {meter.device: hub.count(meter.device) for meter in METERS}
        until(lambda: all(hub.count(meter.device) > counts[meter.device] for meter in METERS[1:]) and hub.count("meter-1") > 0, "readings")
        sockets = subprocess.run(["ss", "-tno", "dst", THERE], capture_output=True, text=True, check=False).stdout
        idle = [row for row in sockets.splitlines() if f"{THERE}:4001" in row]
        expect(len(idle) == 1 and "timer:(keepalive," in idle[0], f"no keepalive timer on the idle line: {sockets}")
        # Packets still go there, and nobody answers: no FIN, no RST, no error.
        there(server, "addr", "del", f"{THERE}/29", "dev", "eth0")
        cut, start = time.monotonic(), len(gateway.process.lines)
        for meter in METERS:
            meter.found = None

        def all_found():
            for meter in METERS:
                pattern = rf"device_disconnected.*{meter.device} .*{meter.reason}"
                if meter.found is None and gateway.process.count_lines(pattern, start):
                    meter.found = time.monotonic() - cut
            return all(meter.found is not None for meter in METERS)

        until(all_found, "the cut is found for the reason that the map says", 45)
        for meter in METERS:
            # Up to a second between its messages, whole seconds of keepalive, and slow machines; far from the other limit.
            expect(meter.found < SHORT + 8, f"{meter.device}: the cut was found after {meter.found:.1f} s instead of {SHORT} s")
        there(server, "addr", "add", f"{THERE}/29", "dev", "eth0")
        counts = {meter.device: hub.count(meter.device) for meter in METERS}
        until(lambda: all(hub.count(meter.device) > counts[meter.device] for meter in METERS), "readings again")
        note(f"cut {number}: " + ", ".join(f"{meter.device} found after {meter.found:.1f} s ({meter.reason})" for meter in METERS)
             + f"; all back after {time.monotonic() - cut:.1f} s")
    for meter in METERS:
        expect(meter.most == 1, f"{meter.most} connections to the server of {meter.device} at one time")
        taken = [re.search(r"taken by (\S+)", one).group(1) for one in server.lines if one.startswith(f"slot {meter.port} ")]
        expect(set(taken) == {meter.own}, f"{meter.device} was dialled from {taken} instead of {meter.own}")
    note("never more than one connection or attempt; our addresses and our interface are those of the maps")


if __name__ == "__main__":
    main("98_tcp_half_open", body)
