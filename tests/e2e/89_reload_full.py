#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Maps change while the hub is away and the spool is full, so that no MQTT message can be taken and nobody can call the
broker: the reload is done all the same, a device changes its protocol with a backlog, another goes; all that was safe
arrives, in order, and what was subscribed to late is heard [D-02 D-03 D-06 R-01]."""

import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support", "e2e"))

from broker import Broker  # noqa: E402
from gateway import Gateway, new_key  # noqa: E402
from harness import SOON, eventually, expect, main, note  # noqa: E402
from hub import Hub  # noqa: E402
from load import check_arrivals  # noqa: E402
from mqtt_client import MqttLoad  # noqa: E402
from tcp_client import TcpLoad  # noqa: E402


def body(scenario):
    keys = {name: new_key() for name in ("loud", "quiet", "t1", "t2")}
    broker = Broker(scenario)
    hub = Hub(scenario, keys)
    ports = {name: scenario.ports.take() for name in ("t1", "t2")}
    maps = {name: f'[[device]]\nid = "{name}"\nmqtt.telemetry = "plant/{name}"\n' for name in ("loud", "quiet")}
    maps |= {name: f'[[device]]\nid = "{name}"\ntcp.listen = "127.0.0.1:{port}"\ntcp.ack = "OK\\n"\n'
             for name, port in ports.items()}
    gateway = Gateway(scenario, hub, maps, keys, broker=broker, durability="process",
                      spool='max_bytes = "1MiB"\ndevice_share = "100%"\n')
    gateway.start()
    eventually(lambda: gateway.adapter("mqtt")["healthy"], "the broker works")
    scales = {name: TcpLoad(name, port, rate=50) for name, port in ports.items()}
    for scale in scales.values():
        scale.start()
        scale.wait_acknowledged(10)

    hub.ask("listen", mode="refuse")
    hub.ask("drop", how="rst")
    for scale in scales.values():
        scale.wait_acknowledged(scale.acknowledged + 20)
        scale.finish()
    loud = MqttLoad("loud", broker.port, "plant/loud", rate=400, padding=4000)
    loud.start()
    log = broker.process

    def held():
        taken = log.count_lines("Received PUBLISH from device-loud ")
        return taken - log.count_lines("Received PUBACK from trunkline ") > 100

    eventually(held, "the spool is full, the broker holds messages", 2 * SOON, 0.2)
    loud.finish()
    note("the hub is away, the spool is full, the broker is held")

    def write(name, text):
        with open(os.path.join(gateway.folder, "devices.d", name + ".toml"), "w", encoding="utf-8") as file:
            file.write(text)

    # t1 speaks MQTT from now on, t2 goes, and quiet is heard on another topic.
    write("t1", '[[device]]\nid = "t1"\nmqtt.telemetry = "plant/t1"\n')
    os.unlink(os.path.join(gateway.folder, "devices.d", "t2.toml"))
    write("quiet", '[[device]]\nid = "quiet"\nmqtt.telemetry = "plant/elsewhere"\n')
    gateway.cli("reload")
    gateway.process.wait_line("subscription_put_off")
    # And once more, while the first is still owed to the broker.
    write("quiet", '[[device]]\nid = "quiet"\nmqtt.telemetry = "plant/there"\n')
    gateway.cli("reload")
    expect(held(), "it was not held all the time")
    rows = {entry["id"]: entry for entry in gateway.status()["devices"]}
    expect(rows["t2"]["waiting"] > 0 and rows["t2"]["mapped"] is False, f"what waits of the removed one: {rows['t2']}")
    note("reloaded twice meanwhile")

    hub.ask("listen", mode="accept")
    broker.wait_subscribed("trunkline", ["plant/there"])
    broker.publish("plant/there", json.dumps({"n": 1}))
    for number in range(3):
        broker.publish("plant/t1", json.dumps({"n": scales["t1"].sent + 1 + number}))
    eventually(lambda: gateway.device_status("t2") is None, "the removed one is gone once all of it was sent", 3 * SOON)
    sent = {"loud": loud.sent, "quiet": 1, "t1": scales["t1"].sent + 3, "t2": scales["t2"].sent}
    for name, count in sent.items():
        eventually(lambda one=name, wanted=count: hub.count(one) >= wanted, f"all of {name} is at the hub", 3 * SOON, 0.2)
        check_arrivals(name, hub.arrivals(name), count, 0)
    note(f"all at the hub, in order: {sent}")
    eventually(lambda: '"unaccounted":0' in gateway.cli("ledger", "--json").stdout.replace(" ", ""), "the ledger balances")
    expect(gateway.process.terminate() == 0, "the gateway did not end with 0 at SIGTERM")


if __name__ == "__main__":
    main("89_reload_full", body)
