#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Five firmwares by their presets, as captured: readings up, commands down, last wills, and the broker killed and restarted."""

import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support", "e2e"))

from broker import Broker  # noqa: E402
from gateway import Gateway, new_key  # noqa: E402
from harness import eventually, expect, main, note  # noqa: E402
from hub import Hub  # noqa: E402
from real_devices import tool  # noqa: E402

FAMILIES = """[[family]]
preset = "tasmota"
id = "plug-{topic}"

[[family]]
preset = "shelly"
id = "shelly-{topic}"

[[family]]
preset = "shelly-gen1"
id = "old-{topic}"

[[family]]
preset = "zigbee2mqtt"
id = "z-{name}"

[[family]]
preset = "esphome"
id = "esp-{topic}"
"""

PLUG, SHELLY, OLD, LAMP, ESP = (
    "plug-kitchen", "shelly-shellyplus1pm-a803", "old-shelly1pm-68C6", "z-hall%2Flamp", "esp-livingroom"
)

# Device, topic, payload as captured, what the hub shall have.
READINGS = [
    (PLUG, "tele/kitchen/SENSOR", '{"Time":"2024-05-01T12:00:00","ENERGY":{"Power":46,"Voltage":231}}',
     {"Time": "2024-05-01T12:00:00", "ENERGY": {"Power": 46, "Voltage": 231}}),
    (SHELLY, "shellyplus1pm-a803/events/rpc",
     '{"src":"shellyplus1pm-a803","dst":"x","method":"NotifyStatus","params":{"ts":1.5,"switch:0":{"id":0,"apower":8.9}}}',
     {"ts": 1.5, "switch:0": {"id": 0, "apower": 8.9}}),
    (SHELLY, "shellyplus1pm-a803/events/rpc",
     '{"src":"shellyplus1pm-a803","dst":"x","method":"NotifyStatus","params":{"ts":2.5,"switch:0":{"output":true}}}',
     {"ts": 2.5, "switch:0": {"id": 0, "apower": 8.9, "output": True}}),
    (LAMP, "zigbee2mqtt/hall/lamp", '{"state":"ON","brightness":254,"linkquality":65}',
     {"state": "ON", "brightness": 254, "linkquality": 65}),
]
# Single values, that go up together.
GROUPS = {
    OLD: ([("shellies/shelly1pm-68C6/relay/0", "on"), ("shellies/shelly1pm-68C6/relay/0/power", "46.70")],
          {"relay.0": "on", "relay.0.power": 46.7}),
    ESP: ([("livingroom/sensor/temperature/state", "21.4"), ("livingroom/switch/fan/state", "OFF")],
          {"temperature": 21.4, "fan": "OFF"}),
}
# Device, properties and body of the command, topic on which the device gets it, payload, and its answer.
COMMANDS = [
    (PLUG, {"command": "POWER"}, "ON", "cmnd/kitchen/POWER", "ON", ("stat/kitchen/RESULT", '{"POWER":"ON"}')),
    (SHELLY, {"method": "Switch.Set"}, '{"id":0,"on":true}', "shellyplus1pm-a803/rpc", None,
     ("trunkline/shellyplus1pm-a803/rpc", '{"id":%s,"src":"shellyplus1pm-a803","result":{"was_on":false}}')),
    (OLD, {"what": "relay/0"}, "off", "shellies/shelly1pm-68C6/relay/0/command", "off", None),
    (LAMP, {}, '{"state":"OFF"}', "zigbee2mqtt/hall/lamp/set", '{"state":"OFF"}', None),
    (ESP, {"component": "switch", "object": "fan"}, "ON", "livingroom/switch/fan/command", "ON", None),
]


