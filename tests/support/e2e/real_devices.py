# SPDX-License-Identifier: Apache-2.0
"""Devices made of the programs that people use: mosquitto_pub/_sub, coap-client and nc."""

import re
import shutil
import subprocess
import threading
import urllib.parse

from harness import SOON, Failure, expect


def tool(*names):
    for name in names:
        found = shutil.which(name)
        if found:
            return found
    raise Failure(f"none of these programs is installed: {', '.join(names)}")


class Device:
    """`read(text)` says one reading; `commands` are the payloads of the commands that it did."""

    def __init__(self, scenario, device, on_command=None):
        self.scenario = scenario
        self.device = device
        self.commands = []
        self._on_command = on_command or (lambda payload: None)
        self._lock = threading.Lock()

    def did(self, payload):
        with self._lock:
            self.commands.append(payload)
        self._on_command(payload)


class Boiler(Device):
    """MQTT: one mosquitto_pub kept open for readings, mosquitto_sub for commands, a reply on a topic of its own."""

    protocol = "MQTT"

    def __init__(self, scenario, device, broker, topic, on_command=None):
        super().__init__(scenario, device, on_command)
        self._topic = topic
        self._server = ["-h", "127.0.0.1", "-p", str(broker.port), "-q", "1"]
        self._readings = scenario.start(
            f"{device}-mosquitto_pub", [tool("mosquitto_pub"), *self._server, "-t", f"{topic}/state", "-l"], stdin=True
        )
        name = f"{device}-commands"
        scenario.start(
            f"{device}-mosquitto_sub",
            [tool("mosquitto_sub"), *self._server, "-i", name, "-t", f"{topic}/cmd"],
            echo=self._command,
        )
        broker.wait_subscribed(name, [f"{topic}/cmd"])

    def map(self):
        return f"""[[device]]
id = "{self.device}"
content_type = "application/json"
mqtt.telemetry = "{self._topic}/state"
mqtt.command = "{self._topic}/cmd"
mqtt.command_reply = "{self._topic}/cmd/done"
"""

    def read(self, text):
        self._readings.write(text.encode() + b"\n")

    def _command(self, payload):
        self.did(payload)
        self.scenario.run([tool("mosquitto_pub"), *self._server, "-t", f"{self._topic}/cmd/done", "-m", "done"])


class Scale(Device):
    """Raw TCP: nc, a line a reading, "OK" for each that is safe, "CMD <id> <payload>" answered with "DONE <id>", and
    "CALL <id> <method> <payload>" with "ANSWER <id> <payload>"."""

    protocol = "TCP"

    def __init__(self, scenario, device, port, on_command=None):
        super().__init__(scenario, device, on_command)
        self.port = port
        self.acknowledged = 0
        self.methods = []
        self._changed = threading.Condition()
        self._link = None

    def map(self):
        return f"""[[device]]
id = "{self.device}"
content_type = "application/json"
tcp.listen = "127.0.0.1:{self.port}"
tcp.framing = {{ kind = "line", end = "\\n" }}
tcp.ack = "OK\\n"
tcp.command = {{ send = "CMD {{id}} {{payload}}\\n", reply = "DONE {{id}}" }}
tcp.method = {{ send = "CALL {{id}} {{name}} {{payload}}\\n", reply = "ANSWER {{id}} {{payload}}" }}
"""

    def connect(self):
        """Once the gateway listens."""
        self._link = self.scenario.start(
            f"{self.device}-nc", [tool("nc.openbsd", "nc"), "127.0.0.1", str(self.port)], stdin=True, echo=self._line
        )

    def read(self, text):
        self._link.write(text.encode() + b"\n")

    def _line(self, line):
        if line == "OK":
            with self._changed:
                self.acknowledged += 1
                self._changed.notify_all()
        elif line.startswith("CMD "):
            _, ident, payload = line.split(" ", 2)
            self.did(payload)
            self._link.write(f"DONE {ident}\n".encode())
        elif line.startswith("CALL "):
            _, ident, name, payload = line.split(" ", 3)
            self.methods.append(name)
            self._link.write(f'ANSWER {ident} {{"method":"{name}","of":{payload},"kg":1250.4}}\n'.encode())

    def wait_acknowledged(self, number, seconds=SOON):
        with self._changed:
            reached = self._changed.wait_for(lambda: self.acknowledged >= number, seconds)
        expect(reached, f"{self.device}: {self.acknowledged} of {number} lines acknowledged after {seconds:.0f} s")


class Tank(Device):
    """CoAP: coap-client for a reading, for observing the command resource, and for saying that a command is done."""

    protocol = "CoAP"
    # A notification as coap-client shows it: v:1 t:CON c:2.05 i:6d96 {01} [ Observe:3, Location-Query:id=7 ] :: 'open'
    _notification = re.compile(r"v:1 t:\w+ c:2\.05 .*\[.*\bLocation-Query:id=([^,\s\]]+).*\] :: '(.*)'")

    def __init__(self, scenario, device, port, path, on_command=None):
        super().__init__(scenario, device, on_command)
        self._path = path
        self._base = f"coap://127.0.0.1:{port}{path}"
        self._client = tool("coap-client-notls", "coap-client")
        self._seen = set()
        self._observer = None

    def map(self):
        return f"""[[device]]
id = "{self.device}"
content_type = "application/json"
coap.telemetry = "{self._path}/level"
coap.command = "{self._path}/cmd"
coap.result = "{self._path}/result"
"""

    def connect(self):
        """Starts to observe the command resource."""
        self._observer = self.scenario.start(
            f"{self.device}-observer",
            [self._client, "-v", "7", "-s", "86400", "-B", "86400", "-m", "get", f"{self._base}/cmd"],
            echo=self._line,
        )
        self._observer.wait_line(r"c:2\.0[35] .*Observe:")

    def _post(self, path, text):
        """The code with which the gateway answered a confirmable POST."""
        done = subprocess.run(
            [
                self._client, "-v", "6", "-B", str(int(SOON)), "-m", "post", "-t", "application/json", "-e", text,
                self._base + path,
            ],
            capture_output=True, text=True, timeout=SOON + 10, check=False,
        )
        codes = re.findall(r"^v:1 t:\w+ c:([2-5]\.\d\d) ", done.stdout + done.stderr, re.MULTILINE)
        return codes[-1] if codes else f"no answer: {done.stdout}{done.stderr}"

    def read(self, text):
        answer = self._post("/level", text)
        expect(answer == "2.04", f"{self.device}: the gateway answered {answer} to a reading")

    def _line(self, line):
        found = self._notification.search(line)
        if not found or found.group(1) in self._seen:
            return
        self._seen.add(found.group(1))
        self.did(found.group(2))
        # Not from this thread, which carries the observer's output.
        ident = urllib.parse.quote(found.group(1), safe="")
        threading.Thread(target=self._post, args=(f"/result?id={ident}", "done"), daemon=True).start()
