#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Two thousand plugs behind the filters of one family, each its own identity at the hub: everybody is heard, last wills take
the right ones away, commands find their one device [I-01 I-02 C-02].

TRUNKLINE_PLUGS (2000) chooses how many.
"""

import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support", "e2e"))

from broker import Broker  # noqa: E402
from gateway import Gateway, new_key  # noqa: E402
from harness import SOON, eventually, expect, main, note  # noqa: E402
from hub import Hub  # noqa: E402
from mqtt_client import Mqtt5  # noqa: E402

PLUGS = int(os.environ.get("TRUNKLINE_PLUGS", "2000"))
GONE = range(0, PLUGS, 100)
FAMILY = '[[family]]\npreset = "tasmota"\nid = "plug-{topic}"\n'


def body(scenario):
    keys = {f"plug-p{n}": new_key() for n in range(PLUGS)}
    broker = Broker(scenario)
    hub = Hub(scenario, {})
    for device, key in keys.items():
        hub.ask("add_device", device=device, key=key)
    gateway = Gateway(scenario, hub, {"plugs": FAMILY}, keys, broker=broker, hub_table='attach_rate = "off"\n',
                      durability="process")
    gateway.start()
    eventually(lambda: gateway.adapter("mqtt")["healthy"], "the broker works")
    filters = broker.process.count_lines("Sending SUBACK to trunkline$")
    expect(filters <= 10, f"{PLUGS} devices took {filters} subscriptions")

    plugs = Mqtt5(broker.port, "plugs")
    plugs.publish_all((f"tele/p{n}/LWT", b"Online") for n in range(PLUGS))
    plugs.publish_all((f"tele/p{n}/SENSOR", b'{"n":%d}' % n) for n in range(PLUGS))

    def heard():
        return {entry["device"]: entry["arrivals"] for entry in hub.ask("devices")["devices"]}

    eventually(lambda: all(count >= 1 for count in heard().values()), "the hub heard every plug", 3 * SOON, 0.3)
    expect(set(heard().values()) == {1}, "the hub heard some plug more than once")
    for n in (0, 1, PLUGS // 2, PLUGS - 1):
        got = hub.arrivals(f"plug-p{n}")[0]["body"]
        expect(got == '{"n":%d}' % n, f"plug-p{n} said {got}")
    note(f"{PLUGS} plugs by {filters} subscriptions, each one at the hub by its own identity")

    for n in GONE:
        expect(plugs.publish(f"tele/p{n}/LWT", b"Offline") is not None, "the broker ended the connection")
    gone = {f"plug-p{n}" for n in GONE}

    def away():
        return {entry["id"] for entry in gateway.status()["devices"] if entry["presence"] == "away"}

    eventually(lambda: away() == gone, f"exactly {len(gone)} plugs are away", pause=0.5)

    sequence = {}
    for n in (1, PLUGS // 2 + 1, PLUGS - 1, 0):
        device = f"plug-p{n}"
        sequence[device] = hub.ask("enqueue", device=device, body=str(n), properties={"command": "POWER"})["sequence"]
    for n in (1, PLUGS // 2 + 1, PLUGS - 1):
        broker.process.wait_line(rf"Received PUBLISH from trunkline .*'cmnd/p{n}/POWER'")
        plugs.publish(f"stat/p{n}/RESULT", b'{"POWER":"ON"}')
        state = hub.wait_outcome(f"plug-p{n}", sequence[f"plug-p{n}"])
        expect(state == "completed", f"the command of plug-p{n} ended as {state}")
    sent = [line for line in broker.process.lines if re.search(r"Received PUBLISH from trunkline .*'cmnd/", line)]
    expect(len(sent) == 3, f"commands went to {sent}")
    # The one that is gone gets it when it comes back.
    expect(plugs.publish("tele/p0/LWT", b"Online") is not None, "the broker ended the connection")
    broker.process.wait_line(r"Received PUBLISH from trunkline .*'cmnd/p0/POWER'")
    plugs.publish("stat/p0/RESULT", b'{"POWER":"ON"}')
    expect(hub.wait_outcome("plug-p0", sequence["plug-p0"]) == "completed", "the command of plug-p0 did not wait for it")
    eventually(lambda: away() == gone - {"plug-p0"}, "one plug came back", pause=0.5)

    plugs.publish_all((f"tele/p{n}/SENSOR", b"2") for n in range(PLUGS))
    eventually(lambda: set(heard().values()) == {2}, "every plug was heard again", 3 * SOON, 0.3)
    expect(gateway.process.terminate() == 0, "the gateway did not end with 0 at SIGTERM")


if __name__ == "__main__":
    main("94_mqtt_many", body)