def body(scenario):
    devices = (PLUG, SHELLY, OLD, LAMP, ESP)
    keys = {device: new_key() for device in devices}
    broker = Broker(scenario)
    hub = Hub(scenario, keys)
    gateway = Gateway(scenario, hub, {"families": FAMILIES}, keys, broker=broker)
    note(gateway.cli("check").stdout.strip())
    server = ["-h", "127.0.0.1", "-p", str(broker.port), "-q", "1"]

    def publish(topic, payload, *more):
        scenario.run([tool("mosquitto_pub"), *server, "-t", topic, "-m", payload, *more])

    def presence(device):
        return (gateway.device_status(device) or {}).get("presence")

    publish("tele/kitchen/LWT", "Online", "-r")
    gateway.start()
    eventually(lambda: all(presence(device) == "reachable" for device in devices), "all devices are reachable")

    wanted = {device: [] for device in devices}
    for device, topic, payload, out in READINGS:
        publish(topic, payload)
        wanted[device].append(out)
    for device, (values, out) in GROUPS.items():
        for topic, payload in values:
            publish(topic, payload)
        wanted[device].append(out)

    def merged(device):
        """Single values may fall into two groups on a slow machine; together they are the same."""
        together = {}
        for arrival in hub.arrivals(device):
            together.update(json.loads(arrival["body"]))
        return together

    for device, outs in wanted.items():
        hub.wait_arrivals(device, len(outs) if device not in GROUPS else 1)
        if device in GROUPS:
            eventually(lambda d=device, o=outs: merged(d) == o[0], f"{device}: the values {outs[0]} are at the hub")
        else:
            got = [json.loads(arrival["body"]) for arrival in hub.arrivals(device)]
            expect(got == outs, f"{device}: the hub has {got} instead of {outs}")
        note(f"{device}: {outs[-1]}")

    for device, properties, text, topic, payload, answer in COMMANDS:
        listener = scenario.start(
            f"{device.replace('%', '-')}-listens",
            [tool("mosquitto_sub"), *server, "-i", f"listens-{len(scenario.processes)}", "-t", topic, "-F", "GOT %p"],
        )
        broker.process.wait_line(rf"Sending SUBACK to listens-{len(scenario.processes) - 1}$")
        sequence = hub.ask("enqueue", device=device, body=text, properties=properties)["sequence"]
        _, _ = listener.wait_line(r"^GOT ")
        line = next(line for line in listener.lines if line.startswith("GOT "))[4:]
        if payload is None:
            expect(json.loads(line)["method"] == "Switch.Set", f"{device} got {line}")
            expect(json.loads(line)["params"] == json.loads(text), f"{device} got {line}")
        else:
            expect(line == payload, f"{device} got {line} instead of {payload}")
        if answer:
            reply = answer[1] % json.loads(line)["id"] if "%s" in answer[1] else answer[1]
            publish(answer[0], reply)
        state = hub.wait_outcome(device, sequence)
        expect(state == "completed", f"{device}: the command ended as {state}")
        note(f"{device}: did the command on {topic}")

    publish("tele/kitchen/LWT", "Offline", "-r")
    publish("zigbee2mqtt/bridge/state", '{"state":"offline"}', "-r")
    eventually(lambda: presence(PLUG) == "away" and presence(LAMP) == "away", "the wills are believed")
    expect(presence(OLD) == "reachable", "another device's will took this one away")
    publish("tele/kitchen/LWT", "Online", "-r")
    publish("zigbee2mqtt/bridge/state", '{"state":"online"}', "-r")
    eventually(lambda: presence(PLUG) == "reachable" and presence(LAMP) == "reachable", "the births are believed")

    publish("tele/stranger/SENSOR", "{}")
    publish("tele/kitchen/SENSOR", "raw bytes are fine here")
    hub.wait_arrivals(PLUG, 2)
    unknown = [adapter.get("unknown_topics", []) for adapter in gateway.status()["adapters"]]
    expect(["tele/stranger/SENSOR"] in unknown, f"status does not show the unknown topic: {unknown}")

    for forget in (False, True):
        broker.process.terminate()
        eventually(lambda: all(presence(device) == "away" for device in devices), "all are away with the broker")
        if forget:
            os.unlink(os.path.join(scenario.folder, "mosquitto", "mosquitto.db"))
        broker.start()
        eventually(lambda: all(presence(device) == "reachable" for device in devices), "all are back with the broker")
        count = hub.count(LAMP)
        publish("zigbee2mqtt/hall/lamp", '{"state":"%s"}' % ("NEW" if forget else "KEPT"))
        hub.wait_arrivals(LAMP, count + 1)
        note(f"the broker came back {'without' if forget else 'with'} its sessions, and readings flow")
    expect(gateway.process.terminate() == 0, "the gateway did not end with 0 at SIGTERM")


if __name__ == "__main__":
    main("90_mqtt_presets", body)
