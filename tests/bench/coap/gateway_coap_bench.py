#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a CoAP message costs the whole gateway (P-02): confirmable POSTs of 200 B of 50 sessions through to the simulator, beside
libcoap's bare immediate answer and TCP lines (P-01) in the same run. CPU microseconds per message; numbers are never a verdict.

  TRUNKLINE_PREFIX=build/release/e2e-prefix TRUNKLINE_BENCH=build/release/tests/bench tests/bench/coap/gateway_coap_bench.py
"""

import argparse
import json
import os
import statistics
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "..", "support", "e2e"))
sys.path.insert(0, os.path.join(HERE, "..", "gateway"))

from gateway import Gateway, new_key  # noqa: E402
from gateway_bench import cpu_seconds, metric, through_gateway  # noqa: E402
from harness import eventually, main, note  # noqa: E402
from hub import Hub  # noqa: E402

KEY = "a key of sixteen"


def load(scenario, tool, port, kind, options, messages):
    done = scenario.run([tool, str(port), kind, str(options.sessions), str(messages), KEY], seconds=900)
    return json.loads(done.stdout)


def bare(scenario, tool, kind, options, number):
    server = scenario.start(f"bare-{kind}-{number}", [tool, "bare", kind, KEY])
    found, _ = server.wait_line(r"^port (\d+)$")
    load(scenario, tool, found.group(1), kind, options, options.sessions)
    cpu = cpu_seconds(server.pid)
    result = load(scenario, tool, found.group(1), kind, options, options.messages)
    used = (cpu_seconds(server.pid) - cpu) * 1e6 / result["answered"]
    server.kill()
    return used, result


def through(scenario, tool, hub, kind, options, number):
    names = [f"bench-{index}" for index in range(options.sessions)]
    keys = {name: new_key() for name in names}
    for name, key in keys.items():
        hub.ask("add_device", device=name, key=key)
    port, dtls_port = scenario.ports.take(), scenario.ports.take()
    who = {"udp": 'coap.telemetry = "/b/{}"\n', "dtls": 'coap.telemetry = "/t"\ncoap.identity = "bench-{}"\n'}[kind]
    maps = {"bench": "".join(f'[[device]]\nid = "{name}"\n' + who.format(index) for index, name in enumerate(names))}
    gateway = Gateway(scenario, hub, maps, {name: (key, "", KEY) for name, key in keys.items()}, coap_port=port,
                      durability=options.durability, hub_table='attach_rate = "off"\n', folder=f"gateway-{kind}-{number}",
                      coap_table=f'listen_dtls = "127.0.0.1:{dtls_port}"\npeer_rate = "off"\n')
    process = gateway.start()
    eventually(lambda: gateway.status() is not None, "the gateway answers")

    def run(messages):
        before = metric(gateway, "uplink_accepted_total")
        result = load(scenario, tool, port if kind == "udp" else dtls_port, kind, options, messages)
        eventually(lambda: metric(gateway, "uplink_accepted_total") - before >= result["answered"],
                   "the hub accepted everything", seconds=600, pause=0.02)
        return result

    run(options.sessions * 20)
    cpu = cpu_seconds(process.pid)
    result = run(options.messages)
    used = (cpu_seconds(process.pid) - cpu) * 1e6 / result["answered"]
    process.terminate()
    for name in names:
        hub.ask("remove_device", device=name)
    return used, result


def body(scenario):
    parser = argparse.ArgumentParser(description="CoAP gateway benchmark")
    parser.add_argument("--messages", type=int, default=50_000)
    parser.add_argument("--sessions", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--durability", default="power", choices=["power", "process"])
    parser.add_argument("--inflight", type=int, default=1000)
    parser.add_argument("--commit-delay", default="0ms")
    parser.add_argument("--size", type=int, default=200)
    options = parser.parse_args()
    tools = os.environ["TRUNKLINE_BENCH"]
    tool = os.path.join(tools, "coap", "trunkline-bench-coap-load")
    hub = Hub(scenario, {}, arguments=["--record", "count"])
    note(f"{options.messages} messages of {options.size} B, {options.sessions} sessions, durability = {options.durability}; "
         "CPU us a message, medians")
    for kind in ("udp", "dtls"):
        rounds = []
        for number in range(options.rounds):
            alone, _ = bare(scenario, tool, kind, options, number)
            used, result = through(scenario, tool, hub, kind, options, number)
            rounds.append((alone, used, result["p50_ms"], result["p99_ms"], result["answered"] / result["seconds"]))
        middle = [statistics.median(column) for column in zip(*rounds)]
        note(f"{kind}: libcoap alone {middle[0]:.1f}, gateway {middle[1]:.1f}; p50 {middle[2]:.2f} ms, p99 {middle[3]:.2f} ms, "
             f"{middle[4]:.0f} msg/s")
    lines = through_gateway(scenario, os.path.join(tools, "gateway"), hub, options.sessions, options)
    note(f"tcp: gateway {lines['cpu_us']:.1f}, {lines['safe_per_s']:.0f} msg/s")


if __name__ == "__main__":
    main("gateway_coap_bench", body)
