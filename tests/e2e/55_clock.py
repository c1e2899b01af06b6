#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Three times kept apart, and a wall clock that jumps under the running daemon and is wrong at its start: nothing expires for it,
nothing is lost, order holds, and status says that the clock is wrong [D-02 D-03 D-05].

The clock is shifted inside the daemon only, by a preloaded shim (tests/support/fault_shim.cc); the simulator's is right.
"""

import datetime
import os
import socket
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support", "e2e"))

from faults import Shim  # noqa: E402
from gateway import Gateway, new_key  # noqa: E402
from harness import SOON, eventually, expect, main, note  # noqa: E402
from hub import Hub  # noqa: E402

DEVICE = "meter-1"
YEAR = 365 * 24 * 3600.0


class Meter:
    """A line a reading; each with the device's own time if it is told one."""

    def __init__(self, port):
        self._port = port
        self.said = 0
        self._link = None

    def connect(self):
        eventually(self._dial, "the gateway listens")

    def _dial(self):
        try:
            self._link = socket.create_connection(("127.0.0.1", self._port), timeout=SOON)
        except OSError:
            return False
        return True

    def say(self, when=None):
        """Returns once it was acknowledged."""
        self.said += 1
        time = f',"t":{when}' if when is not None else ""
        self._link.sendall(f'{{"n":{self.said}{time}}}\n'.encode())
        answer = self._link.recv(16)
        expect(answer == b"ok\n", f"reading {self.said} was answered with {answer!r}")


def seconds_of(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def body(scenario):
    key = new_key()
    hub = Hub(scenario, {DEVICE: key})
    port = scenario.ports.take()
    maps = {"meter": f'[[device]]\nid = "{DEVICE}"\ntcp.listen = "127.0.0.1:{port}"\ntcp.ack = "ok\\n"\n'
                     'map.time = { at = "/t", format = "unix" }\n'}
    shim = Shim(scenario, "/nowhere")
    gateway = Gateway(scenario, hub, maps, {DEVICE: key}, spool='max_age = "10m"\n', env=shim.env)
    shim.clock(0)
    gateway.start()
    meter = Meter(port)
    meter.connect()

    three_times(hub, meter)
    jumps(shim, hub, gateway, meter)
    wrong_at_start(shim, hub, gateway, meter)

    numbers = [arrival["body"].split(",")[0].strip("{}") for arrival in hub.arrivals(DEVICE)]
    expect(numbers == [f'"n":{n}' for n in range(1, meter.said + 1)], f"the hub has {numbers}")
    done = gateway.cli("ledger", "--json")
    expect('"unaccounted":0' in done.stdout.replace(" ", ""), f"the ledger does not balance: {done.stdout}")
    expect('"expired":0' in done.stdout.replace(" ", ""), f"something expired: {done.stdout}")


def last(hub, meter):
    hub.wait_arrivals(DEVICE, meter.said)
    return hub.arrivals(DEVICE)[-1]


def three_times(hub, meter):
    meter.say(when=1_600_000_000)
    one = last(hub, meter)
    properties = one["properties"]
    expect(properties["iothub-creation-time-utc"] == "2020-09-13T12:26:40.000Z", f"device time: {properties}")
    sent, received = seconds_of(one["enqueued"]), seconds_of(properties["received-time-utc"])
    expect(0 <= sent - received < SOON, f"received {received}, at the hub {sent}")
    expect("time-quality" not in properties, f"a trusted clock is marked: {properties}")
    meter.say()
    properties = last(hub, meter)["properties"]
    expect("received-time-utc" not in properties, f"without a time of the device there is one time: {properties}")
    note(f"three times: {one['properties']}, at the hub {one['enqueued']}")


def jumps(shim, hub, gateway, meter):
    """While the hub is away and messages wait, whose limit is ten minutes."""
    hub.ask("withhold", on=True)
    for name, offset, trusted in (
        ("one hour ahead", 3600, True), ("a year back", -YEAR, True), ("1970", -datetime.datetime.now().timestamp(), False), ("right", 0, True),
    ):
        shim.clock(offset, trusted)
        meter.say()
        status = gateway.status()
        note(f"the clock says {name}: {status['safety']['waiting']} wait; {status['verdict']} {status['reason']}")
        expect(status["safety"]["waiting"] >= 1, f"{name}: what waited is gone")
    hub.ask("withhold", on=False)
    last(hub, meter)
    marked = [one["properties"].get("time-quality") for one in hub.arrivals(DEVICE)][-4:-1]
    # A year back may be before the program was made.
    expect(marked[::2] == [None, "untrusted"], f"time-quality of an hour ahead, a year back and 1970 is {marked}")

    def trusted_again():
        meter.say()
        return "time-quality" not in last(hub, meter)["properties"]

    eventually(trusted_again, "a clock that is right again is trusted", pause=0.2)


def wrong_at_start(shim, hub, gateway, meter):
    for name, offset, trusted in (("a year back", -YEAR, True), ("1970", -datetime.datetime.now().timestamp(), False)):
        gateway.process.terminate()
        shim.clock(offset, trusted)
        gateway.start()
        meter.connect()
        meter.say()  # safe in the spool, whatever the hub says

        def told():
            status = gateway.status()
            return status if status and "clock" in status["reason"] + status["action"] else None

        status = eventually(told, f"{name}: status speaks of the clock")
        note(f"started with a clock that says {name}: {status['verdict']}: {status['reason']}; {status['action']}")
        shim.clock(0)
        last(hub, meter)
        eventually(lambda: gateway.status()["verdict"] == "ok", f"{name}: well again, without a person", 3 * SOON)


if __name__ == "__main__":
    main("55_clock", body)
