#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What devices must not do, through mosquitto with the shipped rules: speak or listen for another, take the gateway's name, send
topics that are none, 300 KB, wrong JSON, 200 levels, twenty thousand new topics. It is stopped or counted and named, the
gateway's memory stays bounded, and the honest devices flow [I-01 I-02 D-06]."""

import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support", "e2e"))

from broker import Broker, make_certificate, set_password  # noqa: E402
from gateway import Gateway, new_key  # noqa: E402
from harness import eventually, expect, main, note  # noqa: E402
from hub import Hub  # noqa: E402
from mqtt_client import Mqtt5  # noqa: E402

SHIPPED = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "packaging", "mosquitto")
KITCHEN, HALL, METER = "plug-kitchen", "plug-hall", "meter"
FLOOD = 20_000
# A thousand topics of 60 bytes each kept would be seen; what an allocator keeps for itself is not.
MORE_MEMORY = 16 << 20

MAPS = """[[family]]
preset = "tasmota"
id = "plug-{topic}"

[[family]]
preset = "zigbee2mqtt"
id = "z-{name}"

[[device]]
id = "meter"
mqtt.telemetry = "plant/meter/state"
map = { fields = { value = "/v" } }
"""


def shipped_listeners(folder, device_port):
    """devices.conf as it is shipped, with this run's ports and files."""
    with open(os.path.join(SHIPPED, "devices.conf"), encoding="utf-8") as file:
        text = file.read()
    for old, new in (
        ("/etc/mosquitto/trunkline.acl", os.path.join(SHIPPED, "trunkline.acl")),
        ("/etc/mosquitto/trunkline.passwd", os.path.join(folder, "passwd")),
        ("/etc/mosquitto/certs/broker", os.path.join(folder, "broker")),
        ("listener 8883", f"listener {device_port} 127.0.0.1"),
    ):
        expect(old in text, f"devices.conf has no {old} any more")
        text = text.replace(old, new)
    return lambda port: text.replace("listener 1883 ", f"listener {port} ")


def memory_of(pid):
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
        return 1024 * next(int(line.split()[1]) for line in file if line.startswith("Pss:"))


