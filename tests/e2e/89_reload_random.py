#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Reloads by lot: devices come, go, change limits, addresses and protocols, now and then with a set that cannot work, while
the hub comes and goes. After each one every mapped device is heard; in the end all that was safe is at the hub, in order
[D-02 D-03 R-01].

TRUNKLINE_RELOADS (3) is how many, TRUNKLINE_SEED the lot."""

import json
import os
import random
import socket
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support", "e2e"))

from broker import Broker  # noqa: E402
from gateway import Gateway, new_key  # noqa: E402
from harness import SOON, eventually, expect, main, note  # noqa: E402
from hub import Hub  # noqa: E402
from load import check_arrivals  # noqa: E402
from mqtt_client import Mqtt5  # noqa: E402
from real_devices import Tank  # noqa: E402

RELOADS = int(os.environ.get("TRUNKLINE_RELOADS", "3"))
SEED = int(os.environ.get("TRUNKLINE_SEED", str(random.randrange(1 << 30))))
DEVICES = 9


class Device:
    """Speaks as its map of the moment says."""

    def __init__(self, scenario, name, coap_port):
        self.name = name
        self.sent = 0
        self.map = None  # (protocol, where, other options)
        self._port = scenario.ports.take
        self._coap = coap_port
        self._tank = Tank(scenario, name, coap_port, f"/{name}")

    def draw(self, lot):
        """Another map, or none."""
        protocol = lot.choice(["mqtt", "tcp", "coap", "tcp", "mqtt", None])
        if protocol is None:
            self.map = None
            return
        same = self.map is not None and self.map[0] == protocol and lot.random() < 0.5
        where = self.map[1] if same else self._port() if protocol == "tcp" else f"plant/{self.name}/{lot.randrange(3)}"
        self.map = (protocol, where, lot.choice(["", "max_messages = 5000\n", 'priority = "alarm"\n', "in_flight = 4\n"]))

    def text(self):
        protocol, where, more = self.map
        lines = {
            "mqtt": f'mqtt.telemetry = "{where}"\n',
            "tcp": f'tcp.listen = "127.0.0.1:{where}"\ntcp.ack = "OK\\n"\n',
            "coap": f'coap.telemetry = "/{self.name}/level"\n',
        }
        return f'[[device]]\nid = "{self.name}"\n{lines[protocol]}{more}'

    def speak(self, mqtt):
        """One message, until it is acknowledged."""
        protocol, where, _ = self.map
        self.sent += 1
        text = json.dumps({"n": self.sent})
        if protocol == "mqtt":
            expect(mqtt.publish(where, text.encode()) == 0, f"{self.name}: nobody hears {where}")
        elif protocol == "tcp":
            with socket.create_connection(("127.0.0.1", where), timeout=SOON) as link:
                link.sendall(text.encode() + b"\n")
                expect(link.recv(16) == b"OK\n", f"{self.name}: no acknowledgement")
        else:
            self._tank.read(text)


def body(scenario):
    note(f"TRUNKLINE_SEED={SEED}")
    lot = random.Random(SEED)
    coap_port = scenario.ports.take()
    devices = [Device(scenario, f"d{number}", coap_port) for number in range(DEVICES)]
    keys = {device.name: new_key() for device in devices} | {"vain": new_key()}
    broker = Broker(scenario)
    hub = Hub(scenario, keys)
    gateway = Gateway(scenario, hub, {}, keys, broker=broker, coap_port=coap_port)
    gateway.start()
    mqtt = Mqtt5(broker.port, "plant")
    folder = os.path.join(gateway.folder, "devices.d")
    eventually(lambda: gateway.adapter("mqtt")["healthy"], "the broker works")

    def write():
        for device in devices:
            path = os.path.join(folder, device.name + ".toml")
            if device.map:
                with open(path, "w", encoding="utf-8") as file:
                    file.write(device.text())
            elif os.path.exists(path):
                os.unlink(path)

    away = False
    for number in range(RELOADS):
        held = [device.map for device in devices]
        for device in lot.sample(devices, lot.randrange(1, DEVICES)):
            device.draw(lot)
        write()
        if lot.random() < 0.3:
            # Together with one whose port is taken: all of it is taken back, and what held before is heard.
            with socket.create_server(("127.0.0.1", 0)) as squatter:
                vain = os.path.join(folder, "vain.toml")
                with open(vain, "w", encoding="utf-8") as file:
                    file.write(f'[[device]]\nid = "vain"\ntcp.listen = "127.0.0.1:{squatter.getsockname()[1]}"\n')
                gateway.cli("reload", expected=1)
                os.unlink(vain)
            wanted = [device.map for device in devices]
            for device, old in zip(devices, held):
                device.map = old
            speak(devices, mqtt)
            for device, new in zip(devices, wanted):
                device.map = new
        gateway.cli("reload")
        speak(devices, mqtt)
        if lot.random() < 0.4:
            away = not away
            hub.ask("listen", mode="refuse" if away else "accept")
            if away:
                hub.ask("drop", how="rst")
        note(f"{number + 1}: {' '.join(device.map[0] if device.map else '-' for device in devices)}{', the hub is away' if away else ''}")

    hub.ask("listen", mode="accept")
    for device in devices:
        if device.sent:
            eventually(lambda one=device: hub.count(one.name) >= one.sent, f"all of {device.name} is at the hub", 2 * SOON)
        check_arrivals(device.name, hub.arrivals(device.name), device.sent, 0)
    note(f"{sum(device.sent for device in devices)} messages, all at the hub, in order")
    eventually(lambda: '"unaccounted":0' in gateway.cli("ledger", "--json").stdout.replace(" ", ""), "the ledger balances")
    expect(gateway.process.terminate() == 0, "the gateway did not end with 0 at SIGTERM")


def speak(devices, mqtt):
    for device in devices:
        for _ in range(2):
            if device.map:
                device.speak(mqtt)


if __name__ == "__main__":
    main("89_reload_random", body)
