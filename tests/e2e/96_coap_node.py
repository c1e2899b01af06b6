#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""CoAP with nothing of ours and nothing of the gateway's: the npm package "coap" over plain UDP, and over DTLS sessions of
Mbed TLS by key and by certificate. Telemetry, 64 KiB both ways in blocks, commands observed, on an answer, and pushed.

Skipped, with the reason, where node, npm or the package cannot be had.
"""

import hashlib
import json
import os
import subprocess
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support", "e2e"))

from coap_relay import Relay  # noqa: E402
from gateway import Gateway, new_key  # noqa: E402
from harness import SOON, eventually, expect, main, note  # noqa: E402
from hub import Hub  # noqa: E402
from node_packages import packages  # noqa: E402

SOURCES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "node_coap")
KEY = "a key of the meter"
LARGE = "".join(chr(97 + index * 7 // 5 % 26) for index in range(64 * 1024))
COMMAND = LARGE[:60000]


def told(text):
    """What device.js tells of a body."""
    return text if len(text) <= 200 else "sha256:" + hashlib.sha256(text.encode()).hexdigest()


class NodeDevice:
    """One device.js; what it tells is kept."""

    def __init__(self, scenario, name, port):
        self.name = name
        self.told = []
        self._changed = threading.Condition()
        self._process = scenario.start(
            name, ["node", os.path.join(SOURCES, "device.js"), str(port)], stdin=True,
            env={**os.environ, "NODE_PATH": MODULES}, echo=self._line,
        )
        self._asked = 0

    def _line(self, line):
        with self._changed:
            self.told.append(json.loads(line))
            self._changed.notify_all()

    def say(self, **command):
        self._process.write(json.dumps(command).encode() + b"\n")

    def wait(self, key, value=None, skip=0):
        """The first thing it told, after `skip` such ones, that has `key` (with that value)."""
        def found():
            fitting = [one for one in self.told if key in one and value in (None, one[key])]
            return fitting[skip] if len(fitting) > skip else None

        with self._changed:
            self._changed.wait_for(found, SOON)
            errors = [one for one in self.told if "error" in one]
            expect(found(), f"{self.name} told no {key} {value or ''}: {errors or str(self.told)[-500:]}")
            return found()

    def ask(self, method, path, **command):
        self._asked += 1
        self.say(op="ask", id=self._asked, method=method, path=path, **command)
        return self.wait("id", self._asked)

    def post(self, path, code="2.04", **command):
        answer = self.ask("POST", path, **command)
        expect(answer["code"] == code, f"{self.name}: POST {path} was answered {answer['code']}")
        return answer


def certificates(folder):
    os.makedirs(folder)
    new = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")

    def openssl(*arguments):
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    openssl("req", "-x509", *new, "-subj", "/CN=device authority", "-keyout", "ca.key", "-out", "ca.pem", "-days", "2")
    for name in ("gateway", "cam-1"):
        openssl("req", *new, "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.csr")
        openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
                "-days", "2", "-out", f"{name}.pem")
        os.chmod(os.path.join(folder, f"{name}.key"), 0o600)


def try_all(hub, device, name):
    """Telemetry, blocks both ways, and observed commands of one device on the paths /t, /c, /r below `prefix`."""
    prefix = "/" + name if name == "plain" else ""
    device.post(prefix + "/t", body="one")
    device.post(prefix + "/t", body=LARGE, blocks=True)
    hub.wait_arrivals(name, 2)
    bodies = [arrival["body"] for arrival in hub.arrivals(name)]
    expect(bodies == ["one", LARGE], f"{name}: the hub has {[len(body) for body in bodies]} bytes")
    device.say(op="observe", path=prefix + "/c")
    device.wait("observing", "2.05")
    for number, text in enumerate(("open", "close")):
        sequence = hub.send_command(name, text)
        expect(device.wait("notified", text)["location"] == f"id={sequence}", "the notification's id")
        device.post(prefix + "/r", query=f"id={sequence}")
        expect(hub.wait_outcome(name, sequence) == "completed", f"{name}: command {number} is not completed")
    device.post(prefix + "/r", query="id=999", code="4.04")
    sequence = hub.send_command(name, COMMAND)
    answer = eventually(lambda: (lambda found: found if found["body"] else None)(device.ask("GET", prefix + "/c")),
                        "the long command is shown")
    expect(answer["body"] == told(COMMAND), f"{name}: the command is {answer['body']}")
    device.post(prefix + "/r", query=f"id={sequence}")
    expect(hub.wait_outcome(name, sequence) == "completed", f"{name}: the long command is not completed")


def body(scenario):
    folder = os.path.join(scenario.folder, "certificates")
    certificates(folder)
    keys = {device: new_key() for device in ("plain", "meter-9", "cam-1", "sleeper", "valve-2")}
    hub = Hub(scenario, keys)
    keys["meter-9"] = (keys["meter-9"], "", KEY)
    plain_port, dtls_port = scenario.ports.take(), scenario.ports.take()
    valve = NodeDevice(scenario, "valve-2", plain_port)
    valve.say(op="serve")
    server = valve.wait("serving")["serving"]
    dtls = 'coap.telemetry = "/t"\ncoap.command = "/c"\ncoap.result = "/r"\ncoap.identity = "{device}"\n'
    maps = {device: f'[[device]]\nid = "{device}"\n{dtls}' for device in ("meter-9", "cam-1")}
    maps["plain"] = ('[[device]]\nid = "plain"\ncoap.telemetry = "/plain/t"\ncoap.command = "/plain/c"\n'
                     'coap.result = "/plain/r"\n')
    maps["sleeper"] = ('[[device]]\nid = "sleeper"\ncoap.telemetry = "/s/t"\ncoap.piggyback = true\n'
                       'coap.result = "/s/r"\n')
    maps["valve-2"] = ('[[device]]\nid = "valve-2"\ncoap.telemetry = "/v/t"\n'
                       f'coap.push = "coap://127.0.0.1:{server}/cmd"\n')
    gateway = Gateway(
        scenario, hub, maps, keys, coap_port=plain_port,
        coap_table=f'listen_dtls = "127.0.0.1:{dtls_port}"\ncert = "{folder}/gateway.pem"\n'
                   f'key = "{folder}/gateway.key"\nca_file = "{folder}/ca.pem"\ncommand_wait = "10s"\n',
    )
    gateway.start()
    eventually(lambda: (gateway.status() or {}).get("verdict") == "ok", "trunkline status says ok")

    try_all(hub, NodeDevice(scenario, "plain", plain_port), "plain")
    note("UDP: telemetry, 64 KiB up and 60 kB down in blocks, observed commands")
    by_key = Relay(scenario, "relay-key", dtls_port, "psk", "meter-9", KEY)
    try_all(hub, NodeDevice(scenario, "meter-9", by_key.port), "meter-9")
    by_certificate = Relay(scenario, "relay-certificate", dtls_port, "certificate", f"{folder}/cam-1.pem",
                           f"{folder}/cam-1.key")
    try_all(hub, NodeDevice(scenario, "cam-1", by_certificate.port), "cam-1")
    expect(by_key.sessions() == by_certificate.sessions() == 1, "the sessions did not last")
    note("DTLS of Mbed TLS by key and by certificate: the same")
    wrong = Relay(scenario, "relay-wrong", dtls_port, "psk", "meter-9", "wrong")
    NodeDevice(scenario, "wrong", wrong.port).say(op="ask", id=1, method="POST", path="/t", body="x")
    wrong.wait_refused()

    sleeper = NodeDevice(scenario, "sleeper", plain_port)
    for text in ("open", COMMAND):
        sequence = hub.send_command("sleeper", text)
        answer = sleeper.post("/s/t", body="21.5")
        expect(answer["body"] == told(text), f"the answer has {answer['body']}")
        sleeper.post("/s/r", query=f"id={sequence}")
        expect(hub.wait_outcome("sleeper", sequence) == "completed", "the command on the answer is not completed")
    for text in ("close", COMMAND):
        sequence = hub.send_command("valve-2", text)
        expect(hub.wait_outcome("valve-2", sequence) == "completed", "the pushed command is not completed")
        expect(valve.wait("pushed", told(text))["query"] == f"/cmd?id={sequence}", "the push's id")
    note("commands on an answer and pushed to the package's server, short and 60 kB: completed at the hub")
    expect(gateway.process.terminate() == 0, "the gateway did not end with 0 at SIGTERM")


if __name__ == "__main__":
    MODULES = packages("96_coap_node", SOURCES)
    main("96_coap_node", body)
