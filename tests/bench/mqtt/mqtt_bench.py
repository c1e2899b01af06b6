#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the broker held, QoS 1, drained through the gateway into the simulator, beside Paho's counting callback in the same run.

Prints messages per second, CPU microseconds and bytes written per message of the gateway, for 1 and 1000 topics and both durabilities, and of a
program that only counts in Paho's callback. Numbers are never a verdict.

  TRUNKLINE_PREFIX=build/rel/e2e-prefix TRUNKLINE_BENCH=build/rel/tests/bench/mqtt tests/bench/mqtt/mqtt_bench.py
"""

import argparse
import json
import os
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "..", "support", "e2e"))
sys.path.insert(0, os.path.join(HERE, "..", "gateway"))

from broker import Broker  # noqa: E402
from gateway import Gateway, new_key  # noqa: E402
from gateway_bench import cpu_seconds, written_bytes  # noqa: E402
from harness import eventually, main, note  # noqa: E402
from hub import Hub  # noqa: E402
from mqtt_client import Mqtt5  # noqa: E402

FAMILY = '[[family]]\nid = "bench-{topic}"\nmqtt.telemetry = "bench/{topic}/state"\n'


def fill(broker, topics, messages, size):
    """The broker holds them all for whoever has the session."""
    body = b"x" * size
    Mqtt5(broker.port, "publisher").publish_all((f"bench/t{n % topics}/state", body) for n in range(messages))


def counted(scenario, tools, broker, topics, messages, size):
    """Paho's counting callback, with the session and the filter that the gateway would have."""
    counter = [os.path.join(tools, "trunkline-bench-mqtt-counter"), "--port", str(broker.port)]
    scenario.run([*counter, "--messages", "0"])
    fill(broker, topics, messages, size)
    return json.loads(scenario.run([*counter, "--messages", str(messages)], seconds=400).stdout)


def through_gateway(scenario, hub, broker, topics, messages, durability, size):
    keys = {f"bench-t{n}": new_key() for n in range(topics)}
    for name, key in keys.items():
        hub.ask("add_device", device=name, key=key)
    gateway = Gateway(scenario, hub, {"bench": FAMILY}, keys, broker=broker, durability=durability,
                      hub_table='attach_rate = "off"\nattach = "start"\n', folder=f"{durability}-{topics}")
    gateway.start()
    eventually(lambda: gateway.adapter("mqtt")["healthy"], "the broker works")
    gateway.process.terminate()
    fill(broker, topics, messages, size)
    process = gateway.start()
    process.wait_line("gateway_started")
    begun, cpu, written = time.monotonic(), cpu_seconds(process.pid), written_bytes(process.pid)
    before = gateway.metric("uplink_accepted_total")
    eventually(lambda: gateway.metric("uplink_accepted_total") >= messages, "the hub accepted everything", 600, 0.05)
    took, cpu = time.monotonic() - begun, cpu_seconds(process.pid) - cpu
    written = written_bytes(process.pid) - written
    process.terminate()
    for name in keys:
        hub.ask("remove_device", device=name)
    return {"messages_per_s": (messages - before) / took, "cpu_us": cpu * 1e6 / (messages - before),
            "written": written / (messages - before)}


def body(scenario):
    parser = argparse.ArgumentParser(description="MQTT benchmark")
    parser.add_argument("--messages", type=int, default=50_000)
    parser.add_argument("--power-messages", type=int, default=10_000, help="of the runs that sync for each")
    parser.add_argument("--size", type=int, default=200)
    parser.add_argument("--topics", default="1,1000")
    options = parser.parse_args()
    hub = Hub(scenario, {}, arguments=["--record", "count"])
    broker = Broker(scenario, logs="information")
    note(f"QoS 1, {options.size} B, held by the broker, drained; the gateway until accepted by the simulator")
    note(f"{'topics':>7} {'who':>16} {'messages':>9} {'msg/s':>9} {'CPU us/msg':>11} {'to Paho':>8} {'written B/msg':>14}")
    for topics in map(int, options.topics.split(",")):
        bare = counted(scenario, os.environ["TRUNKLINE_BENCH"], broker, topics, options.messages, options.size)
        rows = [("Paho counting", options.messages, bare)]
        for durability, messages in (("process", options.messages), ("power", options.power_messages)):
            rows.append((durability, messages, through_gateway(scenario, hub, broker, topics, messages, durability, options.size)))
        for who, messages, row in rows:
            note(f"{topics:>7} {who:>16} {messages:>9} {row['messages_per_s']:>9.0f} {row['cpu_us']:>11.1f} "
                 f"{row['cpu_us'] / bare['cpu_us']:>8.1f} {row.get('written', 0):>14.0f}")


if __name__ == "__main__":
    main("mqtt_bench", body)
