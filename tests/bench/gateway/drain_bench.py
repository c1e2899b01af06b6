#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A backlog drains under a send limit while other devices are live (P-06, P-08).

Half of the devices fill the spool while the hub is away; the gateway is restarted with all of it waiting; then the hub is
back, the limit holds, and the other half speaks. Prints: time from start to ready, drain rate against what the limit leaves,
p50 and p99 from a live device's line to the hub's taking of it, Jain's fairness over the draining devices. Never a verdict.

  TRUNKLINE_PREFIX=<prefix> TRUNKLINE_BENCH=<build>/tests/bench/gateway tests/bench/gateway/drain_bench.py --backlog 1000000
"""

import argparse
import datetime
import json
import os
import socket
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "support", "e2e"))

from gateway import Gateway, new_key  # noqa: E402
from gateway_bench import cpu_seconds, metric  # noqa: E402
from harness import eventually, main, note  # noqa: E402
from hub import Hub  # noqa: E402


def percentile(values, share):
    return sorted(values)[int(share * (len(values) - 1))] if values else float("nan")


def milliseconds(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp() * 1000


class Live(threading.Thread):
    """One connection to each live device; a line with the time in it, in turn, at a steady rate."""

    def __init__(self, ports, rate):
        super().__init__(daemon=True)
        self.links = [socket.create_connection(("127.0.0.1", port)) for port in ports]
        self.interval = 1 / rate
        self.sent = 0
        self.ended = threading.Event()

    def run(self):
        due = time.monotonic()
        while not self.ended.is_set():
            link = self.links[self.sent % len(self.links)]
            link.sendall(f"{time.time() * 1000:.1f}\n".encode())
            self.sent += 1
            due += self.interval
            self.ended.wait(max(0, due - time.monotonic()))


def body(scenario):
    parser = argparse.ArgumentParser(description="drain benchmark")
    parser.add_argument("--backlog", type=int, default=20_000)
    parser.add_argument("--devices", type=int, default=100)
    parser.add_argument("--limit", type=int, default=2000, help="messages a second toward the hub")
    parser.add_argument("--live", type=int, default=500, help="messages a second of the devices without a backlog")
    parser.add_argument("--size", type=int, default=200)
    options = parser.parse_args()
    tools = os.environ["TRUNKLINE_BENCH"]

    events = os.path.join(scenario.folder, "events.jsonl")
    hub = Hub(scenario, {}, arguments=["--events", events])
    names = [f"d-{i}" for i in range(options.devices)]
    keys = {name: new_key() for name in names}
    for name, key in keys.items():
        hub.ask("add_device", device=name, key=key)
    ports = {name: scenario.ports.take() for name in names}
    late, live = names[: options.devices // 2], names[options.devices // 2 :]
    maps = {"all": "".join(f'[[device]]\nid = "{n}"\ntcp.listen = "127.0.0.1:{p}"\ntcp.ack = "ok\\n"\n\n' for n, p in ports.items())}
    gateway = Gateway(scenario, hub, maps, keys, spool='max_bytes = "4GiB"\n', durability="process",
                      hub_table=f'attach_rate = "off"\nsend_rate = "{options.limit}/s"\n')
    hub.ask("listen", mode="refuse")
    process = gateway.start()
    eventually(lambda: gateway.status() is not None, "the gateway answers")
    ports_file = os.path.join(scenario.folder, "ports")
    with open(ports_file, "w", encoding="ascii") as file:
        file.write("\n".join(str(ports[name]) for name in late))
    loaded = scenario.run([os.path.join(tools, "trunkline-bench-tcp-load"), "--ports", ports_file, "--messages",
                           str(options.backlog), "--size", str(options.size), "--window", "64"], seconds=3600)
    note(f"filled: {loaded.stdout.strip()}")
    process.terminate(60)

    begin = time.monotonic()
    process = gateway.start()
    process.wait_line("gateway_started", 120)
    note(f"started with {options.backlog} messages waiting after {time.monotonic() - begin:.2f} s")
    hub.ask("listen", mode="accept")
    eventually(lambda: metric(gateway, "uplink_accepted_total") > 0, "it drains", seconds=60)
    live_load = Live([ports[name] for name in live], options.live)
    cpu, accepted, start = cpu_seconds(process.pid), metric(gateway, "uplink_accepted_total"), time.monotonic()
    live_load.start()
    share = options.limit - options.live
    eventually(lambda: gateway.status()["safety"]["waiting"] < share, "the backlog is drained",
               seconds=60 + 2 * options.backlog / share, pause=1)
    took = time.monotonic() - start
    done = metric(gateway, "uplink_accepted_total") - accepted
    live_load.ended.set()
    note(f"CPU {(cpu_seconds(process.pid) - cpu) / done * 1e6:.1f} us/msg; {done / took:.0f} msgs/s of {options.limit} allowed")
    time.sleep(1)

    counts, taken, delays = dict.fromkeys(late, 0), 0, []
    with open(events, encoding="utf-8") as file:
        for line in file:
            if '"index":' not in line:
                continue
            arrival = json.loads(line)
            if arrival["device"] in counts:
                # Fairness while all of them still have something to drain.
                if taken < options.backlog // 2:
                    taken += 1
                    counts[arrival["device"]] += 1
            else:
                delays.append(milliseconds(arrival["enqueued"]) - float(arrival["body"]))
    jain = sum(counts.values()) ** 2 / (len(counts) * sum(n * n for n in counts.values()))
    note(f"live devices: {len(delays)} messages, p50 {percentile(delays, 0.5):.1f} ms, p99 {percentile(delays, 0.99):.1f} ms, "
         f"max {max(delays):.1f} ms; Jain's fairness over the draining ones {jain:.4f}")


if __name__ == "__main__":
    main("drain_bench", body)
