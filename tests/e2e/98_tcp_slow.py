#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Peers that send one byte now and then: of a line without an inter-byte limit (it arrives whole in the end), of one with a limit
(dropped and counted each time), and in front of a registration (closed after hold_time). Beside them a device at its usual pace,
whose answers stay as quick, while memory stays where it is [I-01 D-06].

TRUNKLINE_LONG=1: a byte a minute for TRUNKLINE_MINUTES (3).
"""

import os
import re
import statistics
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support", "e2e"))

from gateway import Gateway, new_key  # noqa: E402
from harness import eventually, expect, main, note  # noqa: E402
from hub import Hub  # noqa: E402
from tcp_peers import dial, memory_limit_kib  # noqa: E402

LONG = bool(os.environ.get("TRUNKLINE_LONG"))
PACE = 60.0 if LONG else 1.5
BYTES = int(os.environ.get("TRUNKLINE_MINUTES", "3")) if LONG else 4
LIMIT_MS = 20_000 if LONG else 400
HOLD_S = 30 if LONG else 2
PATIENT, HURRIED, NOBODY = 200, 50, 50


def resident_kib(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return int(re.search(r"^VmRSS:\s+(\d+)", file.read(), re.M).group(1))


def devices_of(kind, count, port, options):
    return "".join(f"""[[device]]
id = "{kind}-{number}"
tcp.listen = "127.0.0.1:{port}"
tcp.identify = {{ by = "registration", match = '^REG (\\w+)$', is = "{number}", answer = "HELLO\\n", hold_time = "{HOLD_S}s" }}
{options}
""" for number in range(count))


def body(scenario):
    kinds = {"patient": PATIENT, "hurried": HURRIED}
    names = [f"{kind}-{number}" for kind, count in kinds.items() for number in range(count)] + ["usual"]
    keys = {name: new_key() for name in names}
    ports = {kind: scenario.ports.take() for kind in ("patient", "hurried", "usual")}
    hub = Hub(scenario, keys)
    gateway = Gateway(scenario, hub, {
        "10": devices_of("patient", PATIENT, ports["patient"], 'tcp.framing = { max = "64B" }'),
        "20": devices_of("hurried", HURRIED, ports["hurried"], f'tcp.framing = {{ kind = "line", timeout = "{LIMIT_MS}ms" }}'),
        "30": f'[[device]]\nid = "usual"\ntcp.listen = "127.0.0.1:{ports["usual"]}"\ntcp.ack = "OK\\n"\n',
    }, keys, durability="process")
    process = gateway.start()
    usual = dial(ports["usual"])

    def ask(count):
        """Median and worst time from a line to its acknowledgement."""
        took = []
        for _ in range(count):
            size, began = len(usual.data), time.monotonic()
            usual.say("reading\n")
            usual.wait(size + 3, "the acknowledgement")
            took.append(time.monotonic() - began)
        return statistics.median(took), max(took)

    ask(50)
    calm = ask(200)
    slow = {}
    for kind, count in kinds.items():
        slow[kind] = [dial(ports[kind]) for _ in range(count)]
        for number, link in enumerate(slow[kind]):
            link.say(f"REG {number}\n")
            link.wait_data(b"HELLO\n", f"{kind} {number}")
    strangers = [dial(ports["patient"]) for _ in range(NOBODY)]
    for link in strangers:
        link.say("R")
    before = resident_kib(process.pid)
    beside = []
    for number in range(BYTES):
        began = time.monotonic()
        for links in slow.values():
            for link in links:
                link.say(chr(ord("a") + number))
        beside.append(ask(100))
        # The pace is what is tried here.
        time.sleep(max(0.0, PACE - (time.monotonic() - began)))
    grown = resident_kib(process.pid) - before
    for link in strangers:
        link.wait_end("a stranger who sends a byte now and then")
    eventually(lambda: gateway.metric("tcp_unknown_total") == NOBODY, "strangers are counted")
    whole = "".join(chr(ord("a") + number) for number in range(BYTES))
    for link in slow["patient"] + slow["hurried"]:
        link.say("\n")
    for number in (0, PATIENT - 1):
        hub.wait_arrivals(f"patient-{number}", 1)
        expect(hub.arrivals(f"patient-{number}")[0]["body"] == whole, f"patient-{number}: {hub.arrivals(f'patient-{number}')}")
    eventually(lambda: sum(hub.count(f"patient-{number}") for number in range(PATIENT)) == PATIENT, "all slow lines arrived")
    timeouts = gateway.metric("tcp_frame_timeouts_total")
    # A machine that stood still for a second reads two bytes at once.
    expect(HURRIED * (BYTES - 1) <= timeouts <= HURRIED * BYTES, f"{timeouts:.0f} unfinished lines were ended by silence, not {HURRIED * BYTES}")
    counted = gateway.device_status("hurried-0").get("line", {}).get("timeouts", 0)
    expect(BYTES - 1 <= counted <= BYTES, f"status of a hurried one says {counted}")
    expect(hub.count("hurried-0") == 0, "an unfinished line went up")
    expect(grown < memory_limit_kib(gateway.program, 4 * 1024), f"{grown} KiB more memory for {BYTES} bytes each")
    median, worst = statistics.median(one for one, _ in beside), max(one for _, one in beside)
    expect(median < max(calm[0] * 5, 0.25), f"beside them {median * 1000:.1f} ms instead of {calm[0] * 1000:.1f} ms")
    note(f"{PATIENT + HURRIED + NOBODY} peers, a byte each {PACE:g} s, {BYTES} times: {grown} KiB more, {timeouts:.0f} timeouts; another device's "
         f"acknowledgement {calm[0] * 1000:.1f} ms before, {median * 1000:.1f} ms beside them (worst {worst * 1000:.0f} ms)")


if __name__ == "__main__":
    main("98_tcp_slow", body)
