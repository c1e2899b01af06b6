# SPDX-License-Identifier: Apache-2.0
"""Devices that take methods and desired properties and report their state, through the programs that people use:
mosquitto_sub/_pub, coap-client, and a raw socket."""

import json
import re
import subprocess
import threading
import urllib.parse

from broker import Broker
from dialler import Dialler
from gateway import Gateway, new_key
from harness import SOON, eventually
from hub import Hub
from real_devices import tool

SILENT = object()  # what a device returns that does not answer


class CallDevice:
    """`act(name, payload)` is what the device does: (status, payload text) or SILENT. Desired properties are taken over
    and reported, unless it is `stubborn`."""

    def __init__(self, scenario, device, act=None):
        self.scenario = scenario
        self.device = device
        self.calls = []  # (id, name, payload)
        self.state = {}
        self.writes = []
        self.stubborn = False
        self.act = act or self.default_act
        self._lock = threading.Lock()

    @staticmethod
    def default_act(name, payload):
        if name == "add":
            return 200, json.dumps(sum(json.loads(payload)))
        if name == "measure":
            return 200, str(len(payload))
        if name == "refuse":
            return 409, '{"why":"busy welding"}'
        if name == "talk":
            return 200, "plain words"
        if name == "flood":
            return 200, json.dumps("x" * 140_000)
        if name == "sleep":
            return SILENT
        return 404, '"no such method"'

    def called(self, ident, name, payload):
        with self._lock:
            self.calls.append((ident, name, payload))
        answer = self.act(name, payload)
        if answer is not SILENT:
            self.answer(ident, *answer)

    def written(self, ident, patch):
        with self._lock:
            self.writes.append(patch)
        if self.stubborn:
            return
        for name, value in json.loads(patch).items():
            if value is None:
                self.state.pop(name, None)
            else:
                self.state[name] = value
        self.confirm(ident)

    def wait_calls(self, count, seconds=SOON):
        eventually(lambda: len(self.calls) >= count, f"{self.device} was called {count} times", seconds)


class MqttCallDevice(CallDevice):
    protocol = "MQTT"

    def __init__(self, scenario, device, broker, act=None):
        super().__init__(scenario, device, act)
        self.topic = f"plant/{device}"
        self._server = ["-h", "127.0.0.1", "-p", str(broker.port), "-q", "1"]
        self._broker = broker
        self._ears = None
        self.connect()

    def connect(self):
        name = f"{self.device}-ears"
        filters = [f"{self.topic}/rpc/+/+", f"{self.topic}/desired"]
        command = [tool("mosquitto_sub"), *self._server, "-i", name, "-v"]
        for topic in filters:
            command += ["-t", topic]
        self._ears = self.scenario.start(name, command, echo=self._line)
        self._broker.wait_subscribed(name, filters)

    def disconnect(self):
        self._ears.kill()

    def map(self, extra=""):
        return f"""[[device]]
id = "{self.device}"
mqtt.telemetry = "{self.topic}/state"
mqtt.method = "{self.topic}/rpc/{{name}}/{{id}}"
mqtt.method_reply = "{self.topic}/answer"
mqtt.desired = "{self.topic}/desired"
mqtt.reported = "{self.topic}/reported"
{extra}
"""

    def _say(self, topic, text):
        self.scenario.run([tool("mosquitto_pub"), *self._server, "-t", f"{self.topic}/{topic}", "-m", text])

    def _line(self, line):
        topic, _, payload = line.partition(" ")
        parts = topic.split("/")
        if parts[-1] == "desired":
            threading.Thread(target=self.written, args=(None, payload), daemon=True).start()
        elif len(parts) == 5:
            threading.Thread(target=self.called, args=(parts[4], parts[3], payload), daemon=True).start()

    def answer(self, ident, status, text):
        try:
            payload = json.loads(text)
        except ValueError:
            payload = text
        self._say("answer", json.dumps({"id": ident, "status": status, "payload": payload}))

    def confirm(self, _ident):
        self._say("reported", json.dumps(self.state))

    report = confirm


class Mqtt5CallDevice(CallDevice):
    """Request and response as MQTT 5 has them: the answer goes to the response topic with the correlation data, and
    names nothing else."""

    protocol = "MQTT 5"

    def __init__(self, scenario, device, broker, act=None):
        super().__init__(scenario, device, act)
        self.topic = f"plant/{device}"
        self._server = ["-h", "127.0.0.1", "-p", str(broker.port), "-q", "1", "-V", "mqttv5"]
        name = f"{device}-ears"
        scenario.start(
            name,
            [tool("mosquitto_sub"), *self._server, "-i", name, "-t", f"{self.topic}/rpc/+", "-F", "%t|%R|%D|%p"],
            echo=self._line,
        )
        broker.wait_subscribed(name, [f"{self.topic}/rpc/+"])

    def map(self, extra=""):
        return f"""[[device]]
id = "{self.device}"
mqtt.telemetry = "{self.topic}/state"
mqtt.method = "{self.topic}/rpc/{{name}}"
mqtt.method_reply = "{self.topic}/answer"
{extra}
"""

    def _line(self, line):
        topic, response, correlation, payload = line.split("|", 3)
        threading.Thread(
            target=self.called, args=((response, correlation), topic.rsplit("/", 1)[1], payload), daemon=True
        ).start()

    def answer(self, ident, status, text):
        response, correlation = ident
        payload = text if status == 200 else json.dumps({"status": status, "payload": json.loads(text)})
        self.scenario.run(
            [tool("mosquitto_pub"), *self._server, "-t", response, "-D", "publish", "correlation-data", correlation,
             "-m", payload]
        )


