#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A fleet of CoAP devices comes at once: DTLS sessions within seconds, plain peers, each answered; a TCP device beside them
[I-01]. Prints memory for each session and the TCP device's latency calm and stormy, which are never a verdict.

TRUNKLINE_COAP_SESSIONS (100), TRUNKLINE_COAP_PEERS (500), TRUNKLINE_COAP_PAIRS (1) choose how much; the long form is 1000,
5000 and 5.
"""

import json
import os
import re
import socket
import statistics
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support", "e2e"))

from gateway import Gateway, new_key  # noqa: E402
from harness import SOON, eventually, expect, main, note  # noqa: E402
from hub import Hub  # noqa: E402

SESSIONS = int(os.environ.get("TRUNKLINE_COAP_SESSIONS", "100"))
PEERS = int(os.environ.get("TRUNKLINE_COAP_PEERS", "500"))
PAIRS = int(os.environ.get("TRUNKLINE_COAP_PAIRS", "1"))
SECONDS = SESSIONS / 100  # the storm: a thousand in ten seconds
KEY = "the key of the fleet"


class Probe(threading.Thread):
    """A TCP device that says 100 lines a second and notes how long each acknowledgement takes."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.link = socket.create_connection(("127.0.0.1", port))
        self.link.settimeout(SOON)
        self.taken = []
        self.ended = False
        self.start()

    def run(self):
        while not self.ended:
            begun = time.monotonic()
            self.link.sendall(b"21.5\n")
            expect(self.link.recv(64) == b"OK\n", "the TCP device is acknowledged")
            self.taken.append((time.monotonic() - begun) * 1000)
            time.sleep(0.01)  # its rate

    def since(self, start):
        """p50 and p99 of what was taken since."""
        values = sorted(self.taken[start:])
        expect(len(values) > 10, "the TCP device goes on")
        return values[len(values) // 2], values[int(len(values) * 0.99)]


def pss(pid):
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
        return int(re.search(r"^Pss: +(\d+) kB", file.read(), re.MULTILINE).group(1))


def coap_detail(gateway):
    return [one["detail"] for one in gateway.status()["adapters"] if one["name"] == "coap"][0]


def storm(scenario, name, port, kind, count, seconds):
    """Runs it; the process, which keeps its sessions, and what it said."""
    process = scenario.start(name, [os.environ["TRUNKLINE_COAP_STORM"], str(port), kind, str(count), str(seconds), KEY],
                             stdin=True)
    return process, said(process, count, kind)


def said(process, count, kind, start=0):
    found, number = process.wait_line(r"^\{.*\}$", 3 * SOON, start)
    result = json.loads(found.group(0))
    expect(result["answered"] == count, f"{kind}: {result['answered']} of {count} were answered")
    return {**result, "line": number}


def body(scenario):
    devices = [f"storm-{number}" for number in range(SESSIONS)]
    plain = [f"plain-{number}" for number in range(10)]
    keys = {device: new_key() for device in [*devices, *plain, "scale"]}
    hub = Hub(scenario, {}, arguments=["--record", "count"])
    for device, key in keys.items():
        hub.ask("add_device", device=device, key=key)
    plain_port, dtls_port, tcp_port = (scenario.ports.take() for _ in range(3))
    maps = {
        "storm": "".join(f'[[device]]\nid = "{device}"\ncoap.telemetry = "/t"\ncoap.identity = "{device}"\n'
                         for device in devices),
        "plain": "".join(f'[[device]]\nid = "{device}"\ncoap.telemetry = "/p/{number}"\n'
                         for number, device in enumerate(plain)),
        "scale": f'[[device]]\nid = "scale"\ntcp.listen = "127.0.0.1:{tcp_port}"\ntcp.ack = "OK\\n"\n',
    }
    psk = {device: (key, "", KEY) if device in devices else key for device, key in keys.items()}
    gateway = Gateway(scenario, hub, maps, psk, coap_port=plain_port, durability="process",
                      coap_table=f'listen_dtls = "127.0.0.1:{dtls_port}"\n', hub_table='attach_rate = "off"\n')
    gateway.start()
    eventually(lambda: (gateway.status() or {}).get("verdict") == "ok", "trunkline status says ok", 2 * SOON)
    probe = Probe(tcp_port)
    eventually(lambda: len(probe.taken) > 50, "the TCP device speaks")

    ratios, lines = [], []
    for pair in range(PAIRS):
        start = len(probe.taken)
        time.sleep(SECONDS)  # a calm stretch as long as the storm
        calm = probe.since(start)
        before, start = pss(gateway.process.pid), len(probe.taken)
        process, result = storm(scenario, f"dtls-{pair}", dtls_port, "dtls", SESSIONS, SECONDS)
        stormy = probe.since(start)
        each = (pss(gateway.process.pid) - before) / SESSIONS
        detail = coap_detail(gateway)
        counted = int(re.search(r"DTLS \S+ \((\d+) of", detail).group(1))
        expect(counted >= SESSIONS, f"the gateway shows {counted} sessions: {detail}")
        process.write(b"again\n")
        again = said(process, SESSIONS, "again", result["line"] + 1)
        process.close_stdin()
        process.wait()
        ratios.append((stormy[0] / calm[0], stormy[1] / calm[1], stormy[1] - calm[1]))
        lines.append(f"{SESSIONS} DTLS sessions in {result['seconds']} s (handshake and first answer p50 {result['p50_ms']}, "
                     f"p99 {result['p99_ms']} ms), {each:.1f} KiB each, all asked again in {again['seconds']} s; "
                     f"TCP p50/p99 calm {calm[0]:.2f}/{calm[1]:.2f} ms, stormy {stormy[0]:.2f}/{stormy[1]:.2f} ms")
        note(lines[-1])
        eventually(lambda: f"DTLS 127.0.0.1:{dtls_port} (0 of" in coap_detail(gateway), "the sessions are gone", 2 * SOON)
    median = [statistics.median(column) for column in zip(*ratios)]
    note(f"median of {PAIRS} pairs: p50 {median[0]:.2f}x, p99 {median[1]:.2f}x, {median[2]:+.2f} ms")

    before, start = pss(gateway.process.pid), len(probe.taken)
    process, result = storm(scenario, "plain", plain_port, "plain", PEERS, PEERS / 500)
    stormy = probe.since(start)
    each = (pss(gateway.process.pid) - before) / PEERS
    note(f"{PEERS} plain peers in {result['seconds']} s (p50 {result['p50_ms']}, p99 {result['p99_ms']} ms), {each:.2f} KiB "
         f"each; TCP p50/p99 {stormy[0]:.2f}/{stormy[1]:.2f} ms")
    process.write(b"again\n")
    said(process, PEERS, "again", result["line"] + 1)
    process.close_stdin()
    probe.ended = True
    probe.join()
    wanted = 2 * PAIRS * SESSIONS

    def total():
        return sum(hub.count(device) for device in devices)

    eventually(lambda: total() >= wanted, "all messages of the fleet are at the hub", 3 * SOON, 0.5)
    expect(total() == wanted, f"the hub has {total()} messages of the fleet instead of {wanted}")
    expect(gateway.process.terminate() == 0, "the gateway did not end with 0 at SIGTERM")


if __name__ == "__main__":
    main("98_coap_storm", body)
