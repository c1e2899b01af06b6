#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Method round trips through the gateway for each protocol, beside the bare AMQP round trip of the same run.

usage: method_bench.py --prefix PREFIX --trunk-load PROGRAM [--calls 2000] [--devices 20]

The caller is the simulator's control socket in all cases, so what a protocol costs is the difference, and its ratio, to
`bare`: a client on the gateway's own AMQP stack that answers at once, with no device behind it. First one call at a time
(p50, p99), then one call at a time to each of the devices (round trips per second).
"""

import argparse
import json
import os
import socket
import statistics
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "support", "e2e"))

from broker import Broker  # noqa: E402
from coap_client import ACK, CON, decode, encode  # noqa: E402
from gateway import Gateway, new_key  # noqa: E402
from harness import Scenario, eventually, expect, note  # noqa: E402
from hub import Hub  # noqa: E402
from mqtt_client import PUBLISH, connect_packet, take_packet  # noqa: E402

GET, POST = 1, 2
OBSERVE, URI_PATH, LOCATION_QUERY, URI_QUERY = 6, 11, 20, 15


class Caller:
    """One conversation with the simulator, kept open."""

    def __init__(self, hub):
        self._link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._link.connect(hub.control_path)
        self._lines = self._link.makefile("rb")

    def call(self, device):
        request = {"op": "call_method", "device": device, "method": "echo", "payload": {"n": 1}}
        self._link.sendall(json.dumps(request).encode() + b"\n")
        answer = json.loads(self._lines.readline())
        expect(answer.get("status") == 200, f"{device} answered {answer}")


def tcp_device(port):
    def live():
        with socket.create_connection(("127.0.0.1", port)) as link:
            link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for line in link.makefile("rb"):
                link.sendall(b"ANSWER " + line.split(b" ")[1] + b" 1\n")

    threading.Thread(target=live, daemon=True).start()


def coap_device(port, path):
    link = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    link.connect(("127.0.0.1", port))
    segments = [(URI_PATH, part.encode()) for part in path.strip("/").split("/")]
    link.send(encode(CON, GET, 1, b"ob", [(OBSERVE, b""), *segments, (URI_PATH, b"m")]))

    def live():
        mid = 10
        while True:
            kind, code, number, token, options, _ = decode(link.recv(2048))
            if kind == CON:
                link.send(encode(ACK, 0, number))
            if token == b"ob" and LOCATION_QUERY in options:
                mid = mid % 60000 + 1
                queries = [(URI_QUERY, options[LOCATION_QUERY])]
                link.send(encode(CON, POST, mid, b"an", [*segments, (URI_PATH, b"a"), *queries], b"1"))

    threading.Thread(target=live, daemon=True).start()


def mqtt_device(port, topic):
    def text(value):
        return len(value).to_bytes(2, "big") + value.encode()

    link = socket.create_connection(("127.0.0.1", port))
    link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    link.sendall(connect_packet(f"bench-{topic}"))
    subscribe = b"\0\1" + text(f"{topic}/m/+") + b"\0"
    link.sendall(bytes([0x82, len(subscribe)]) + subscribe)

    def live():
        buffer = bytearray()
        while data := link.recv(65536):
            buffer += data
            while packet := take_packet(buffer):
                kind, _, content = packet
                if kind != PUBLISH:
                    continue
                length = int.from_bytes(content[:2], "big")
                ident = content[2 : 2 + length].decode().rsplit("/", 1)[1]
                publish = text(f"{topic}/a") + json.dumps({"id": ident, "status": 200}).encode()
                link.sendall(bytes([0x30, len(publish)]) + publish)

    threading.Thread(target=live, daemon=True).start()


def measure(hub, devices, calls):
    one = Caller(hub)
    times = []
    for _ in range(calls):
        began = time.perf_counter()
        one.call(devices[0])
        times.append((time.perf_counter() - began) * 1000)
    callers = [(Caller(hub), device) for device in devices]

    def keep_calling(caller, device):
        for _ in range(calls // 10):
            caller.call(device)

    threads = [threading.Thread(target=keep_calling, args=pair) for pair in callers]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rate = len(devices) * (calls // 10) / (time.perf_counter() - began)
    return statistics.median(times), statistics.quantiles(times, n=100)[98], rate


def run(scenario, arguments):
    count = arguments.devices
    names = {kind: [f"{kind}-{i}" for i in range(count)] for kind in ("bench", "tcp", "coap", "mqtt")}
    bare_key = new_key()
    keys = {name: new_key() for kind in names.values() for name in kind}
    keys.update(dict.fromkeys(names["bench"], bare_key))
    broker = Broker(scenario)
    hub = Hub(scenario, keys)
    coap_port = scenario.ports.take()
    ports = {name: scenario.ports.take() for name in names["tcp"]}
    maps = ""
    for name in names["tcp"]:
        maps += f"""[[device]]
id = "{name}"
tcp.listen = "127.0.0.1:{ports[name]}"
tcp.method = {{ send = "CALL {{id}} {{payload}}\\n", reply = "ANSWER {{id}} {{payload}}" }}
"""
    for name in names["coap"]:
        maps += f"""[[device]]
id = "{name}"
coap.telemetry = "/{name}/t"
coap.method = "/{name}/m"
coap.method_reply = "/{name}/a"
"""
    for name in names["mqtt"]:
        maps += f"""[[device]]
id = "{name}"
mqtt.telemetry = "{name}/t"
mqtt.method = "{name}/m/{{id}}"
mqtt.method_reply = "{name}/a"
"""
    own = {name: key for name, key in keys.items() if not name.startswith("bench")}
    gateway = Gateway(scenario, hub, {"all": maps}, own, broker=broker, coap_port=coap_port)
    gateway.start()
    broker.wait_subscribed("trunkline", [f"{names['mqtt'][-1]}/a"])
    for name in names["tcp"]:
        eventually(lambda name=name: socket.create_connection(("127.0.0.1", ports[name])).close() or True, name)
        tcp_device(ports[name])
    for name in names["coap"]:
        coap_device(coap_port, f"/{name}")
    for name in names["mqtt"]:
        mqtt_device(broker.port, name)
    bare = scenario.start(
        "bare",
        [
            arguments.trunk_load, "--mode", "methods", "--host", hub.host, "--address", f"127.0.0.1:{hub.port}",
            "--ca", hub.ca_file, "--key", bare_key, "--devices", str(count), "--seconds", "3600",
        ],
    )
    bare.wait_line("attached")
    results = {}
    for kind, devices in names.items():
        for device in devices:
            hub.ask("wait_link", device=device, link="methods", timeout_ms=60_000)
            eventually(lambda device=device: hub.call(device, "echo", {"n": 0})[1] == 200, f"{device} answers")
    for kind, devices in names.items():
        results[kind] = measure(hub, devices, arguments.calls)
    base = results["bench"]
    for kind, (p50, p99, rate) in results.items():
        name = "bare" if kind == "bench" else kind
        note(
            f"{name:<5} p50 {p50:7.3f} ms ({p50 / base[0]:4.1f}x)   p99 {p99:7.3f} ms ({p99 / base[1]:4.1f}x)   "
            f"{rate:7.0f} round trips/s ({rate / base[2]:4.2f}x), {count} devices"
        )


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--prefix", required=True)
    parser.add_argument("--trunk-load", required=True)
    parser.add_argument("--calls", type=int, default=2000)
    parser.add_argument("--devices", type=int, default=20)
    arguments = parser.parse_args()
    with Scenario("method_bench", arguments.prefix) as scenario:
        run(scenario, arguments)


if __name__ == "__main__":
    main()
