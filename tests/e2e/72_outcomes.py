#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The outcome table: what the service side is told of a command, for each protocol, state of the device, way in which
the device says that it is done, and ack mode. No cell may be a silent accept: Success only where the device did it."""

import os
import signal
import socket
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support", "e2e"))

from broker import Broker  # noqa: E402
from coap_client import ACK, decode, encode  # noqa: E402
from gateway import Gateway, new_key  # noqa: E402
from harness import SOON, eventually, expect, main, note  # noqa: E402
from hub import Hub  # noqa: E402
from real_devices import Boiler, Tank, tool  # noqa: E402

ACKS = ("none", "positive", "negative", "full")
TIMEOUT_S = 1  # what a device has to answer
SLOW_S = 5  # what the slow ones take: the answer falls between two deliveries, 1 and 5 s after a return (C-02)
LIFETIME_MS = 9_000  # of the messages
FORBIDDEN = 0x83


class MqttCell(Boiler):
    """A boiler with a presence topic; the slow one answers late, the half-open one's client dies without a word."""

    def __init__(self, scenario, device, broker, state, done="replied"):
        self._state, self._done = state, done
        super().__init__(scenario, device, broker, f"plant/{device}")
        self._ears = scenario.processes[-1]
        word = "offline" if state == "away" else "online"
        scenario.run([tool("mosquitto_pub"), *self._server, "-r", "-t", f"plant/{device}/presence", "-m", word])

    def map(self):
        # A command of the refusing one lacks the property that its topic is made of: it can never be published.
        topic = "{channel}" if self._state == "refusing" else "cmd"
        text = f"""[[device]]
id = "{self.device}"
command_timeout = "{TIMEOUT_S}s"
mqtt.telemetry = "plant/{self.device}/state"
mqtt.command = "plant/{self.device}/{topic}"
mqtt.presence = "plant/{self.device}/presence"
"""
        if self._done == "replied":
            return text + f'mqtt.command_reply = "plant/{self.device}/cmd-done"\n'
        return text + f'command_done = "{self._done}"\n'

    def connect(self):
        if self._state == "half-open":
            self._ears.kill()

    def _command(self, payload):
        self.did(payload)
        threading.Thread(target=self._finish, daemon=True).start()

    def _finish(self):
        if self._state == "slow":
            time.sleep(SLOW_S)
        if self._done == "replied":
            self.scenario.run([tool("mosquitto_pub"), *self._server, "-t", f"plant/{self.device}/cmd-done", "-m", "done"])


class CoapCell(Tank):
    """A tank that observes; the refusing one has a server of its own that forbids whatever it is sent."""

    def __init__(self, scenario, device, port, state):
        super().__init__(scenario, device, port, f"/{device}")
        self._state = state
        self._server = None
        if state == "refusing":
            self._server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self._server.bind(("127.0.0.1", 0))
            threading.Thread(target=self._refuse, daemon=True).start()

    def map(self):
        path = f"/{self.device}"
        text = f'[[device]]\nid = "{self.device}"\ncommand_timeout = "{TIMEOUT_S}s"\ncoap.telemetry = "{path}/level"\n'
        if self._server:
            port = self._server.getsockname()[1]
            return text + f'coap.push = "coap://127.0.0.1:{port}/cmd"\ncommand_done = "acknowledged"\n'
        return text + f'coap.command = "{path}/cmd"\ncoap.result = "{path}/result"\n'

    def connect(self):
        if self._state in ("away", "refusing"):
            return
        super().connect()
        if self._state == "half-open":
            os.kill(self._observer.pid, signal.SIGSTOP)
            self.scenario.on_exit(lambda: os.kill(self._observer.pid, signal.SIGCONT))

    def _post(self, path, text):
        if self._state == "slow":
            time.sleep(SLOW_S)
        return super()._post(path, text)

    def _refuse(self):
        while True:
            try:
                data, peer = self._server.recvfrom(2048)
            except OSError:
                return
            kind, code, mid, token, _, _ = decode(data)
            if kind == 0 and code:
                self._server.sendto(encode(ACK, FORBIDDEN, mid, token), peer)


