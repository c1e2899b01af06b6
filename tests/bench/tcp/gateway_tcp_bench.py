#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Framed lines of 200 bytes from 10, 1000 and 10000 TCP connections through the running gateway into the simulator.

For each: Asio alone with the same framing that acknowledges at once; the gateway to *safe* (acknowledged from the spool, no hub
there) and to *accepted* (settled by the simulator). Messages a second and CPU microseconds per message of the serving process, by
thread too. Numbers are never a verdict.

  TRUNKLINE_PREFIX=build/rel/e2e-prefix TRUNKLINE_BENCH=build/rel/tests/bench tests/bench/tcp/gateway_tcp_bench.py
"""

import argparse
import json
import os
import re
import resource
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "support", "e2e"))

from gateway import Gateway, new_key  # noqa: E402
from harness import eventually, expect, main, note  # noqa: E402
from hub import Hub  # noqa: E402

TICKS = os.sysconf("SC_CLK_TCK")


def cpu_by_thread(pid):
    """CPU seconds of each thread that lives; they do, while a bench runs."""
    out = {}
    for thread in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{thread}/stat", encoding="ascii") as file:
            head, _, rest = file.read().rpartition(")")
        fields = rest.split()
        out[(thread, head.partition("(")[2])] = (int(fields[11]) + int(fields[12])) / TICKS
    return out


class Cost:
    """What a process spends between two moments, per message."""

    def __init__(self, pid):
        self.pid = pid
        self.before = cpu_by_thread(pid)

    def per_message(self, messages):
        spent = {key: now - self.before.get(key, 0) for key, now in cpu_by_thread(self.pid).items()}
        names = {}
        for (_, name), seconds in spent.items():
            names[name] = names.get(name, 0) + seconds * 1e6 / messages
        total = sum(names.values())
        parts = " ".join(f"{name} {us:.2f}" for name, us in sorted(names.items(), key=lambda one: -one[1]) if us >= 0.05)
        return total, parts


class Load:
    def __init__(self, scenario, tools, name, port, connections, options):
        window = max(1, min(64, options.inflight // connections))
        self.process = scenario.start(
            name,
            [os.path.join(tools, "gateway", "trunkline-bench-tcp-load"), "--port", str(port), "--connections", str(connections),
             "--register", "REG d-", "--size", str(options.size), "--window", str(window)], stdin=True)
        _, self.line = self.process.wait_line("^ready$", seconds=300)

    def run(self, messages, seconds=1200):
        self.process.write(f"{messages}\n".encode())
        found, self.line = self.process.wait_line(r"^\{.*\}$", seconds=seconds, start=self.line + 1)
        return json.loads(found.group(0))["safe_per_s"]

    def end(self):
        self.process.close_stdin()
        self.process.wait()


def bare(scenario, tools, connections, options):
    server = scenario.start(f"bare-{connections}", [os.path.join(tools, "tcp", "tcp_bench"), "serve"])
    port = server.wait_line(r"^\d+$")[0].group(0)
    load = Load(scenario, tools, f"bare-load-{connections}", port, connections, options)
    load.run(max(connections, 10_000))
    # The kernel counts CPU in hundredths of a second, and this takes little of it.
    messages = options.messages * (10 if connections < 1000 else 2)
    cost = Cost(server.pid)
    rate = load.run(messages)
    us, _ = cost.per_message(messages)
    load.end()
    server.kill()
    return rate, us


def through_gateway(scenario, tools, hub, connections, options):
    names = [f"bench-{connections}-{i}" for i in range(connections)]
    keys = {name: new_key() for name in names}
    for name, key in keys.items():
        hub.ask("add_device", device=name, key=key)
    port = scenario.ports.take()
    maps = {"bench": "".join(f"""[[device]]
id = "{name}"
tcp.listen = "127.0.0.1:{port}"
tcp.identify = {{ by = "registration", match = '^REG (.*)$', is = "d-{i}", answer = "OK\\n" }}
tcp.ack = "K\\n"
""" for i, name in enumerate(names))}
    gateway = Gateway(scenario, hub, maps, keys, durability=options.durability,
                      spool=f'commit_delay = "{options.commit_delay}"\n', hub_table='attach_rate = "off"\n',
                      folder=f"gateway-{connections}")
    process = gateway.start()
    eventually(lambda: gateway.status() is not None, "the gateway answers", seconds=300)
    load = Load(scenario, tools, f"load-{connections}", port, connections, options)

    def accepted():
        return gateway.metric("uplink_accepted_total")

    def wait_accepted(count):
        eventually(lambda: accepted() >= count, "the hub accepted everything", seconds=900, pause=0.02)

    load.run(connections * 5)  # everybody is attached, buffers have their size
    wait_accepted(connections * 5)
    before, cost, start = accepted(), Cost(process.pid), time.monotonic()
    safe_with_hub = load.run(options.messages)
    wait_accepted(before + options.messages)
    accepted_rate = options.messages / (time.monotonic() - start)
    accepted_us, accepted_parts = cost.per_message(options.messages)
    pss = gateway_pss(process.pid)
    hub.process.kill()
    eventually(lambda: gateway.status()["hub"].get("state") != "connected", "the gateway sees that the hub is gone")
    cost = Cost(process.pid)
    safe = load.run(options.messages)
    safe_us, safe_parts = cost.per_message(options.messages)
    load.end()
    process.kill()
    return {"safe": safe, "safe_us": safe_us, "safe_parts": safe_parts, "safe_with_hub": safe_with_hub,
            "accepted": accepted_rate, "accepted_us": accepted_us, "accepted_parts": accepted_parts, "pss": pss}


def gateway_pss(pid):
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
        return int(re.search(r"^Pss:\s+(\d+)", file.read(), re.M).group(1)) / 1024


def body(scenario):
    parser = argparse.ArgumentParser(description="TCP through the gateway")
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--size", type=int, default=200)
    parser.add_argument("--inflight", type=int, default=1000, help="lines that all devices together may have unacknowledged")
    parser.add_argument("--connections", default="10,1000,10000")
    parser.add_argument("--durability", default="power", choices=["power", "process"])
    parser.add_argument("--commit-delay", default="0ms")
    options = parser.parse_args()
    tools = os.environ["TRUNKLINE_BENCH"]
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    most = max(map(int, options.connections.split(",")))
    expect(hard > most + 200, f"{most} connections need more descriptors than this shell may have ({hard}); ulimit -n")
    note(f"{options.messages} messages (bare Asio more) of {options.size} B, durability = {options.durability}, {options.inflight} on their way; "
         f"{hard} descriptors a process")
    for connections in map(int, options.connections.split(",")):
        rate, us = bare(scenario, tools, connections, options)
        note(f"{connections:>6} bare Asio            {rate:>9.0f} msg/s {us:>7.2f} us/msg")
        hub = Hub(scenario, {}, arguments=["--record", "count"])
        result = through_gateway(scenario, tools, hub, connections, options)
        note(f"{connections:>6} gateway to safe      {result['safe']:>9.0f} msg/s {result['safe_us']:>7.2f} us/msg "
             f"{result['safe_us'] / us:>5.1f}x   ({result['safe_parts']})")
        note(f"{connections:>6} gateway to accepted  {result['accepted']:>9.0f} msg/s {result['accepted_us']:>7.2f} us/msg "
             f"{result['accepted_us'] / us:>5.1f}x   ({result['accepted_parts']}; safe at {result['safe_with_hub']:.0f} msg/s, "
             f"PSS {result['pss']:.0f} MiB)")


if __name__ == "__main__":
    main("gateway_tcp_bench", body)
