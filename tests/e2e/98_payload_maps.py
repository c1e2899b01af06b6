#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Payload maps with devices of all three protocols: the same picks for each, and over MQTT groups, merged changes, dead band, rate,
the id out of the payload, retained messages by policy, and commands that our own wide filter hears again [I-02 C-01 D-05]."""

import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support", "e2e"))

from broker import Broker  # noqa: E402
from gateway import Gateway, new_key  # noqa: E402
from harness import eventually, expect, main, note  # noqa: E402
from hub import Hub  # noqa: E402
from real_devices import Scale, Tank  # noqa: E402

# Text to number, a unit, a constant; and a sample that `trunkline check` runs.
PICKS = """map.fields = { celsius = { at = "/t", number = true, factor = 0.1, offset = -40 }, site = { value = "hall" } }
map.properties = { unit = "degC" }
samples = [{ topic = "x", in = '{"t":"615 raw"}', out = '{"celsius":21.5,"site":"hall"}' }]
"""
RAW, PICKED = '{"t":"615 raw"}', {"celsius": 21.5, "site": "hall"}

MQTT_MAPS = """[[device]]
id = "changes"
mqtt.telemetry = "m/changes"
map = { change_only = true, dead_band = 0.5 }

[[device]]
id = "rare"
mqtt.telemetry = "m/rare"
map = { every = "1h" }

[[device]]
id = "merged"
mqtt.telemetry = "m/merged"
map = { merge = true }

[[device]]
id = "grouped"
mqtt.telemetry = "m/grouped/{what}"
map = { group = "1s", name = "{what}", number = true }

[[family]]
id = "lora-{value}"
mqtt.telemetry = "lora/up"
mqtt.id_from = "/devEUI"

[[device]]
id = "kept-state"
mqtt.telemetry = "r/state"

[[device]]
id = "kept-drop"
mqtt.telemetry = "r/drop"
mqtt.retained = "drop"

[[device]]
id = "kept-forward"
mqtt.telemetry = "r/forward"
mqtt.retained = "forward"

[[device]]
id = "loop"
mqtt.telemetry = "loop/{rest+}/state"
mqtt.command = "loop/cmd"
command_done = "acknowledged"
"""


def body(scenario):
    names = ["picks", "scale-2", "tank-3", "changes", "rare", "merged", "grouped", "lora-a1", "lora-b2", "kept-state", "kept-drop",
             "kept-forward", "loop"]
    keys = {name: new_key() for name in names}
    broker = Broker(scenario)
    hub = Hub(scenario, keys)
    coap_port = scenario.ports.take()
    scale = Scale(scenario, "scale-2", scenario.ports.take())
    tank = Tank(scenario, "tank-3", coap_port, "/tank3")
    maps = {
        "scale": scale.map() + PICKS.replace('topic = "x", ', ""), "tank": tank.map() + PICKS.replace('topic = "x", ', ""),
        "picks": '[[device]]\nid = "picks"\nmqtt.telemetry = "m/picks"\n' + PICKS.replace('"x"', '"m/picks"'),
        "mqtt": MQTT_MAPS,
    }
    gateway = Gateway(scenario, hub, maps, keys, broker=broker, coap_port=coap_port)
    note(gateway.cli("check").stdout.strip())
    for kind in ("state", "drop", "forward"):
        broker.publish(f"r/{kind}", kind, "-r")
    gateway.start()
    eventually(lambda: gateway.adapter("mqtt")["healthy"], "the broker works")

    def got(device):
        return [json.loads(arrival["body"]) for arrival in hub.arrivals(device)]

    def say(topic, *payloads):
        for payload in payloads:
            broker.publish(topic, payload)

    scale.connect()
    scale.read(RAW)
    tank.read(RAW)
    say("m/picks", RAW)
    for device in ("picks", "scale-2", "tank-3"):
        hub.wait_arrivals(device, 1)
        expect(got(device) == [PICKED], f"{device}: the hub has {got(device)}")
        properties = hub.arrivals(device)[0]["properties"]
        expect(properties.get("unit") == "degC", f"{device}: the hub has the properties {properties}")
    note("one map for MQTT, TCP and CoAP: " + json.dumps(PICKED))

    say("m/changes", '{"t":20.0}', '{"t":20.2}', '{"t":20.4}', '{"t":21}')
    hub.wait_arrivals("changes", 2)
    say("m/rare", '{"n":1}', '{"n":2}', '{"n":3}')
    say("m/merged", '{"a":1,"b":2}', '{"b":3}', '{"a":null}')
    hub.wait_arrivals("merged", 3)
    say("lora/up", '{"devEUI":"b2","v":1}', '{"devEUI":"a1","v":2}', '{"devEUI":"stranger","v":3}')
    hub.wait_arrivals("lora-a1", 1)
    expect(got("changes") == [{"t": 20.0}, {"t": 21}], f"changes: the hub has {got('changes')}")
    expect(got("rare") == [{"n": 1}], f"rare: the hub has {got('rare')}")
    expect(got("merged") == [{"a": 1, "b": 2}, {"a": 1, "b": 3}, {"b": 3}], f"merged: the hub has {got('merged')}")
    expect([entry["v"] for entry in got("lora-b2") + got("lora-a1")] == [1, 2], "the id out of the payload named another device")
    dropped = gateway.get("/metrics")[1]
    expect("trunkline_shaped_dropped_total" in dropped, "what a map dropped is not counted")

    say("m/grouped/temp", "21.5")
    say("m/grouped/hum", "40")

    def together():
        whole = {}
        for entry in got("grouped"):
            whole.update(entry)
        return whole

    eventually(lambda: together() == {"temp": 21.5, "hum": 40}, f"single values go up as an object; the hub has {got('grouped')}")

    hub.wait_arrivals("kept-state", 1)
    hub.wait_arrivals("kept-forward", 1)
    marked = [hub.arrivals(name)[0]["properties"].get("retained") for name in ("kept-state", "kept-forward")]
    expect(marked == ["true", None], f"retained messages are marked {marked}")
    expect(hub.count("kept-drop") == 0, "a retained message came through retained = \"drop\"")
    expect(gateway.metric("mqtt_retained_dropped_total") == 1, "the dropped retained message is not counted")

    unmapped = gateway.metric("mqtt_unmapped_total")
    sequence = hub.send_command("loop", "open")
    expect(hub.wait_outcome("loop", sequence) == "completed", "the command was not completed")
    broker.process.wait_line(r"Sending PUBLISH to trunkline \(.*'loop/cmd'")
    say("loop/a/b/state", '{"n":1}')
    hub.wait_arrivals("loop", 1)
    expect(got("loop") == [{"n": 1}], f"our own command came back as telemetry: {got('loop')}")
    expect(gateway.metric("mqtt_unmapped_total") == unmapped, "our own command is counted as an unknown topic")
    ledger = gateway.cli("ledger", "--json").stdout
    expect('"unaccounted":0' in ledger.replace(" ", ""), f"the ledger does not balance: {ledger}")
    expect(gateway.process.terminate() == 0, "the gateway did not end with 0 at SIGTERM")


if __name__ == "__main__":
    main("98_payload_maps", body)