class CoapCallDevice(CallDevice):
    protocol = "CoAP"
    _query = re.compile(r"Location-Query:([a-z]+)=([^,\s\]]+)")

    def __init__(self, scenario, device, port, act=None):
        super().__init__(scenario, device, act)
        self._base = f"coap://127.0.0.1:{port}/{device}"
        self._client = tool("coap-client-notls", "coap-client")
        self._seen = set()
        self._observers = []

    def map(self, extra=""):
        path = f"/{self.device}"
        return f"""[[device]]
id = "{self.device}"
coap.telemetry = "{path}/t"
coap.method = "{path}/method"
coap.method_reply = "{path}/answer"
coap.desired = "{path}/desired"
coap.reported = "{path}/reported"
{extra}
"""

    def connect(self):
        """Observes both paths, once the gateway listens."""
        for number, path in enumerate(("method", "desired")):
            observer = self.scenario.start(
                f"{self.device}-{path}-{len(self._observers)}",
                [self._client, "-v", "7", "-s", "86400", "-B", "86400", "-m", "get", f"{self._base}/{path}"],
                echo=lambda line, path=path: self._line(path, line),
            )
            observer.wait_line(r"c:2\.0[35] .*Observe:")
            self._observers.append(observer)

    def disconnect(self):
        for observer in self._observers:
            observer.kill()
        self._observers.clear()

    def _line(self, path, line):
        if "c:2.05" not in line or "Location-Query" not in line or " :: '" not in line:
            return
        queries = dict(self._query.findall(line))
        ident = queries.get("id")
        if not ident or ident in self._seen:
            return
        self._seen.add(ident)
        payload = line.split(" :: '", 1)[1].rsplit("'", 1)[0]
        # coap-client shows quotes in a payload with a backslash
        payload = payload.replace('\\"', '"')
        if path == "method":
            target, arguments = self.called, (ident, queries["name"], payload)
        else:
            target, arguments = self.written, (ident, payload)
        # Not from this thread, which carries the observer's output.
        threading.Thread(target=target, args=arguments, daemon=True).start()

    def _post(self, path, text):
        done = subprocess.run(
            [self._client, "-v", "6", "-B", str(int(SOON)), "-m", "post", "-e", text, f"{self._base}/{path}"],
            capture_output=True, text=True, timeout=SOON + 10, check=False,
        )
        codes = re.findall(r"^v:1 t:\w+ c:([2-5]\.\d\d) ", done.stdout + done.stderr, re.MULTILINE)
        return codes[-1] if codes else f"no answer: {done.stdout}{done.stderr}"

    def answer(self, ident, status, text):
        return self._post(f"answer?id={urllib.parse.quote(ident)}&status={status}", text)

    def confirm(self, ident):
        return self._post(f"reported?id={urllib.parse.quote(ident)}", json.dumps(self.state))

    def report(self, _ident=None):
        return self._post("reported", json.dumps(self.state))


class TcpCallDevice(CallDevice):
    """A raw socket that dials again whenever the connection is lost."""

    protocol = "TCP"

    def __init__(self, scenario, device, port, act=None):
        super().__init__(scenario, device, act)
        self.port = port
        self._dialler = Dialler(scenario, device, lambda: self.port, self._line)

    def map(self, extra=""):
        return f"""[[device]]
id = "{self.device}"
tcp.listen = "127.0.0.1:{self.port}"
tcp.method = {{ send = "CALL {{id}} {{name}} {{payload}}\\n", reply = "ANSWER {{id}} {{status}} {{payload}}" }}
tcp.desired = {{ send = "SET {{id}} {{payload}}\\n", reply = "SET-OK {{id}}" }}
tcp.reported = "STATE {{payload}}"
{extra}
"""

    def connect(self):
        self._dialler.dial()

    def disconnect(self):
        self._dialler.hang_up()

    def _line(self, line):
        kind, ident, rest = line.split(" ", 2)
        if kind == "CALL":
            self.called(ident, *rest.split(" ", 1))
        else:
            self.written(ident, rest)

    def say(self, line):
        self._dialler.say(line)

    def answer(self, ident, status, text):
        self.say(f"ANSWER {ident} {status} {text}")

    def confirm(self, ident):
        self.say(f"SET-OK {ident}")
        self.report()

    def report(self, _ident=None):
        self.say("STATE " + json.dumps(self.state))

    def report_more(self, name, value):
        """A change of one property only."""
        self.say("STATE " + json.dumps({name: value}))


class CallPlant:
    """Broker, hub and a gateway with a device of each protocol. `extra(device)` is what else its map says; `others(broker)`
    gives further devices."""

    def __init__(self, scenario, extra, others=lambda broker: []):
        self.broker = Broker(scenario)
        coap_port = scenario.ports.take()
        self.press = MqttCallDevice(scenario, "press-1", self.broker)
        self.tank = CoapCallDevice(scenario, "tank-1", coap_port)
        self.scale = TcpCallDevice(scenario, "scale-1", scenario.ports.take())
        self.devices = [self.press, self.tank, self.scale]
        self.others = others(self.broker)
        every = [*self.devices, *self.others]
        keys = {one.device: new_key() for one in every}
        self.hub = Hub(scenario, keys)
        self.gateway = Gateway(
            scenario, self.hub, {one.device: one.map(extra(one)) for one in every}, keys, broker=self.broker,
            coap_port=coap_port, hub_table='report_state = true\nreport_every = "200ms"',
        )

    def start(self):
        self.gateway.start()
        self.broker.wait_subscribed("trunkline", [f"{self.press.topic}/answer", f"{self.press.topic}/reported"])
        eventually(lambda: (self.gateway.status() or {}).get("verdict") == "ok", "trunkline status says ok")
        self.tank.connect()
        self.scale.connect()
