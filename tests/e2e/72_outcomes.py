#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The outcome table: what the service side is told of a command, for each protocol, state of the device, way in which
the device says that it is done, and ack mode. No cell may be a silent accept: Success only where the device did it, or
where the map's `command_done` says in so many words that less counts: a broker's word, the write, our own care.

The default form has the replies of all states and one of everything else; --full (or TRUNKLINE_LONG=1) the whole table."""

import json
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
CHANGED, FORBIDDEN = 0x44, 0x83
FULL = "--full" in sys.argv or os.environ.get("TRUNKLINE_LONG") == "1"


def done_line(done):
    return "" if done == "replied" else f'command_done = "{done}"\n'


class MqttCell(Boiler):
    """A boiler with a presence topic; the slow one answers late, the half-open one's client dies without a word, and a
    command of the refusing one lacks the property that its topic is made of: it can never be published."""

    def __init__(self, scenario, device, broker, state, done="replied"):
        self._state, self._done = state, done
        super().__init__(scenario, device, broker, f"plant/{device}")
        self._ears = scenario.processes[-1]
        word = "offline" if state == "away" else "online"
        scenario.run([tool("mosquitto_pub"), *self._server, "-r", "-t", f"plant/{device}/presence", "-m", word])

    def map(self):
        topic = "{channel}" if self._state == "refusing" else "cmd"
        text = f"""[[device]]
id = "{self.device}"
command_timeout = "{TIMEOUT_S}s"
mqtt.telemetry = "plant/{self.device}/state"
mqtt.command = "plant/{self.device}/{topic}"
mqtt.presence = "plant/{self.device}/presence"
{done_line(self._done)}"""
        return text + (f'mqtt.command_reply = "plant/{self.device}/cmd-done"\n' if self._replies() else "")

    def _replies(self):
        return self._done in ("replied", "stored")

    def connect(self):
        if self._state == "half-open":
            self._ears.kill()

    def _command(self, payload):
        self.did(payload)
        threading.Thread(target=self._finish, daemon=True).start()

    def _finish(self):
        if self._state == "slow":
            time.sleep(SLOW_S)
        if self._replies():
            self.scenario.run([tool("mosquitto_pub"), *self._server, "-t", f"plant/{self.device}/cmd-done", "-m", "done"])


class CoapCell(Tank):
    """A tank that observes; the half-open one is stopped, the refusing one has ended its observation."""

    def __init__(self, scenario, device, port, state, done="replied"):
        super().__init__(scenario, device, port, f"/{device}")
        self._state, self._done = state, done

    def map(self):
        path = f"/{self.device}"
        text = f'[[device]]\nid = "{self.device}"\ncommand_timeout = "{TIMEOUT_S}s"\ncoap.telemetry = "{path}/level"\n'
        text += f'coap.command = "{path}/cmd"\n{done_line(self._done)}'
        return text + ("" if self._done == "written" else f'coap.result = "{path}/result"\n')

    def connect(self):
        if self._state == "away":
            return
        if self._state == "refusing":
            self.scenario.run([self._client, "-s", "1", "-B", "1", "-m", "get", f"{self._base}/cmd"])
            return
        super().connect()
        if self._state == "half-open":
            os.kill(self._observer.pid, signal.SIGSTOP)
            self.scenario.on_exit(lambda: os.kill(self._observer.pid, signal.SIGCONT))

    def _post(self, path, text):
        if self._done == "written":
            return "2.04"
        if self._state == "slow":
            time.sleep(SLOW_S)
        return super()._post(path, text)


class PushCell:
    """A device with a CoAP server of its own, which answers, answers late, not at all, or forbids whatever it is sent;
    the one that is away has none."""

    protocol = "CoAP push"

    def __init__(self, scenario, device, state, done="acknowledged"):
        self.device, self.commands = device, []
        self._state, self._done = state, done
        self._server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._server.bind(("127.0.0.1", 0))
        self._port = self._server.getsockname()[1]
        self._answered = {}
        scenario.on_exit(self._server.close)
        if state == "away":
            self._server.close()
        elif state != "half-open":
            threading.Thread(target=self._live, daemon=True).start()

    def map(self):
        return f"""[[device]]
