#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Queue mode while maps change: a device whose commands are in our care is changed, begins another session, is taken out of
the maps, comes back with another protocol, through a kill -9 too. No command is lost or done twice, none is taken that
does not fit or for a device that is in no map [C-01 C-02]."""

import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support", "e2e"))

from broker import Broker  # noqa: E402
from gateway import Gateway, new_key  # noqa: E402
from harness import eventually, expect, main, note  # noqa: E402
from hub import Hub  # noqa: E402
from sleepers import Lamp, Scale, accepted, commands_of, send, up  # noqa: E402

LAMP_METHOD = 'mqtt.method = "plant/lamp-1/call/{name}"\nmqtt.method_reply = "plant/lamp-1/answer"\n'
METHOD = 'tcp.method = { send = "CALL {id} {name} {payload}\\n", reply = "ANSWER {id} {payload}" }\n'


def body(scenario):
    broker = Broker(scenario)
    keys = {name: new_key() for name in ("lamp-1", "scale-1", "scale-2", "gone-1")}
    hub = Hub(scenario, keys)
    lamp = Lamp(scenario, "lamp-1", broker, LAMP_METHOD)
    scale = Scale(scenario, "scale-1", scenario.ports.take())
    small = Scale(scenario, "scale-2", scenario.ports.take(), METHOD + "max_commands = 3\n")
    gone = Scale(scenario, "gone-1", scenario.ports.take())
    devices = [lamp, scale, small, gone]
    gateway = Gateway(scenario, hub, {one.device: one.map() for one in devices}, keys, broker=broker)
    up(gateway)

    def path(device):
        return os.path.join(gateway.folder, "devices.d", device + ".toml")

    def reload(*changed):
        for one in changed:
            with open(path(one.device), "w", encoding="utf-8") as file:
                file.write(one.map())
        gateway.cli("reload")

    def queued(device):
        return hub.ask("devices", device=device)["devices"][0]["queued"]

    def tried(device, sequence):
        return hub.ask("command", device=device, sequence=sequence)["delivery_count"]

    wanted = [f"do {number}" for number in range(3)]
    for device in (scale, gone):
        for text in wanted:
            accepted(hub, device.device, send(hub, device.device, text))
    parts = [f"part {number}" for number in range(6)]
    numbers = [send(hub, small.device, text) for text in parts]
    for number in numbers[:3]:
        accepted(hub, small.device, number)
    lamp.wake()
    eventually(lambda: gateway.device_status(lamp.device)["presence"] == "reachable", "the lamp is there")

    # A map with fewer links begins another session: what is full stays full, who is there stays there.
    small.extra = "max_commands = 3\n"
    lamp.extra = ""
    scale.port = scenario.ports.take()
    reload(small, lamp, scale)
    accepted(hub, lamp.device, send(hub, lamp.device, "shine"))
    eventually(lambda: lamp.commands == ["shine"], "a device that is there is reached after its map changed")
    time.sleep(2)  # nothing announces that nothing happens
    expect(gateway.device_status(small.device)["commands"]["kept"] == 3 and queued(small.device) == 3, "three are kept, three wait")
    spent = [tried(small.device, number) for number in numbers[3:]]
    expect(max(spent) <= 1, f"deliveries were spent on a queue that is full: {spent}")
    note("changed while it slept: the full queue asked the hub for nothing")

    scale.wake()
    eventually(lambda: commands_of(gateway, scale.device)["delivered"] == 3, "it did what was kept, where it listens now")
    expect(scale.commands == wanted, f"it did {scale.commands}")

    # More may wait from now on, so the hub is asked for more.
    small.extra = "max_commands = 6\n"
    reload(small)
    for number in numbers:
        accepted(hub, small.device, number)
    expect(not small.commands, "it sleeps")
    small.wake()
    eventually(lambda: commands_of(gateway, small.device)["delivered"] == 6, "it did all six")
    expect(small.commands == parts, f"it did {small.commands}")
    note("a bigger queue: the rest was taken, all done in order, once")

    # Out of the maps while it has to get rid of a message: what is kept stays, nothing more is taken.
    gone.say("on its way")
    hub.wait_arrivals(gone.device, 1)
    hub.ask("withhold", on=True)
    gone.say("and this one")
    eventually(lambda: gateway.device_status(gone.device)["waiting"] > 0, "it has a backlog")
    eventually(lambda: gateway.device_status(gone.device)["presence"] == "away", "it sleeps again")
    os.unlink(path(gone.device))
    gateway.cli("reload")
    gateway.process.wait_line("kept_command_unmapped.*gone-1")
    last = send(hub, gone.device, "do 3")
    time.sleep(2)  # nothing announces that nothing happens
    state = hub.ask("command", device=gone.device, sequence=last)["state"]
    expect(state == "queued", f"a command for a device that is in no map is {state}")
    hub.ask("withhold", on=False)
    eventually(lambda: gateway.device_status(gone.device) is None, "it is gone once all of it was sent")
    expect(commands_of(gateway, gone.device)["waiting"] == 3, "what is kept for it was lost")
    gateway.kill()
    up(gateway)
    gateway.process.wait_line("kept_command_unmapped.*gone-1")
    note("out of the maps: three are kept, through kill -9, the fourth stays at the hub")

    # It comes back as another machine.
    gone = Lamp(scenario, "gone-1", broker)
    reload(gone)
    accepted(hub, gone.device, last)
    gone.wake()
    eventually(lambda: commands_of(gateway, gone.device)["delivered"] == 4, "it did all that was kept")
    expect(gone.commands == [*wanted, "do 3"], f"it did {gone.commands}")
    note("back with another protocol: all four done in order, once")
    for device in devices[:3]:
        expect(len(device.commands) == len(set(device.commands)), f"{device.device} did one twice: {device.commands}")
        book = commands_of(gateway, device.device)
        expect(book["waiting"] == 0, f"{device.device}: {book}")
    expect(gateway.process.terminate() == 0, "the gateway did not end with 0 at SIGTERM")


if __name__ == "__main__":
    main("77_stored_reload", body)
