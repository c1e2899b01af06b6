#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Maps change while a device has a command, a method or desired properties in hand: what stays connected answers as if nothing
had been, who loses its connection or its map is given the command again, by another protocol too; every caller hears of it,
each command has one end [C-01 C-02 I-01]."""

import os
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support", "e2e"))

from broker import Broker  # noqa: E402
from dialler import Dialler  # noqa: E402
from gateway import Gateway, new_key  # noqa: E402
from harness import eventually, expect, main, note  # noqa: E402
from hub import Hub  # noqa: E402
from real_devices import Boiler  # noqa: E402

DEVICE = "scale-2"


class Press:
    """A TCP device that answers when it is told to."""

    def __init__(self, scenario, port):
        self.lines = []
        self.port = port
        self.dialler = Dialler(scenario, DEVICE, lambda: self.port, self.lines.append)

    def map(self, extra=""):
        return f"""[[device]]
id = "{DEVICE}"
tcp.listen = "127.0.0.1:{self.port}"
tcp.command = {{ send = "CMD {{id}} {{payload}}\\n", reply = "DONE {{id}}" }}
tcp.method = {{ send = "CALL {{id}} {{name}} {{payload}}\\n", reply = "ANSWER {{id}} {{payload}}" }}
tcp.desired = {{ send = "SET {{id}} {{payload}}\\n", reply = "SET-OK {{id}}" }}
command_timeout = "20s"
method_timeout = "20s"
{extra}
"""

    def wait(self, kind, count):
        """The id of what was asked of it last."""
        found = eventually(
            lambda: (lambda got: got if len(got) >= count else None)([one for one in self.lines if one.startswith(kind + " ")]),
            f"the device was given {kind} {count} times",
        )
        return found[-1].split(" ")[1]


def body(scenario):
    keys = {DEVICE: new_key()}
    broker = Broker(scenario)
    hub = Hub(scenario, keys)
    press = Press(scenario, scenario.ports.take())
    gateway = Gateway(scenario, hub, {DEVICE: press.map()}, keys, broker=broker)
    gateway.start()
    press.dialler.dial()
    eventually(lambda: gateway.device_status(DEVICE)["presence"] == "reachable", "the device is there")
    path = os.path.join(gateway.folder, "devices.d", DEVICE + ".toml")

    def reload(text):
        if text is None:
            os.unlink(path)
        else:
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
        gateway.cli("reload")

    def send(text):
        return hub.ask("enqueue", device=DEVICE, body=text)["sequence"]

    def completed(sequence):
        end = hub.wait_outcome(DEVICE, sequence)
        expect(end == "completed", f"command {sequence} ended as {end}")

    # Limits and ranks: what is in hand stays in hand.
    sequence = send("press")
    ident = press.wait("CMD", 1)
    reload(press.map('max_messages = 5000\npriority = "alarm"\n'))
    press.dialler.say(f"DONE {ident}")
    completed(sequence)
    expect(len(press.lines) == 1, f"the device was given {press.lines}")
    note("other limits: the command in hand was answered")

    # Another acknowledgement: its connection ends, and it is given the command again.
    sequence = send("press harder")
    press.wait("CMD", 2)
    reload(press.map('tcp.ack = "OK\\n"\n'))
    press.dialler.say(f"DONE {press.wait('CMD', 3)}")
    completed(sequence)
    note("its connection ended: it was given the command once more")

    # A method in hand, desired properties and a command behind it, and the map goes: nobody is kept waiting for nothing.
    answers = []
    caller = threading.Thread(target=lambda: answers.append(hub.call(DEVICE, "weigh", None)), daemon=True)
    caller.start()
    press.wait("CALL", 1)
    hub.twin(DEVICE, {"rate": 7})
    sequence = send("press again")
    eventually(lambda: hub.ask("command", device=DEVICE, sequence=sequence)["state"] == "locked", "the gateway has it")
    reload(None)
    caller.join(15)  # earlier than method_timeout
    expect(answers and answers[0][:2] != (200, 200), f"the caller got {answers}")
    note(f"the map is gone: the caller got {answers[0]}")
    eventually(lambda: gateway.device_status(DEVICE) is None, "the device is gone")
    state = hub.ask("command", device=DEVICE, sequence=sequence)
    expect(state["state"] == "queued", f"the command in hand is {state}")
    press.dialler.hang_up()

    # It comes back with another protocol, which takes over what is owed.
    boiler = Boiler(scenario, DEVICE, broker, "plant/scale")
    reload(boiler.map())
    completed(sequence)
    expect(boiler.commands == ["press again"], f"it did {boiler.commands}")
    note("back with another protocol: the command was done there, once")

    # And back once more, where what was desired meanwhile waits for it.
    reload(press.map())
    press.dialler.dial()
    press.dialler.say(f"SET-OK {press.wait('SET', 1)}")
    sequence = send("press at last")
    press.dialler.say(f"DONE {press.wait('CMD', 4)}")
    completed(sequence)
    expect(len(boiler.commands) == 1, f"the other one did {boiler.commands}")
    expect(gateway.process.terminate() == 0, "the gateway did not end with 0 at SIGTERM")


if __name__ == "__main__":
    main("89_reload_commands", body)
