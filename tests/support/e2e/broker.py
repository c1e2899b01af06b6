# SPDX-License-Identifier: Apache-2.0
"""The scenario's own mosquitto on a free loopback port; never the one that a package may have started."""

import getpass
import os
import shutil

from harness import Failure

# What the broker may have sent to the gateway without an answer; the kill test allows this many repeats a kill.
WINDOW = 20


class Broker:
    def __init__(self, scenario):
        self.scenario = scenario
        self.port = scenario.ports.take()
        self.program = shutil.which("mosquitto", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
        if not self.program:
            raise Failure("mosquitto is not installed")
        state = os.path.join(scenario.folder, "mosquitto")
        os.mkdir(state)
        self.config = os.path.join(scenario.folder, "mosquitto.conf")
        with open(self.config, "w", encoding="utf-8") as file:
            # The settings of packaging/mosquitto/trunkline.conf, for one run on loopback.
            file.write(
                f"""user {getpass.getuser()}
listener {self.port} 127.0.0.1
allow_anonymous true
persistence true
persistence_location {state}/
max_queued_messages 0
max_queued_bytes 268435456
max_inflight_messages {WINDOW}
log_dest stderr
log_type all
"""
            )
        self.process = None
        self.start()

    def start(self):
        self.process = self.scenario.start("mosquitto", [self.program, "-c", self.config])
        self.process.wait_line(r"mosquitto version \S+ running")

    def wait_subscribed(self, client, filters, start=0):
        """Until the broker has answered that client's subscription to each of the filters."""
        for text in filters:
            _, line = self.process.wait_line(rf"^\d+: {client} 1 {_escaped(text)}$", start=start)
            self.process.wait_line(rf"Sending SUBACK to {client}$", start=line)


def _escaped(text):
    return "".join("\\" + letter if letter in "+$.^*?()[]{}|\\" else letter for letter in text)
