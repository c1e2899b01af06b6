#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Methods and twins, both ways, for devices of all three protocols with real clients: answers, refusals, silence, late
answers, a device away, a gateway killed in the middle, a lost connection to the hub, and a hub that is away."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support", "e2e"))

from call_devices import CallPlant  # noqa: E402
from harness import eventually, expect, main, note  # noqa: E402

TIMEOUT = 'method_timeout = "2s"\n'
WIDE = 'tcp.framing = { kind = "line", end = "\\n", max = "256KiB" }\n'


def call(hub, device, name, payload, status, answer):
    """Until the hub can reach it; then this very answer."""
    got = eventually(
        lambda: (lambda one: one if one[0] != 404 and one[1] != 404 else None)(hub.call(device.device, name, payload)),
        f"{device.device} can be called",
    )
    expect(got == (200, status, answer), f"{device.device}: {name}({payload}) gave {got}, not {status} {answer}")


def confirmed(hub, device, version, state):
    hub.wait_reported(device.device, state)
    eventually(
        lambda: hub.twin(device.device)["reported"].get("gateway", {}).get("desiredVersion") == version,
        f"{device.device}: version {version} of the desired properties is confirmed",
    )


def body(scenario):
    plant = CallPlant(scenario, lambda one: TIMEOUT + (WIDE if one.protocol == "TCP" else ""))
    broker, hub, gateway, devices = plant.broker, plant.hub, plant.gateway, plant.devices
    press, tank, scale = devices
    plant.start()

    for device in devices:
        call(hub, device, "add", [1, 2, 3], 200, 6)
        call(hub, device, "refuse", None, 409, {"why": "busy welding"})
        call(hub, device, "talk", None, 200, "plain words")
        note(f"{device.device} ({device.protocol}): answers, refuses and talks")

    # What cannot go up is told and counted, and nothing is stuck behind it.
    status, code, answer = hub.call(scale.device, "flood", None)
    expect((status, code) == (200, 502) and "128 KiB" in answer["error"], f"a flood gave {status} {code} {str(answer)[:80]}")
    for bad in ('STATE {"a.b":1}', "STATE nonsense", 'STATE {"big":"' + "x" * 5000 + '"}', "ANSWER 999 200 1"):
        scale.say(bad)
    gateway.process.wait_line(r"report_refused .*scale-1")
    gateway.process.wait_line(r"command_reply_ignored .*scale-1")
    press.answer("999", 200, "1")
    eventually(lambda: gateway.metric("mqtt_replies_unmatched_total") >= 1, "an answer to nobody is counted")
    expect(tank.answer("999", 200, "1") == "4.04", "an answer to nobody is refused")
    call(hub, scale, "measure", "x" * 120_000, 200, 120_002)  # several frames long
    status, code, _ = hub.call(scale.device, "add", "x" * 200_000)
    expect((status, code) == (200, 400), f"a payload beyond 128 KiB gave {status} {code}")
    for device in devices:
        call(hub, device, "add", [4, 5], 200, 9)
    note("what is too large, refused by the hub's rules, or answers nobody, is told; the next call works")

    # Silence is 504, and the answer that comes later is nobody's.
    for device in devices:
        status, code, answer = hub.call(device.device, "sleep", {"n": 1})
        expect((status, code) == (200, 504), f"{device.device}: a silent device gave {status} {code} {answer}")
        device.answer(device.calls[-1][0], 200, '"late"')
        call(hub, device, "add", [20, 22], 200, 42)
    note("silence is 504, late answers answer nobody")

    for device in devices:
        version = hub.twin(device.device, {"rate": 5, "mode": "eco"})["desired_version"]
        confirmed(hub, device, version, {"rate": 5, "mode": "eco"})
        version = hub.twin(device.device, {"mode": None, "rate": 7})["desired_version"]
        eventually(lambda one=device: one.state == {"rate": 7}, f"{device.device} has the second state")
        confirmed(hub, device, version, {"rate": 7})
        device.state["door"] = "open"
        device.report(None)
        hub.wait_reported(device.device, {"door": "open"})
        note(f"{device.device} ({device.protocol}): desired and reported properties, both ways")

    hub.ask("drop", how="rst")
    for device in devices:
        call(hub, device, "add", [1], 200, 1)
    note("after a lost connection to the hub: methods are back")

    # Killed with calls under way: each ends once, at the hub; then everything is back without help.
    gateway.kill()
    tank.disconnect()
    gateway.start()
    broker.wait_subscribed("trunkline", [f"{press.topic}/answer"])
    tank.connect()
    for device in devices:
        call(hub, device, "add", [2, 3], 200, 5)
        version = hub.twin(device.device, {"rate": 9})["desired_version"]
        confirmed(hub, device, version, {"rate": 9})
    note("after kill -9: methods and twins are back")

    # Away: the caller is told at once, and what is desired waits.
    scale.disconnect()
    eventually(lambda: hub.call(scale.device, "add", [1])[:2] in ((200, 404), (404, None)), "the caller hears 404")
    version = hub.twin(scale.device, {"rate": 11})["desired_version"]
    scale.writes.clear()
    scale.connect()
    confirmed(hub, scale, version, {"rate": 11})
    note("a device that was away has its desired state as soon as it is back")

    # The hub away: the device that comes back gets what the gateway remembers.
    hub.process.terminate()
    scale.disconnect()
    scale.state.clear()
    scale.connect()
    eventually(lambda: scale.state.get("rate") == 11, "the desired state comes while the hub is away")
    expect(gateway.process.terminate() == 0, "the gateway did not end with 0 at SIGTERM")


if __name__ == "__main__":
    main("71_methods_twins", body)
