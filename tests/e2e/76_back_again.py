#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Methods and twins after everything that stands between: the broker killed, the gateway killed with the hub away, the
hub's connection lost. Subscriptions are back without help; desired properties come from the gateway's own disk; state
that a map decodes, presence and what is too large for a twin are told."""

import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support", "e2e"))

from call_devices import CallPlant, Mqtt5CallDevice  # noqa: E402
from harness import eventually, expect, main, note  # noqa: E402

WIDE = 'tcp.framing = { kind = "line", end = "\\n", max = "256KiB" }\n'
STATE = 'map = { report = ["mode"], change_only = true }\n'


def call(hub, device, numbers):
    """Until the hub can reach it; then the sum."""
    got = eventually(
        lambda: (lambda one: one if one[0] == 200 and one[1] == 200 else None)(hub.call(device.device, "add", numbers)),
        f"{device.device} can be called",
    )
    expect(got[2] == sum(numbers), f"{device.device}: add({numbers}) gave {got}")


def of_gateway(hub, device):
    return hub.twin(device.device)["reported"].get("gateway", {})


def body(scenario):
    more = {"press-1": STATE, "tank-1": "", "scale-1": WIDE + STATE, "drill-1": 'method_timeout = "3s"\n'}
    plant = CallPlant(scenario, lambda one: more[one.device], lambda broker: [Mqtt5CallDevice(scenario, "drill-1", broker)])
    broker, hub, gateway, devices = plant.broker, plant.hub, plant.gateway, plant.devices
    (press, tank, scale), (drill,) = devices, plant.others
    plant.start()
    for device in devices:
        call(hub, device, [1, 2])
        hub.twin(device.device, {"rate": 5})
        eventually(lambda one=device: one.state == {"rate": 5}, f"{device.device} has its desired state")

    call(hub, drill, [1, 2])
    expect(hub.call(drill.device, "refuse")[1:] == (409, {"why": "busy welding"}), "its refusal is its own")
    expect(hub.call(drill.device, "sleep")[:2] == (200, 504), "silence is 504")
    drill.answer(drill.calls[-1][0], 200, '"late"')
    call(hub, drill, [20, 22])
    note("MQTT 5 request and response: answers by correlation data, a late one answers nobody")

    # What telemetry says of a device's state is in its twin, and said once.
    for value in ("eco", "full"):
        press._say("state", json.dumps({"t": 20, "mode": value}))
        scale.say(json.dumps({"t": 20, "mode": value}))
        for device in (press, scale):
            hub.wait_reported(device.device, {"mode": value})
    before = hub.twin(scale.device)["reported_version"]
    for number in range(5):
        scale.say(json.dumps({"t": number, "mode": "full"}))
    eventually(lambda: hub.count(scale.device) == 7, "all readings arrived")
    expect(hub.twin(scale.device)["reported_version"] <= before + 1, "state that did not change was said again")
    note("state that a map decodes becomes reported properties, when it changes")

    for device in devices:
        eventually(lambda one=device: of_gateway(hub, one).get("connected") is True, f"{device.device}: connected")
    scale.disconnect()
    eventually(lambda: of_gateway(hub, scale).get("connected") is False, "a device that goes is told as not connected")
    said = of_gateway(hub, scale)
    expect("since" in said and "lastHeard" in said, f"since when, and when it was heard: {said}")
    scale.connect()
    note("connection state and when a device was heard are in its twin")

    # Beyond the 32 KiB of a twin: told, and nothing is stuck.
    for number in range(12):
        scale.report_more(f"big{number}", "x" * 3_500)
    gateway.process.wait_line(r"twin_report_refused .*scale-1")
    eventually(
        lambda: "32 KiB" in (gateway.device_status(scale.device) or {}).get("twin", {}).get("fault", ""),
        "status says that the twin is too large",
    )
    for number in range(12):
        scale.report_more(f"big{number}", None)
    scale.report_more("door", "open")
    hub.wait_reported(scale.device, {"door": "open"})
    call(hub, scale, [3])
    note("a twin beyond its limit is told in log and status, and works again when it is smaller")

    # A call that is no JSON is the caller's fault, whatever the device could do with it.
    for device in devices:
        calls = len(device.calls)
        answer = hub.ask("call_method", device=device.device, method="add", payload_text='{"a":', response_timeout_ms=20_000)
        expect(answer.get("status") == 400 and "JSON" in str(answer.get("payload")), f"no JSON gave {answer}")
        expect(len(device.calls) == calls, f"{device.device} was called with it")
        call(hub, device, [9])
    note("a call that is no JSON is 400 and never reaches a device")

    broker.process.kill()
    eventually(lambda: not gateway.adapter("mqtt")["healthy"], "the gateway sees that the broker is gone")
    broker.start()
    call(hub, press, [4, 5])
    call(hub, drill, [4, 5])
    version = hub.twin(press.device, {"rate": 6})["desired_version"]
    eventually(lambda: of_gateway(hub, press).get("desiredVersion") == version, "confirmed through the new broker")
    note("after kill -9 of the broker: methods and twins are back without help")

    hub.ask("drop", how="rst")
    for device in devices:
        call(hub, device, [6])
    note("after a lost connection to the hub")

    # The hub is gone, and the gateway starts anew: what is desired comes from its disk.
    hub.process.terminate()
    gateway.kill()
    tank.disconnect()
    scale.disconnect()
    for device in devices:
        device.state.clear()
    gateway.start()
    eventually(lambda: gateway.adapter("mqtt")["healthy"], "the broker is there")
    tank.connect()
    scale.connect()
    for device in devices:
        wanted = {"rate": 6 if device is press else 5}
        eventually(lambda one=device, state=wanted: one.state == state, f"{device.device}: desired state without the hub")
    note("after kill -9 without the hub: each device got its desired state from the gateway's disk")
    hub.start()
    for device in devices:
        call(hub, device, [7, 8])
    note("the hub came back: methods are back")
    expect(gateway.process.terminate() == 0, "the gateway did not end with 0 at SIGTERM")


if __name__ == "__main__":
    main("76_back_again", body)
