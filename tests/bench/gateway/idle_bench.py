#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the gateway takes while it has little to do: memory with 0, 100 and 1000 devices, CPU at rest, and how long after its start the
hub has accepted the first message.

Memory is the proportional set size (Pss of /proc/PID/smaps_rollup) of the daemon once every device is connected by TCP, has spoken
once and has all six links (telemetry, commands, two for methods, two for the twin); the growth per device is against none. CPU at rest
is of the seconds that follow. The time to the first message is from the start of the process to the simulator's arrival, for a device
that dials all the time. Numbers are never a verdict.

  TRUNKLINE_PREFIX=build/release/e2e-prefix tests/bench/gateway/idle_bench.py
"""

import argparse
import os
import re
import socket
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "support", "e2e"))

from gateway import Gateway, new_key  # noqa: E402
from harness import SOON, eventually, expect, main, note  # noqa: E402
from hub import Hub  # noqa: E402


def pss_kib(pid):
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
        return int(re.search(r"^Pss:\s+(\d+) kB", file.read(), re.M).group(1))


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def device_map(name, port):
    return f"""[[device]]
id = "{name}"
tcp.listen = "127.0.0.1:{port}"
tcp.ack = "ok\\n"
tcp.command = {{ send = "CMD {{id}} {{payload}}\\n", reply = "DONE {{id}}" }}
tcp.method = {{ send = "CALL {{id}} {{name}} {{payload}}\\n", reply = "RESULT {{id}} {{status}} {{payload}}" }}
tcp.desired = {{ send = "SET {{id}} {{payload}}\\n", reply = "SET {{id}} OK" }}

"""


def speak(port, number):
    """Dials until somebody listens, says a line, returns the connection once it was acknowledged."""
    deadline = time.monotonic() + SOON
    while True:
        link = socket.socket()
        link.settimeout(SOON)
        try:
            link.connect(("127.0.0.1", port))
            break
        except OSError:
            link.close()
            expect(time.monotonic() < deadline, f"nobody listens on port {port}")
            time.sleep(0.001)
    link.sendall(f'{{"n":{number}}}\n'.encode())
    answer = b""
    while not answer.endswith(b"ok\n"):  # after what the gateway asks first, if it does
        answer += link.recv(4096)
    return link


def one(scenario, devices, seconds):
    names = [f"idle-{devices}-{i}" for i in range(devices)]
    keys = {name: new_key() for name in names}
    hub = Hub(scenario, keys) if devices <= 100 else Hub(scenario, {})
    if devices > 100:
        for name, key in keys.items():
            hub.ask("add_device", device=name, key=key)
    ports = [scenario.ports.take() for _ in names]
    maps = {"idle": "".join(device_map(name, port) for name, port in zip(names, ports))} if names else {}
    gateway = Gateway(scenario, hub, maps, keys, hub_table='attach_rate = "off"\n', folder=f"gateway-{devices}")
    first = {}

    def first_message():
        hub.wait_arrivals(names[0], 1)
        first["s"] = time.monotonic() - begun

    waiter = threading.Thread(target=first_message) if names else None
    dialler = threading.Thread(target=lambda: first.update(link=speak(ports[0], 1))) if names else None
    for thread in (waiter, dialler):
        if thread:
            thread.start()
    begun = time.monotonic()
    process = gateway.start()
    for thread in (dialler, waiter):
        if thread:
            thread.join()
    links = [speak(port, 1) for port in ports[1:]]
    if names:
        eventually(lambda: all(len(one["links"]) >= 4 for one in hub.ask("devices")["devices"]), "every device has all links", 3 * SOON, 0.3)
    else:
        eventually(lambda: gateway.status() is not None, "the gateway answers")
    time.sleep(2)  # what was freed goes back to the system meanwhile
    memory = pss_kib(process.pid)
    cpu = cpu_seconds(process.pid)
    time.sleep(seconds)
    cpu = (cpu_seconds(process.pid) - cpu) / seconds
    for link in links:
        link.close()
    process.terminate()
    hub.process.terminate()
    os.unlink(hub.control_path) if os.path.exists(hub.control_path) else None
    return memory, cpu, first.get("s")


def body(scenario):
    parser = argparse.ArgumentParser(description="memory and CPU of a gateway at rest")
    parser.add_argument("--devices", default="0,100,1000")
    parser.add_argument("--seconds", type=float, default=30, help="how long CPU at rest is measured")
    options = parser.parse_args()
    note(f"{'devices':>8} {'PSS MiB':>8} {'KiB/device':>11} {'CPU at rest':>12} {'first accepted after':>21}")
    empty = None
    for devices in map(int, options.devices.split(",")):
        memory, cpu, first = one(scenario, devices, options.seconds)
        if devices == 0:
            empty = memory
        growth = f"{(memory - empty) / devices:.1f}" if devices and empty is not None else ""
        note(f"{devices:>8} {memory / 1024:>8.1f} {growth:>11} {cpu:>11.2%} {'' if first is None else f'{first:.3f} s':>21}")


if __name__ == "__main__":
    main("idle_bench", body)
