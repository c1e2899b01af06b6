#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""TCP devices through the running gateway into the simulator, beside raw Proton in the same run.

Prints messages per second and CPU microseconds per message of the gateway process, for 1, 100 and 1000 devices, and the ratio to
the CPU of a raw Proton sender that builds, encodes and awaits each message over one TLS connection. Numbers are never a verdict.

  TRUNKLINE_PREFIX=build/release/e2e-prefix TRUNKLINE_BENCH=build/release/tests/bench/gateway tests/bench/gateway/gateway_bench.py
"""

import argparse
import json
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "support", "e2e"))

from gateway import Gateway, new_key  # noqa: E402
from harness import eventually, main, note  # noqa: E402
from hub import Hub  # noqa: E402


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def written_bytes(pid):
    with open(f"/proc/{pid}/io", encoding="ascii") as file:
        return int(re.search(r"^write_bytes: (\d+)", file.read(), re.M).group(1))


def metric(gateway, name):
    found = re.search(rf"^trunkline_{name} (\d+)$", gateway.get("/metrics")[1], re.M)
    return int(found.group(1)) if found else 0


def raw(scenario, tools, hub, links, options):
    done = scenario.run(
        [os.path.join(tools, "trunkline-bench-raw-proton"), "--cert", os.path.join(hub.state, "server.pem"), "--key",
         os.path.join(hub.state, "server-key.pem"), "--ca", hub.ca_file, "--links", str(links), "--messages",
         str(options.messages), "--size", str(options.size)], seconds=600)
    return json.loads(done.stdout)


def through_gateway(scenario, tools, hub, devices, options):
    names = [f"bench-{devices}-{i}" for i in range(devices)]
    keys = {name: new_key() for name in names}
    for name, key in keys.items():
        hub.ask("add_device", device=name, key=key)
    ports = [scenario.ports.take() for _ in names]
    maps = {"bench": "".join(
        f'[[device]]\nid = "{name}"\ntcp.listen = "127.0.0.1:{port}"\ntcp.ack = "ok\\n"\n\n'
        for name, port in zip(names, ports))}
    gateway = Gateway(scenario, hub, maps, keys, durability=options.durability,
                      spool=f'commit_delay = "{options.commit_delay}"\n', hub_table='attach_rate = "off"\n',
                      folder=f"gateway-{devices}")
    process = gateway.start()
    eventually(lambda: gateway.status() is not None, "the gateway answers")
    ports_file = os.path.join(gateway.folder, "ports")
    with open(ports_file, "w", encoding="ascii") as file:
        file.write("\n".join(map(str, ports)))

    def load(messages):
        window = max(1, min(64, options.inflight // devices))
        before = metric(gateway, "uplink_accepted_total")
        done = scenario.run(
            [os.path.join(tools, "trunkline-bench-tcp-load"), "--ports", ports_file, "--messages", str(messages),
             "--size", str(options.size), "--window", str(window)], seconds=1200)
        eventually(lambda: metric(gateway, "uplink_accepted_total") - before >= messages, "the hub accepted everything",
                   seconds=600, pause=0.02)
        return json.loads(done.stdout)

    load(devices * 20)  # connects, authorises and attaches everybody
    cpu, disk = cpu_seconds(process.pid), written_bytes(process.pid)
    result = load(options.messages)
    result["cpu_us"] = (cpu_seconds(process.pid) - cpu) * 1e6 / options.messages
    result["disk"] = (written_bytes(process.pid) - disk) / options.messages
    process.terminate()
    return result


def body(scenario):
    parser = argparse.ArgumentParser(description="gateway benchmark")
    parser.add_argument("--messages", type=int, default=200_000)
    parser.add_argument("--size", type=int, default=200)
    parser.add_argument("--inflight", type=int, default=1000, help="lines that all devices together may have unacknowledged")
    parser.add_argument("--devices", default="1,100,1000")
    parser.add_argument("--durability", default="power", choices=["power", "process"])
    parser.add_argument("--commit-delay", default="0ms", help="spool.commit_delay; a healthy link then writes almost nothing")
    options = parser.parse_args()
    tools = os.environ["TRUNKLINE_BENCH"]
    hub = Hub(scenario, {}, arguments=["--record", "count"])
    note(f"{options.messages} messages of {options.size} B, TCP in, accepted by the simulator out, durability = {options.durability}")
    note(f"{'devices':>8} {'safe/s':>9} {'gateway us/msg':>15} {'raw Proton us/msg':>18} {'ratio':>6} {'disk B/msg':>11}")
    for devices in map(int, options.devices.split(",")):
        limit = raw(scenario, tools, hub, devices, options)
        result = through_gateway(scenario, tools, hub, devices, options)
        note(f"{devices:>8} {result['safe_per_s']:>9.0f} {result['cpu_us']:>15.2f} {limit['cpu_us_per_message']:>18.2f} "
             f"{result['cpu_us'] / limit['cpu_us_per_message']:>6.2f} {result['disk']:>11.0f}")


if __name__ == "__main__":
    main("gateway_bench", body)
