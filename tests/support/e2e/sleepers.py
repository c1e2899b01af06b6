# SPDX-License-Identifier: Apache-2.0
"""Devices that sleep most of the time: `wake` makes one come, do its commands and go again, as `sleep` says. Their
commands are kept by the gateway (command_done = "stored")."""

import json
import re
import socket
import subprocess
import threading
import time
import urllib.parse

from dialler import Dialler
from harness import SOON, eventually, expect
from real_devices import Device, tool

# What the scenarios with such devices ask and expect.


def up(gateway):
    gateway.start()
    eventually(lambda: (gateway.status() or {}).get("verdict") == "ok", "trunkline status says ok")


def send(hub, device, text, **more):
    return hub.ask("enqueue", device=device, body=text, message_id=f"{device}/{text}", ack="full", **more)["sequence"]


def accepted(hub, device, sequence):
    end = hub.wait_outcome(device, sequence)
    expect(end == "completed", f"{device}: the hub has command {sequence} as {end}")


def commands_of(gateway, device):
    """Its row in the ledger of commands, which has to balance; nothing if it has none."""
    ledger = json.loads(gateway.cli("ledger", "--json").stdout)
    found = [one for one in ledger["commands"]["devices"] if one["id"] == device]
    expect(ledger["commands"]["total"]["unaccounted"] == 0, f"commands are unaccounted for: {ledger['commands']}")
    return found[0] if found else None


STORED = 'command_done = "stored"\ncommand_timeout = "5s"\n'


class Lamp(Device):
    """MQTT: says with a retained message whether it is there; mosquitto_sub while it is awake."""

    protocol = "MQTT"

    def __init__(self, scenario, device, broker, extra=""):
        super().__init__(scenario, device)
        self._broker, self.extra = broker, extra
        self._topic = f"plant/{device}"
        self._server = ["-h", "127.0.0.1", "-p", str(broker.port), "-q", "1"]
        self._ears = None
        self._say("presence", "offline", "-r")

    def map(self):
        return f"""[[device]]
id = "{self.device}"
mqtt.telemetry = "{self._topic}/state"
mqtt.command = "{self._topic}/cmd"
mqtt.command_reply = "{self._topic}/done"
mqtt.presence = "{self._topic}/presence"
{STORED}{self.extra}
"""

    def _say(self, topic, text, *more):
        self.scenario.run([tool("mosquitto_pub"), *self._server, *more, "-t", f"{self._topic}/{topic}", "-m", text])

    def wake(self):
        name = f"{self.device}-{time.monotonic_ns()}"
        self._ears = self.scenario.start(
            name, [tool("mosquitto_sub"), *self._server, "-i", name, "-t", f"{self._topic}/cmd"], echo=self._command
        )
        self._broker.wait_subscribed(name, [f"{self._topic}/cmd"])
        self._say("presence", "online", "-r")

    def sleep(self):
        self._say("presence", "offline", "-r")
        self._ears.kill()

    def _command(self, payload):
        self.did(payload)
        threading.Thread(target=self._say, args=("done", "ok"), daemon=True).start()


class CoapSleeper(Device):
    """coap-client: a request every now and then, whose answer may hold a command, whose result it posts."""

    _answer = re.compile(r"v:1 t:\w+ c:2\.0[45] .*\[.*\bLocation-Query:id=([^,\s\]]+).*\] :: '(.*)'")

    def __init__(self, scenario, device, port, extra=""):
        super().__init__(scenario, device)
        self.extra = extra
        self._base = f"coap://127.0.0.1:{port}/{device}"
        self._client = tool("coap-client-notls", "coap-client")
        self._awake = None
        scenario.on_exit(self.sleep)

    def _request(self, method, path, text=None):
        command = [self._client, "-v", "6", "-B", "5", "-m", method]
        if text is not None:
            command += ["-e", text]
        done = subprocess.run([*command, f"{self._base}/{path}"], capture_output=True, text=True, timeout=SOON, check=False)
        return done.stdout + done.stderr

    def wake(self):
        self._awake = threading.Event()
        threading.Thread(target=self._live, args=(self._awake,), daemon=True).start()

    def sleep(self):
        if self._awake:
            self._awake.set()

    def _live(self, over):
        while not over.is_set():
            for ident, payload in dict(self._answer.findall(self.ask())).items():
                self.did(payload)
                self._request("post", f"result?id={urllib.parse.quote(ident, safe='')}", "ok")
            over.wait(0.1)


class Meter(CoapSleeper):
    """Asks for its command with a plain GET."""

    protocol = "CoAP, polling"

    def map(self):
        path = f"/{self.device}"
        return f"""[[device]]
id = "{self.device}"
coap.telemetry = "{path}/t"
coap.command = "{path}/cmd"
coap.result = "{path}/result"
{STORED}{self.extra}
"""

    def ask(self):
        return self._request("get", "cmd")


class Valve(CoapSleeper):
    """Gets its command in the answer to its telemetry."""

    protocol = "CoAP, piggyback"

    def map(self):
        path = f"/{self.device}"
        return f"""[[device]]
id = "{self.device}"
coap.telemetry = "{path}/t"
coap.piggyback = true
coap.result = "{path}/result"
{STORED}{self.extra}
"""

    def ask(self):
        return self._request("post", "t", '{"open":1}')


class Scale(Device):
    """A raw socket that is connected while it is awake, and dials again whenever it is cut off."""

    protocol = "TCP"

    def __init__(self, scenario, device, port, extra=""):
        super().__init__(scenario, device)
        self.port, self.extra = port, extra
        self._dialler = Dialler(scenario, device, lambda: self.port, self._line)

    def map(self):
        return f"""[[device]]
id = "{self.device}"
tcp.listen = "127.0.0.1:{self.port}"
tcp.command = {{ send = "CMD {{id}} {{payload}}\\n", reply = "DONE {{id}}" }}
{STORED}{self.extra}
"""

    def wake(self):
        self._dialler.dial()

    def sleep(self):
        self._dialler.hang_up()

    def say(self, text):
        """One reading, between two naps."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=SOON) as link:
            link.sendall(text.encode() + b"\n")

    def _line(self, line):
        _, ident, payload = line.split(" ", 2)
        self.did(payload)
        self._dialler.say(f"DONE {ident}")