def body(scenario):
    keys = {name: new_key() for name in (KITCHEN, HALL, METER, "z-lamp")}
    make_certificate(scenario.folder, "broker")
    for user in ("kitchen", "hall", "meter", "zigbee2mqtt"):
        set_password(os.path.join(scenario.folder, "passwd"), user, "secret-" + user)
    door = scenario.ports.take()
    broker = Broker(scenario, listeners=shipped_listeners(os.path.realpath(scenario.folder), door))
    hub = Hub(scenario, keys)
    gateway = Gateway(scenario, hub, {"devices": MAPS}, keys, broker=broker)
    # A sanitizer keeps what was freed; that is not the gateway's memory.
    os.environ["ASAN_OPTIONS"] = os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=1"
    gateway.start()
    eventually(lambda: gateway.adapter("mqtt")["healthy"], "the broker works")

    def device(user, client_id=None):
        return Mqtt5(door, client_id or "client-" + user, user, "secret-" + user, os.path.join(scenario.folder, "broker.pem"))

    def flows(name, client, topic, payload=b'{"n":1}'):
        count = hub.count(name)
        expect(client.publish(topic, payload) == 0, f"the broker does not let {name} speak for itself")
        hub.wait_arrivals(name, count + 1)

    def wait_metric(name, value):
        eventually(lambda: gateway.metric(name) >= value, f"{name} is {value}; it is {gateway.metric(name)}")

    kitchen, hall, meter = device("kitchen"), device("hall"), device("meter")
    flows(KITCHEN, kitchen, "tele/kitchen/SENSOR")
    flows(HALL, hall, "tele/hall/SENSOR")

    # Speaking for another, under one's own name.
    before = gateway.device_status(HALL)["last_heard"]
    expect(kitchen.publish("tele/hall/SENSOR", b"stolen") == 0x87, "the broker does not refuse what the kitchen says for the hall")
    broker.process.wait_line(r"Denied PUBLISH from \S*kitchen \(d0, q1, .*'tele/hall/SENSOR'")
    expect(hub.count(HALL) == 1 and gateway.device_status(HALL)["last_heard"] == before, "the hall was heard by another's voice")
    # Listening for another: the subscription stands, nothing is delivered to it. (Mosquitto ends the connection of who was refused.)
    kitchen = device("kitchen")
    kitchen.subscribe("cmnd/hall/POWER")
    hub.ask("enqueue", device=HALL, body="ON", properties={"command": "POWER"})
    broker.process.wait_line(r"Received PUBLISH from trunkline .*'cmnd/hall/POWER'")
    expect(kitchen.nothing_comes(1), "the kitchen hears the hall's commands")
    # Under the gateway's name: it stays the kitchen, whose one connection it takes.
    thief = device("kitchen", "trunkline")
    expect(thief.publish("tele/hall/SENSOR", b"stolen") == 0x87, "a device that calls itself trunkline speaks for all")
    flows(HALL, hall, "tele/hall/SENSOR")
    expect(gateway.process.count_lines("broker_lost") == 0, "a device threw the gateway out")
    note("another's topics, commands and the gateway's session are out of reach, and the broker's log names who tried")

    # No topic at all.
    expect(device("kitchen").publish(b"tele/kitchen/\xff\xfe", b"1") is None, "mosquitto takes a topic that is no UTF-8")
    flows(HALL, hall, "tele/hall/SENSOR")

    # 300 KB.
    kitchen = device("kitchen")
    kitchen.publish("tele/kitchen/SENSOR", b"x" * 300_000)
    gateway.process.wait_line(rf"message_refused .*device={KITCHEN} .*oversize")
    flows(KITCHEN, kitchen, "tele/kitchen/SENSOR")
    expect(gateway.metric("mqtt_refused_total") == 1, "the large message is not counted")

    # Not what the map expects.
    for wrong in (b'{"v":', b"not json", b"\xff\xfe\x00", b"[" * 100_000):
        expect(meter.publish("plant/meter/state", wrong) == 0, "the broker refuses the meter")
    gateway.process.wait_line(rf"message_refused .*device={METER} ")
    flows(METER, meter, "plant/meter/state", b'{"v":7}')
    got = [json.loads(arrival["body"]) for arrival in hub.arrivals(METER)]
    expect(got == [{"value": 7}], f"the hub has {got} of the meter")
    # 200 levels pass the broker; more do not.
    bridge = device("zigbee2mqtt")
    unmapped = gateway.metric("mqtt_unmapped_total")
    expect(bridge.publish("zigbee2mqtt" + "/a" * 199, b"deep") == 0, "the broker refuses 200 levels")
    wait_metric("mqtt_unmapped_total", unmapped + 1)
    expect(device("hall").publish("plant/hall" + "/a" * 300, b"deeper") is None, "mosquitto takes 302 levels")

    def flood(start, count):
        unmapped = gateway.metric("mqtt_unmapped_total")
        bridge.publish_all(((f"zigbee2mqtt/newcomer-{n:08d}-with-a-long-name-that-nobody-knows", b"1") for n in range(start, start + count)), 20)
        wait_metric("mqtt_unmapped_total", unmapped + count)

    flood(0, FLOOD // 4)
    used = memory_of(gateway.process.pid)
    flood(FLOOD // 4, FLOOD - FLOOD // 4)
    more = memory_of(gateway.process.pid) - used
    note(f"{FLOOD} new topics: {more / 1024:.0f} KiB more memory after the last {FLOOD - FLOOD // 4}")
    expect(more < MORE_MEMORY, f"new topics took {more} bytes")
    sample = gateway.adapter("mqtt")["unknown_topics"]
    expect(len(sample) == 20, f"the sample of unknown topics has {len(sample)}")
    text = gateway.cli("status", expected=None).stdout
    expect("nobody's topics" in text and "zigbee2mqtt/" in text, f"trunkline status does not show unknown topics:\n{text}")
    for name, client, topic in ((KITCHEN, kitchen, "tele/kitchen/SENSOR"), (HALL, device("hall"), "tele/hall/SENSOR")):
        flows(name, client, topic)
    expect(gateway.process.count_lines("broker_lost") == 0, "the gateway lost its broker over it")
    expect(gateway.process.terminate() == 0, "the gateway did not end with 0 at SIGTERM")


if __name__ == "__main__":
    main("93_mqtt_input", body)
