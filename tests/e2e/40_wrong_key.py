#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A wrong key: that device is refused, log and status say so, the others work on, the right key heals [I-01 S-01]."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support", "e2e"))

from gateway import new_key  # noqa: E402
from harness import eventually, expect, main, note  # noqa: E402
from plant import Plant  # noqa: E402
from tcp_client import TcpLoad  # noqa: E402

BAD = "bad-4"


def body(scenario):
    right, wrong = new_key(), new_key()
    port = scenario.ports.take()
    plant = Plant(
        scenario,
        hub_keys={BAD: right},
        more_keys={BAD: wrong},
        more_maps={BAD: f'[[device]]\nid = "{BAD}"\ntcp.listen = "127.0.0.1:{port}"\ntcp.ack = "OK\\n"\n'},
    )
    gateway = plant.gateway.process
    # A device is authorised when it has something to say.
    bad = TcpLoad(BAD, port, rate=20)
    bad.start()
    line, _ = gateway.wait_line(rf"device_refused .*device={BAD}\b.*")
    note(f"the log says: {line.group(0)}")
    gateway_lines = len(gateway.lines)

    plant.start_load()
    for device in plant.devices:
        plant.hub.wait_arrivals(device.device, 50)
    bad.wait_acknowledged(20)  # its readings are safe, on this side

    entry = eventually(lambda: _refused(plant), f"status shows {BAD} as refused")
    note(f"status says: {entry['state']}: {entry['fault']}")
    others = [plant.gateway.device_status(device.device) for device in plant.devices]
    expect(all(other["state"] != entry["state"] and not other["fault"] for other in others), f"others suffer: {others}")
    expect(plant.hub.count(BAD) == 0, "the hub took a message under a wrong key")
    refusals = gateway.count_lines(rf"device_refused .*device={BAD}\b", start=gateway_lines)
    expect(refusals <= 20, f"the refusal was logged {refusals} times more: nothing holds it back")
    expect(plant.hub.connections_ever() == 1, "the wrong key cost the others their connection")

    plant.gateway.cli("identity", "add", BAD, "--key-file", "-", stdin=right + "\n")
    plant.hub.wait_arrivals(BAD, 20, 180)
    bad.finish()
    note("with the right key its readings arrive, without a restart")
    plant.drain()
    plant.check()
    secrets = [wrong, right, *plant.keys.values()]
    leaked = [process.name for process in scenario.processes if any(key in "\n".join(process.lines) for key in secrets)]
    expect(not [name for name in leaked if name.startswith("gateway")], "a key stands in the gateway's log")


def _refused(plant):
    entry = plant.gateway.device_status(BAD)
    return entry if entry and entry["fault"] else None


if __name__ == "__main__":
    main("40_wrong_key", body)