id = "{self.device}"
command_timeout = "{TIMEOUT_S}s"
coap.telemetry = "/{self.device}/level"
coap.push = "coap://127.0.0.1:{self._port}/cmd"
command_done = "{self._done}"
"""

    def connect(self):
        pass

    def _live(self):
        while True:
            try:
                data, peer = self._server.recvfrom(2048)
            except OSError:
                return
            kind, code, mid, token, options, payload = decode(data)
            if kind != 0 or not code:
                continue
            if token not in self._answered:
                self._answered[token] = True
                self.commands.append(payload)
            answer = encode(ACK, FORBIDDEN if self._state == "refusing" else CHANGED, mid, token)
            delay = SLOW_S if self._state == "slow" else 0
            threading.Timer(delay, self._send, (answer, peer)).start()

    def _send(self, answer, peer):
        try:
            self._server.sendto(answer, peer)
        except OSError:
            pass  # the scenario is over


class TcpCell:
    """A raw socket that answers "CMD <id> …" with "DONE <id>"; the half-open one never reads, the refusing one hangs up."""

    protocol = "TCP"

    def __init__(self, scenario, device, port, state, done="replied"):
        self.device, self.port, self.commands = device, port, []
        self._state, self._done = state, done
        self._link = None
        self._wanted = True
        scenario.on_exit(self.end)

    def _replies(self):
        return self._done in ("replied", "acknowledged", "stored")

    def map(self):
        text = f'[[device]]\nid = "{self.device}"\ncommand_timeout = "{TIMEOUT_S}s"\ntcp.listen = "127.0.0.1:{self.port}"\n'
        reply = ', reply = "DONE {id}"' if self._replies() else ""
        return text + f'tcp.command = {{ send = "CMD {{id}} {{payload}}\\n"{reply} }}\n{done_line(self._done)}'

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
        if self._replies():
            try:
                self._link.sendall(b"DONE " + line.split()[1] + b"\n")
            except OSError:
                pass  # the scenario is over


# The whole table: each kind of device with each command_done that it may have, in each of the five states.
STATES = ("ready", "away", "half-open", "slow", "refusing")
KINDS = {
    "mqtt": ("replied", "acknowledged", "written", "stored"),
    "coap": ("replied", "written", "stored"),
    "push": ("acknowledged", "written", "stored"),
    "tcp": ("replied", "acknowledged", "written", "stored"),
}
# The default form: what the device itself says, in all states, and of everything else the ends of the scale.
SHORT = {("mqtt", "replied"), ("coap", "replied"), ("push", "acknowledged"), ("tcp", "replied")}
SHORT_STATES = {"stored": ("ready", "away"), "acknowledged": ("ready", "half-open"), "written": ("ready",)}


def expected(kind, done, state):
    """What the service is told in the end. A device that is slow beyond its time, or never answers, was never accepted;
    the message runs out at the hub. What can never be done is rejected, where the protocol has a word for it."""
    if done == "stored" or state == "ready":
        return "Success"
    if state == "refusing" and (kind == "mqtt" or (kind == "push" and done == "acknowledged")):
        return "Rejected"
    if kind == "push" and done == "written" and state in ("away", "half-open", "slow"):
        return "Success or Expired"  # a datagram leaves whoever is there, until one that nobody answered says more
    if state == "away" or (kind == "coap" and state == "refusing"):
        return "Expired"  # nobody is there to be told anything
    if done == "written" or (kind == "mqtt" and done == "acknowledged" and state == "slow"):
        return "Success"  # as the map says in so many words: the bytes left, or the broker took it for somebody
    return "Expired"


def fate(kind, state):
    """Of commands in our own care: what the ledger says in the end; nothing where it is a matter of luck."""
    if state == "slow":
        return None
    if state == "refusing" and kind in ("mqtt", "push"):
        return "failed"
    return "delivered" if state == "ready" else "expired"


def told(status, ack):
    wanted = ("positive", "full") if status == "Success" else ("negative", "full")
    return {status} if ack in wanted else set()


def body(scenario):
    broker = Broker(scenario)
    coap_port = scenario.ports.take()
    make = {
        "mqtt": lambda name, state, done: MqttCell(scenario, name, broker, state, done),
        "coap": lambda name, state, done: CoapCell(scenario, name, coap_port, state, done),
        "push": lambda name, state, done: PushCell(scenario, name, state, done),
        "tcp": lambda name, state, done: TcpCell(scenario, name, scenario.ports.take(), state, done),
    }
    table = {}  # name: kind, done, state
    for kind, ways in KINDS.items():
        for done in ways:
            for state in STATES:
                if FULL or (kind, done) in SHORT or state in SHORT_STATES.get(done, ()):
                    table[f"{kind}-{done}-{state}"] = (kind, done, state)
    keys = {name: new_key() for name in table}
    hub = Hub(scenario, {})
    for name, key in keys.items():
        hub.ask("add_device", device=name, key=key)
    cells = {name: make[kind](name, state, done) for name, (kind, done, state) in table.items()}
    gateway = Gateway(
        scenario, hub, {name: cell.map() for name, cell in cells.items()}, keys, broker=broker, coap_port=coap_port
    )
    gateway.start()
    eventually(lambda: (gateway.status() or {}).get("verdict") == "ok", "trunkline status says ok")
    for cell in cells.values():
        cell.connect()

    sent = {}
    for name in cells:
        for ack in ACKS:
            ident = f"{name}/{ack}"
            sequence = hub.ask(
                "enqueue", device=name, body=f"do {ack}", message_id=ident, ack=ack, ttl_ms=LIFETIME_MS
            )["sequence"]
            sent[ident] = (name, sequence)

    words = {"completed": "Success", "rejected": "Rejected", "expired": "Expired"}
    ends = {}
    for ident, (name, sequence) in sent.items():
        wanted = expected(*table[name])
        end = hub.wait_outcome(name, sequence)
        ends[ident] = words.get(end, end)
        expect(ends[ident] in wanted.split(" or "), f"{ident}: the hub has it as {end}, not {wanted}")
    records = {}
    for record in hub.ask("feedback")["records"]:
        records.setdefault(record["message_id"], set()).add(record["status"])
    for ident in sent:
        ack = ident.rsplit("/", 1)[1]
        wanted = told(ends[ident], ack)
        got = records.get(ident, set())
        expect(got == wanted, f"{ident}: the feedback is {got or 'none'}, not {wanted or 'none'}")

    def books():
        ledger = json.loads(gateway.cli("ledger", "--json").stdout)["commands"]
        return {one["id"]: one for one in ledger["devices"]} if ledger["total"]["waiting"] == 0 else None

    kept = eventually(books, "nothing is kept any more")
    for name, (kind, done, state) in table.items():
        cell = cells[name]
        if state == "ready":
            expect(len(cell.commands) == len(ACKS), f"{name} did {len(cell.commands)} commands, not {len(ACKS)}")
        if state == "away":
            expect(not cell.commands, f"{name} was away and did {cell.commands}")
        became = fate(kind, state) if done == "stored" else None
        if became:
            expect(kept[name][became] == len(ACKS), f"{name}: not all {became}: {kept[name]}")
        ours = f"; in our care: {became}" if became else ""
        note(f"{name}: {expected(kind, done, state)}, told as each ack mode asks{ours}")
    note(f"{len(sent)} cells")


if __name__ == "__main__":
    main("72_outcomes", body)
