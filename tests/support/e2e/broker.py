# SPDX-License-Identifier: Apache-2.0
"""The scenario's own mosquitto on a free loopback port; never the one that a package may have started."""

import getpass
import os
import shutil
import subprocess

from harness import SOON, Failure

# What the broker may have sent to the gateway without an answer; the kill test allows this many repeats a kill.
WINDOW = 20


class Broker:
    """`access` says who may come in, `more` is put into its configuration as it stands; `listeners` replaces the only
    listener by what a function makes of the port."""

    def __init__(self, scenario, name="mosquitto", access="allow_anonymous true", more="", listeners=None, logs="all"):
        self.scenario = scenario
        self.name = name
        self.port = scenario.ports.take()
        self.program = shutil.which("mosquitto", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
        if not self.program:
            raise Failure("mosquitto is not installed")
        self.state = os.path.join(scenario.folder, name)
        os.mkdir(self.state)
        self.config = os.path.join(scenario.folder, name + ".conf")
        doors = listeners(self.port) if listeners else f"listener {self.port} 127.0.0.1\n{access}"
        with open(self.config, "w", encoding="utf-8") as file:
            # The settings of packaging/mosquitto/trunkline.conf, for one run on loopback.
            file.write(
                f"""user {getpass.getuser()}
{doors}
persistence true
persistence_location {self.state}/
max_queued_messages 0
max_queued_bytes 268435456
max_inflight_messages {WINDOW}
set_tcp_nodelay true
log_dest stderr
log_type {logs}
{more}
"""
            )
        self.process = None
        self.start()

    def start(self):
        self.process = self.scenario.start(self.name, [self.program, "-c", self.config])
        self.process.wait_line(r"mosquitto version \S+ running")

    def forget(self):
        """While it is down: its sessions are gone."""
        os.unlink(os.path.join(self.state, "mosquitto.db"))

    def publish(self, topic, payload, *more, expected=0):
        """As a device would, with QoS 1; returns when the broker has acknowledged it."""
        return self.scenario.run(
            ["mosquitto_pub", "-h", "127.0.0.1", "-p", str(self.port), "-q", "1", "-t", topic, "-m", payload, *more],
            expected=expected,
        )

    def wait_subscribed(self, client, filters, start=0):
        """Until the broker has answered that client's subscription to each of the filters."""
        for text in filters:
            _, line = self.process.wait_line(rf"^\d+: {client} 1 {_escaped(text)}$", start=start)
            self.process.wait_line(rf"Sending SUBACK to {client}$", start=line)


def set_password(path, user, password):
    """Adds a name to a password file of mosquitto, made if need be."""
    create = [] if os.path.exists(path) else ["-c"]
    subprocess.run(["mosquitto_passwd", "-b", *create, path, user, password], check=True, timeout=SOON)


def make_certificate(folder, name):
    """A certificate for 127.0.0.1 that is its own authority, as NAME.pem and NAME.key."""
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
         "-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", f"{name}.key", "-out", f"{name}.pem"],
        cwd=folder, check=True, capture_output=True, timeout=SOON,
    )


def _escaped(text):
    return "".join("\\" + letter if letter in "+$.^*?()[]{}|\\" else letter for letter in text)