class TcpCell:
    """A raw socket that answers "CMD <id> …" with "DONE <id>"; the half-open one never reads, the refusing one hangs up."""

    protocol = "TCP"

    def __init__(self, scenario, device, port, state, done="replied"):
        self.device, self.port, self.commands = device, port, []
        self._state, self._done = state, done
        self._link = None
        self._wanted = True
        scenario.on_exit(self.end)

    def map(self):
        text = f'[[device]]\nid = "{self.device}"\ncommand_timeout = "{TIMEOUT_S}s"\ntcp.listen = "127.0.0.1:{self.port}"\n'
        if self._done == "replied":
            return text + 'tcp.command = { send = "CMD {id} {payload}\\n", reply = "DONE {id}" }\n'
        return text + f'tcp.command = {{ send = "CMD {{id}} {{payload}}\\n" }}\ncommand_done = "{self._done}"\n'

    def connect(self):
        if self._state != "away":
            threading.Thread(target=self._live, daemon=True).start()
            eventually(lambda: self._link, f"{self.device} is connected")

    def end(self):
        self._wanted = False
        if self._link:
            self._link.close()

    def _live(self):
        while self._wanted:
            try:
                self._link = socket.create_connection(("127.0.0.1", self.port), timeout=SOON)
                self._link.settimeout(None)
                if self._state == "half-open":
                    return
                for line in self._link.makefile("rb"):
                    self.commands.append(line)
                    if self._state == "refusing":
                        break
                    threading.Thread(target=self._finish, args=(line,), daemon=True).start()
                self._link.close()
            except OSError:
                pass
            time.sleep(0.1)

    def _finish(self, line):
        if self._state == "slow":
            time.sleep(SLOW_S)
        if self._done == "replied":
            try:
                self._link.sendall(b"DONE " + line.split()[1] + b"\n")
            except OSError:
                pass  # the scenario is over


# What the service is told in the end. A device that is slow beyond its time, or never answers, was never accepted; the
# message runs out at the hub. What can never be done is rejected, where the protocol has a word for it.
EXPECTED = {
    ("MQTT", "refusing"): "Rejected",
    ("CoAP", "refusing"): "Rejected",
}


def expected(cell, state):
    return "Success" if state == "ready" else EXPECTED.get((cell.protocol, state), "Expired")


def told(status, ack):
    wanted = ("positive", "full") if status == "Success" else ("negative", "full")
    return {status} if ack in wanted else set()


def body(scenario):
    states = ("ready", "away", "half-open", "slow", "refusing")
    broker = Broker(scenario)
    coap_port = scenario.ports.take()
    names = [f"{kind}-{state}" for kind in ("mqtt", "coap", "tcp") for state in states]
    names += ["mqtt-acknowledged-ready", "tcp-written-ready"]
    keys = {name: new_key() for name in names}
    hub = Hub(scenario, keys)
    cells = {}
    for state in states:
        cells[f"mqtt-{state}"] = (MqttCell(scenario, f"mqtt-{state}", broker, state), state)
        cells[f"coap-{state}"] = (CoapCell(scenario, f"coap-{state}", coap_port, state), state)
        cells[f"tcp-{state}"] = (TcpCell(scenario, f"tcp-{state}", scenario.ports.take(), state), state)
    cells["mqtt-acknowledged-ready"] = (
        MqttCell(scenario, "mqtt-acknowledged-ready", broker, "ready", "acknowledged"), "ready"
    )
    cells["tcp-written-ready"] = (
        TcpCell(scenario, "tcp-written-ready", scenario.ports.take(), "ready", "written"), "ready"
    )
    gateway = Gateway(
        scenario, hub, {name: cell.map() for name, (cell, _) in cells.items()}, keys, broker=broker, coap_port=coap_port
    )
    gateway.start()
    eventually(lambda: (gateway.status() or {}).get("verdict") == "ok", "trunkline status says ok")
    for cell, _ in cells.values():
        cell.connect()

    sent = {}
    for name in cells:
        for ack in ACKS:
            ident = f"{name}/{ack}"
            sequence = hub.ask(
                "enqueue", device=name, body=f"do {ack}", message_id=ident, ack=ack, ttl_ms=LIFETIME_MS
            )["sequence"]
            sent[ident] = (name, sequence)

    ends = {"Success": "completed", "Rejected": "rejected", "Expired": "expired"}
    for ident, (name, sequence) in sent.items():
        cell, state = cells[name]
        status = expected(cell, state)
        end = hub.wait_outcome(name, sequence)
        expect(end == ends[status], f"{ident}: the hub has it as {end}, not {ends[status]}")
    records = {}
    for record in hub.ask("feedback")["records"]:
        records.setdefault(record["message_id"], set()).add(record["status"])
    for ident, (name, _) in sent.items():
        cell, state = cells[name]
        ack = ident.rsplit("/", 1)[1]
        wanted = told(expected(cell, state), ack)
        got = records.get(ident, set())
        expect(got == wanted, f"{ident}: the feedback is {got or 'none'}, not {wanted or 'none'}")
    for name, (cell, state) in cells.items():
        if state == "ready":
            expect(len(cell.commands) == len(ACKS), f"{name} did {len(cell.commands)} commands, not {len(ACKS)}")
        if state == "away":
            expect(not cell.commands, f"{name} was away and did {cell.commands}")
        note(f"{name}: {expected(cell, state)}, told as each ack mode asks")


if __name__ == "__main__":
    main("72_outcomes", body)
