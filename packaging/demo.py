#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The demo behind packaging/demo: a plant of three devices, the gateway and a simulated hub, on loopback only."""

import argparse
import os
import signal
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "support", "e2e"))

from broker import Broker  # noqa: E402
from gateway import Gateway, new_key  # noqa: E402
from harness import SOON, Failure, Scenario, eventually, expect  # noqa: E402
from hub import Hub  # noqa: E402
from real_devices import Boiler, Scale, Tank  # noqa: E402

COMMAND_EVERY = 15  # seconds


class Stopped(Exception):
    """The user has seen enough."""


def say(text=""):
    print(text, flush=True)


def event(who, text):
    say(f"{time.strftime('%H:%M:%S')}  {who:<16} {text}")


class Demo:
    def __init__(self, scenario, seconds):
        self.scenario = scenario
        self.seconds = seconds
        self.stop = threading.Event()
        self.seen = {}  # device: index of its last arrival that was shown
        self.counts = {}
        self.outcomes = {}  # device: [state of each command]
        self.answers = []  # to methods
        self.prepare()

    def prepare(self):
        scenario = self.scenario
        keys = {device: new_key() for device in ("boiler-7", "scale-2", "tank-3")}
        self.broker = Broker(scenario)
        https = f"127.0.0.1:{scenario.ports.take()}"
        self.hub = Hub(scenario, keys, name="demo-hub", arguments=["--https", https])
        coap_port = scenario.ports.take()
        self.devices = [
            Boiler(scenario, "boiler-7", self.broker, "plant/boiler7", self.told("boiler-7")),
            Scale(scenario, "scale-2", scenario.ports.take(), self.told("scale-2")),
            Tank(scenario, "tank-3", coap_port, "/tank3", self.told("tank-3")),
        ]
        self.gateway = Gateway(
            scenario, self.hub, {device.device: device.map() for device in self.devices}, keys,
            broker=self.broker, coap_port=coap_port,
        )
        self.gateway.start()
        self.broker.wait_subscribed("trunkline", ["plant/boiler7/state"])
        eventually(lambda: (self.gateway.status() or {}).get("verdict") == "ok", "the gateway is connected to the hub")
        for device in self.devices:
            self.seen[device.device] = 0
            self.counts[device.device] = 0
            self.outcomes[device.device] = []
            if not isinstance(device, Boiler):
                device.connect()
        self.hub.ask("wait_link", device="scale-2", link="methods", timeout_ms=int(SOON * 1000))

    def told(self, device):
        return lambda payload: event(device, f"does the command: {payload}")

    def describe(self):
        gateway, hub = self.gateway, self.hub
        say()
        say("What runs here, on loopback only:")
        say(f"  hub       {hub.host} simulated at 127.0.0.1:{hub.port}, TLS with a CA of its own")
        say(f"  broker    mosquitto at 127.0.0.1:{self.broker.port}")
        say(f"  gateway   trunkline run --config {gateway.config}")
        for device in self.devices:
            say(f"  device    {device.device} speaks {device.protocol}")
        say("Where to look, in another terminal:")
        say(f"  {gateway.program} status --config {gateway.config}")
        say(f"  http://127.0.0.1:{gateway.status_port}/status.json and /metrics")
        say(f"  logs {self.scenario.logs}")
        say()

    def run(self):
        self.describe()
        started = time.monotonic()
        end = started + self.seconds if self.seconds is not None else None
        number = 0
        next_command = started
        pending = []
        while True:
            number += 1
            for device in self.devices:
                device.read(READINGS[device.device].format(n=number))
            for device in self.devices:
                self.hub.wait_arrivals(device.device, self.counts[device.device] + 1)
                self.show_arrivals(device)
            now = time.monotonic()
            if now >= next_command:
                next_command = now + COMMAND_EVERY
                for device in self.devices:
                    pending.append(self.command(device))
                self.call()
            pending = [thread for thread in pending if thread.is_alive()]
            if end is not None and now >= end and not pending:
                return
            if self.stop.wait(max(0.05, started + number - time.monotonic())):
                raise Stopped

    def show_arrivals(self, device):
        for arrival in self.hub.arrivals(device.device, self.seen[device.device]):
            self.seen[device.device] = arrival["index"]
            self.counts[device.device] += 1
            event(device.device, f"{device.protocol:<4} -> hub   {arrival['body']}")

    def command(self, device):
        text = COMMANDS[device.device]
        event("hub", f"sends to {device.device}: {text}")
        sequence = self.hub.send_command(device.device, text)

        def watch():
            state = self.hub.wait_outcome(device.device, sequence)
            self.outcomes[device.device].append(state)
            event("hub", f"command to {device.device} is {state}")

        thread = threading.Thread(target=watch, daemon=True)
        thread.start()
        return thread

    def call(self):
        """A direct method, as an operator calls it."""
        device = next(device for device in self.devices if isinstance(device, Scale))
        event("operator", f"trunkline hub call {device.device} weigh '[1]'")
        answer = self.hub.service("call", device.device, "weigh", "[1]")
        self.answers.append(answer)
        event("operator", f"{device.device} answers {answer}")

    def summary(self):
        """The table at the end, and whether the demo has shown what it must."""
        connections = self.hub.connections_ever()
        say()
        say(f"{'device':<10} {'protocol':<9} {'readings at the hub':>19}   {'commands done':>13}   both ways")
        good = True
        for device in self.devices:
            count = self.counts[device.device]
            outcomes = self.outcomes[device.device]
            done = outcomes.count("completed")
            both = count > 0 and done > 0 and bool(device.commands)
            good = good and both
            commands = f"{done} of {len(outcomes)}"
            say(f"{device.device:<10} {device.protocol:<9} {count:>19}   {commands:>13}   {'yes' if both else 'NO'}")
        say(f"methods that scale-2 answered: {sum(answer.startswith('200 ') for answer in self.answers)} of {len(self.answers)}")
        good = good and any(answer.startswith("200 ") for answer in self.answers)
        say(f"AMQP connections that the hub saw: {connections}{'' if connections == 1 else '  (exactly 1 was wanted)'}")
        return good and connections == 1


READINGS = {
    "boiler-7": '{{"n":{n},"celsius":71.5}}',
    "scale-2": '{{"n":{n},"kg":1250.4}}',
    "tank-3": '{{"n":{n},"level":0.82}}',
}
COMMANDS = {"boiler-7": "setpoint 70", "scale-2": "tare", "tank-3": "open valve"}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--prefix", required=True, help="where trunkline and trunkline-hubsim are installed")
    parser.add_argument("--seconds", type=int, help="how long to run; without it until Ctrl-C")
    arguments = parser.parse_args()
    try:
        with Scenario("demo", arguments.prefix) as scenario:
            stop = threading.Event()
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, lambda *_: stop.set())
            say("starting broker, hub, gateway and devices …")
            demo = Demo(scenario, arguments.seconds)
            demo.stop = stop
            try:
                demo.run()
            except Stopped:
                pass
            good = demo.summary()
            expect(demo.gateway.process.terminate(SOON) == 0, "the gateway did not end in good order")
            expect(good, "not every device was seen both ways over exactly one connection")
            say("Everything was seen both ways. The gateway has ended; nothing is left running.")
    except Failure as failure:
        print(f"demo: {failure}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
