#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`trunkline check --live` tries the broker, the hub and every key, beside a gateway that runs: what is wrong is named where it
stands, what cannot be seen is listed, and nobody is disturbed [D-02 I-01 S-01]."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support", "e2e"))

from broker import Broker  # noqa: E402
from gateway import Gateway, new_key  # noqa: E402
from harness import eventually, expect, main, note  # noqa: E402
from hub import Hub  # noqa: E402


def body(scenario):
    good = {"good": new_key(), "by-second": new_key(), "wrong": new_key()}
    broker = Broker(scenario)
    hub = Hub(scenario, good)
    keys = {"good": good["good"], "by-second": (new_key(), good["by-second"]), "wrong": new_key(), "ghost": new_key()}
    maps = {name: f'[[device]]\nid = "{name}"\nmqtt.telemetry = "plant/{name}/state"\n' for name in keys}
    gateway = Gateway(scenario, hub, maps, keys, broker=broker)
    gateway.start()
    eventually(lambda: gateway.adapter("mqtt")["healthy"], "the broker works")
    broker.publish("plant/good/state", "1")
    hub.wait_arrivals("good", 1)

    done = gateway.cli("check", "--live", expected=2)
    said = done.stdout + done.stderr
    for text in (
        "wrong.toml:1:1: device wrong: the hub refuses it: ", "ghost.toml:1:1: device ghost: the hub refuses it: ",
        "by-second.toml:1:1: warning: device by-second: only its secondary key works", "proven: it lets us in",
        "proven: it takes the keys of 2 devices", "proven: our session survives a lost connection",
        "proven: 2000 messages wait for us while we are away", "not checked: one device cannot publish on another's topic",
        "not so: a stranger cannot publish",
    ):
        expect(text in said, f"check --live does not say {text!r}:\n{said}")
    for key in keys.values():
        for secret in (key,) if isinstance(key, str) else key:
            expect(secret not in said, "a key is in the output")
    note(said.strip())

    broker.publish("plant/good/state", "2")
    hub.wait_arrivals("good", 2)
    expect(gateway.process.count_lines("broker_lost|uplink_lost") == 0, "the look disturbed the running gateway")

    hub.process.terminate()
    done = gateway.cli("check", "--live", expected=2)
    expect(f"hub {hub.host} at 127.0.0.1:{hub.port}: transport" in done.stderr, f"the hub's absence is not named: {done.stderr}")
    expect(gateway.process.terminate() == 0, "the gateway did not end with 0 at SIGTERM")


if __name__ == "__main__":
    main("99_check_live", body)
