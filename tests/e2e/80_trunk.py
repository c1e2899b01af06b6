#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The trunk as its operator sees it: a secondary key, more devices than a connection holds, two gateways with one device,
a redirect and a throttle [R-01 I-01 D-02]."""

import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support", "e2e"))

from gateway import Gateway, new_key  # noqa: E402
from harness import eventually, expect, main, note  # noqa: E402
from hub import Hub  # noqa: E402
from tcp_client import TcpLoad  # noqa: E402

COMMAND = 'tcp.command = { send = "do {payload}\\n", reply = "done" }\n'


def device_map(name, port):
    return f'[[device]]\nid = "{name}"\ntcp.listen = "127.0.0.1:{port}"\ntcp.ack = "OK\\n"\n{COMMAND}\n'


def missing(hub, load):
    arrived = {json.loads(arrival["body"])["n"] for arrival in hub.arrivals(load.device)}
    return [number for number in range(1, load.acknowledged + 1) if number not in arrived]


def body(scenario):
    names = [f"pump-{i}" for i in range(5)]
    hub_keys = {name: new_key() for name in names}
    hub = Hub(scenario, {})
    for name in names:
        # At the hub this device's primary key was changed; the gateway knows the new one as the secondary.
        hub.ask("add_device", device=name, key=hub_keys[name])
    keys = dict(hub_keys)
    keys["pump-4"] = (new_key(), hub_keys["pump-4"])
    ports = {name: scenario.ports.take() for name in names}
    first = Gateway(scenario, hub, {"pumps": "".join(device_map(n, p) for n, p in ports.items())}, keys,
                    hub_table="max_devices_per_connection = 2\n", folder="first")
    process = first.start()
    loads = [TcpLoad(name, port, rate=20) for name, port in ports.items()]
    for load in loads:
        load.start()
    for name in names:
        hub.wait_arrivals(name, 20)

    status = first.status()["hub"]
    expect(status["connections"] == 3, f"five devices, two a connection: status shows {status['connections']} connections")
    expect(hub.connections_now() == 3, "the hub sees another number of connections")
    entry = first.device_status("pump-4")
    expect(entry["key"] == "secondary", f"pump-4 works with its {entry['key']} key")
    line, _ = process.wait_line(r"device_key_switched .*device=pump-4\b.*")
    note(f"the log says: {line.group(0)}")

    other_port = scenario.ports.take()
    second = Gateway(scenario, hub, {"pump": device_map("pump-0", other_port)}, {"pump-0": hub_keys["pump-0"]}, folder="second")
    second.start()
    rival = TcpLoad("pump-0", other_port, rate=5)
    rival.start()

    def conflict():
        for gateway in (first, second):
            entry = gateway.device_status("pump-0")
            if entry and entry["state"] == "quarantined" and "another client" in entry["fault"]:
                return gateway
        return None

    loser = eventually(conflict, "one of the two gateways leaves pump-0 to the other and says why", seconds=60)
    winner = second if loser is first else first
    eventually(lambda: winner.device_status("pump-0")["state"] == "ready", "the other one owns pump-0")
    verdict = loser.status()
    note(f"the loser says: {verdict['verdict']}: {verdict['reason']}; {verdict['action']}")
    expect("other client" in verdict["action"], "the advice does not name the other client")
    rival.finish()
    second.process.terminate()

    before = hub.count("pump-1")
    hub.ask("limits", sends_per_s=30, retry_after_ms=300)
    eventually(lambda: first.status()["hub"]["throttled"], "status shows that the hub throttles")
    hub.ask("limits", sends_per_s=0)
    hub.wait_arrivals("pump-1", before + 100, 60)
    for load in loads:
        load.finish()
    for load in loads[1:]:
        eventually(lambda: not missing(hub, load), f"everything that {load.device} was told is safe reaches the hub", seconds=30)
    note("nothing that was acknowledged is missing")


if __name__ == "__main__":
    main("80_trunk", body)
