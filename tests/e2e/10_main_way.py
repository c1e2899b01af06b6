#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Three real devices, one AMQP connection, both ways: readings up, a command down to each, every outcome at the hub."""

import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support", "e2e"))

from broker import Broker  # noqa: E402
from gateway import Gateway, new_key  # noqa: E402
from harness import eventually, expect, main, note  # noqa: E402
from hub import Hub  # noqa: E402
from real_devices import Boiler, Scale, Tank  # noqa: E402

READINGS = 5


def body(scenario):
    keys = {device: new_key() for device in ("boiler-7", "scale-2", "tank-3")}
    broker = Broker(scenario)
    hub = Hub(scenario, keys)
    coap_port = scenario.ports.take()
    boiler = Boiler(scenario, "boiler-7", broker, "plant/boiler7")
    scale = Scale(scenario, "scale-2", scenario.ports.take())
    tank = Tank(scenario, "tank-3", coap_port, "/tank3")
    devices = [boiler, scale, tank]
    gateway = Gateway(
        scenario, hub, {device.device: device.map() for device in devices}, keys, broker=broker, coap_port=coap_port
    )
    check = gateway.cli("check")
    note(check.stdout.strip())
    gateway.start()
    broker.wait_subscribed("trunkline", ["plant/boiler7/state", "plant/boiler7/cmd/done"])
    eventually(lambda: (gateway.status() or {}).get("verdict") == "ok", "trunkline status says ok")
    scale.connect()
    tank.connect()

    for number in range(1, READINGS + 1):
        for device in devices:
            device.read(f'{{"device":"{device.device}","n":{number}}}')
    scale.wait_acknowledged(READINGS)
    for device in devices:
        hub.wait_arrivals(device.device, READINGS)
        arrivals = hub.arrivals(device.device)
        bodies = [arrival["body"] for arrival in arrivals]
        wanted = [f'{{"device":"{device.device}","n":{number}}}' for number in range(1, READINGS + 1)]
        expect(bodies == wanted, f"{device.device}: the hub has {bodies} instead of {wanted}")
        idents = {arrival["message_id"] for arrival in arrivals}
        expect(len(idents) == READINGS, f"{device.device}: message-ids repeat: {idents}")
        note(f"{device.device} ({device.protocol}): {READINGS} readings at the hub, in order, each once")

    for device in devices:
        command = f"open valve of {device.device}"
        sequence = hub.send_command(device.device, command)
        state = hub.wait_outcome(device.device, sequence)
        expect(state == "completed", f"{device.device}: the command ended as {state}")
        expect(device.commands == [command], f"{device.device} did {device.commands} instead of {command!r} once")
        note(f"{device.device} ({device.protocol}): did the command, the hub has it as {state}")

    expect(hub.connections_ever() == 1, f"the hub saw {hub.connections_ever()} AMQP connections instead of 1")
    status = gateway.status()
    expect(status["verdict"] == "ok", f"the verdict is {status['verdict']}")
    listed = {entry["id"]: entry["accepted"] for entry in status["devices"]}
    expect(listed == dict.fromkeys(keys, READINGS), f"status counts {listed}")
    for path in ("/healthz", "/readyz"):
        code, text = gateway.get(path)
        expect(code == 200, f"{path} answers {code}: {text}")
    code, text = gateway.get("/status.json")
    expect(code == 200 and json.loads(text)["verdict"] == "ok", f"/status.json answers {code}: {text}")
    expect(gateway.process.terminate() == 0, "the gateway did not end with 0 at SIGTERM")


if __name__ == "__main__":
    main("10_main_way", body)
