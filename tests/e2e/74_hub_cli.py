#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`trunkline hub`: devices, send, feedback, call and twin, from an operator's shell to a device and back; and what it says
when the hub or the device will not. A module beside a device, with links of its own."""

import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support", "e2e"))

from call_devices import TcpCallDevice  # noqa: E402
from gateway import Gateway, new_key  # noqa: E402
from harness import eventually, expect, main, note  # noqa: E402
from hub import Hub  # noqa: E402

COMMAND = 'tcp.command = { send = "CMD {id} {payload}\\n", reply = "DONE {id}" }'


class Device(TcpCallDevice):
    def _line(self, line):
        if line.startswith("CMD "):
            self.say("DONE " + line.split(" ", 2)[1])
        else:
            super()._line(line)


def body(scenario):
    names = ("scale-1", "scale-1/meter", "gone-1")
    keys = {name: new_key() for name in names}
    hub = Hub(scenario, keys, arguments=["--https", f"127.0.0.1:{scenario.ports.take()}"])
    hub.ask("limits", feedback_delay_ms=200)
    scale = Device(scenario, names[0], scenario.ports.take())
    meter = Device(scenario, names[1], scenario.ports.take())
    maps = {f"map-{number}": one.map(COMMAND) for number, one in enumerate((scale, meter))}
    gateway = Gateway(scenario, hub, maps, keys)
    gateway.start()
    scale.connect()
    meter.connect()

    listed = hub.service("devices")
    expect("scale-1" in listed and "gone-1" in listed and "symmetricKey" not in listed, f"devices printed {listed}")
    raw = hub.service("devices", "--json")
    expect(all(key not in raw for key in keys.values()), "a list of devices shows keys")

    for device in (scale, meter):
        eventually(lambda one=device: hub.call(one.device, "add", [1])[1] == 200, f"{device.device} can be called")
        answer = hub.service("call", device.device, "add", "[20,22]")
        expect(answer == "200 42", f"call printed {answer!r}")
        expect(json.loads(hub.service("call", device.device, "add", "[1]", "--json"))["payload"] == 1, "call --json")
        shown = hub.service("twin", device.device, "--desired", '{"rate":5}', "--tags", '{"hall":2}')
        expect(json.loads(shown)["properties"]["desired"]["rate"] == 5, f"twin printed {shown}")
        hub.wait_reported(device.device, {"rate": 5})
        expect(json.loads(hub.service("twin", device.device))["tags"]["hall"] == 2, "the twin has no tags")

        ident = hub.service(
            "send", device.device, "open valve", "--ack", "full", "--property", "hall=2", "--content-type", "text/plain"
        )
        told = hub.service("feedback", "--count", "1", "--wait", "60")
        expect(ident in told and "Success" in told, f"feedback printed {told!r} for {ident}")
        note(f"{device.device}: called, its twin changed, a command sent and its outcome told")

    # Refusals in the hub's or the device's words, exit status 1; wrong use is 2.
    expect("404" in hub.service("twin", "nobody", expected=1), "a twin of nobody")
    expect("not-found" in hub.service("send", "nobody", "x", expected=1), "a message to nobody")
    expect("404" in hub.service("call", "gone-1", "add", "[1]", expected=1), "a call to a device without a gateway")
    denied = hub.service("devices", expected=1, policy="service")
    expect("401" in denied or "403" in denied, f"a policy without the right: {denied!r}")
    hub.service("twin", "scale-1", "--desired", "[1]", expected=2)
    done = scenario.run([scenario.program("trunkline"), "hub", "devices"], expected=2)
    expect("connection string" in done.stderr, f"without a connection string: {done.stderr!r}")
    done = scenario.run([scenario.program("trunkline"), "hub", "--help"])
    expect("TRUNKLINE_CONNECTION_STRING" in done.stdout, "the help does not say where the connection string comes from")
    note("refusals are told in the hub's words")
    expect(gateway.process.terminate() == 0, "the gateway did not end with 0 at SIGTERM")


if __name__ == "__main__":
    main("74_hub_cli", body)
