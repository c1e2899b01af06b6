# SPDX-License-Identifier: Apache-2.0
"""The plant of the load scenarios: a broker, the hub, the gateway and load devices of all three protocols."""

import base64
import json
import os
import re

from broker import WINDOW, Broker
from coap_client import CoapLoad
from gateway import Gateway, new_key
from harness import SOON, eventually, expect, note
from hub import Hub
from load import check_arrivals, counter
from mqtt_client import MqttLoad
from tcp_client import ACK, TcpLoad

MQTT, COAP, TCP = "load-mqtt", "load-coap", "load-tcp"


class Plant:
    """`rates` are messages a second of the MQTT, CoAP and TCP device; `more_…` are maps and keys of further devices,
    and `hub_keys` what the hub knows of those."""

    def __init__(
        self, scenario, rates=(100, 50, 100), window=WINDOW, padding=0,
        hub_keys=None, more_keys=None, more_maps=None, **gateway_options,
    ):
        self.scenario = scenario
        self._records = {}
        self.keys = {device: new_key() for device in (MQTT, COAP, TCP)}
        self.broker = Broker(scenario)
        self.hub = Hub(scenario, {**self.keys, **(hub_keys or {})})
        coap_port, tcp_port = scenario.ports.take(), scenario.ports.take()
        maps = {
            MQTT: f"""[[device]]
id = "{MQTT}"
mqtt.telemetry = "load/state"
mqtt.command = "load/cmd"
mqtt.command_reply = "load/cmd/done"
""",
            COAP: f'[[device]]\nid = "{COAP}"\ncoap.telemetry = "/load"\n',
            TCP: f"""[[device]]
id = "{TCP}"
tcp.listen = "127.0.0.1:{tcp_port}"
tcp.ack = "{ACK.decode()}\\n"
tcp.command = {{ send = "CMD {{id}} {{payload}}\\n", reply = "DONE {{id}}" }}
""",
        }
        maps.update(more_maps or {})
        keys = {**self.keys, **(more_keys or {})}
        self.gateway = Gateway(
            scenario, self.hub, maps, keys, broker=self.broker, coap_port=coap_port, **gateway_options
        )
        self.gateway.start()
        # Before the first subscription ever, a broker drops what it acknowledges.
        self.broker.wait_subscribed("trunkline", ["load/state"])
        self.mqtt = MqttLoad(MQTT, self.broker.port, "load/state", rates[0], window, padding)
        self.coap = CoapLoad(COAP, coap_port, "/load", rates[1], min(padding, 900))  # one datagram (RFC 7252 section 4.6)
        self.tcp = TcpLoad(TCP, tcp_port, rates[2], window, padding)
        self.devices = [self.mqtt, self.coap, self.tcp]

    def start_load(self):
        for device in self.devices:
            device.start()

    def wait_progress(self, messages=1, seconds=SOON):
        """Until every device was acknowledged that many more than now."""
        goals = [(device, device.acknowledged + messages) for device in self.devices]
        for device, goal in goals:
            device.wait_acknowledged(goal, seconds)

    def broker_redeliveries(self):
        """How many messages the broker has sent to the gateway again, because it had no acknowledgement."""
        return sum(
            process.count_lines(r"Sending PUBLISH to trunkline \(d1,")
            for process in self.scenario.processes
            if process.name == "mosquitto"
        )

    def drain(self, seconds=3 * SOON):
        """Stops the load and waits until all of it is acknowledged, at the hub, and gone from the spool."""
        for device in self.devices:
            device.finish(seconds)

        def all_there():
            dead = self.dead_letters()
            missing = [one for one in self.devices if self._distinct(one.device, dead) < one.sent]
            waiting = (self.gateway.status() or {}).get("safety", {}).get("waiting")
            return not missing and waiting == 0

        eventually(all_there, "every acknowledged message is at the hub and nothing waits in the spool", seconds, 0.3)

    def arrivals(self, device):
        """The hub's records of that device up to now, each fetched once."""
        records = self._records.setdefault(device, [])
        records += self.hub.arrivals(device, records[-1]["index"] if records else 0)
        return records

    def _distinct(self, device, dead):
        return len({counter(arrival["body"]) for arrival in self.arrivals(device)} | dead.get(device, set()))

    def dead_letters(self):
        """The counters in each device's dead letters."""
        out = {}
        path = os.path.join(self.scenario.folder, "dead.jsonl")
        if os.path.exists(path):
            os.unlink(path)
        self.gateway.cli("deadletters", "export", "--file", path)
        with open(path, encoding="utf-8") as file:
            for line in file:
                letter = json.loads(line)
                out.setdefault(letter["device"], set()).add(counter(base64.b64decode(letter["body_base64"]).decode()))
        return out

    def trouble(self, chance):
        """Something that a hub does on a bad day, once. No release: what is in flight may overtake a released message (D-03),
        and this load has more than one in flight."""
        device = chance.choice(self.devices).device
        kind = chance.choice(("drop", "rejected", "detach", "none"))
        if kind == "drop":
            self.hub.ask("drop", how="rst")
        elif kind == "rejected":
            self.hub.ask("refuse_messages", device=device, outcome="rejected", condition="amqp:precondition-failed", count=2)
        elif kind == "detach":
            self.hub.ask("detach", device=device, condition="amqp:internal-error")
        return kind

    def check_ledger(self):
        """What came in is what the hub has, what is dead, and what was dropped; nothing is unaccounted for (D-05)."""
        done = self.gateway.cli("ledger", "--json")
        rows = json.loads(done.stdout)
        note(f"ledger: {json.dumps(rows)[:400]}")
        expect('"unaccounted":0' in done.stdout.replace(" ", ""), "the ledger shows no balance at all")
        wrong = re.findall(r'"unaccounted": ?(-?[1-9][0-9]*)', done.stdout)
        expect(not wrong, f"the ledger does not balance: {wrong}")

    def check(self, kills=0):
        """All promises about what arrived, for each device; each end of the gateway allows repeats by the sources."""
        # A gateway process takes a line once. What is twice at the hub was unacknowledged when a process ended, and that is a
        # window at most. The device itself may say it more often: the kernel closes a dead process's descriptors one by one, so a
        # redial can be taken by the listening socket of a process that is dead already, and nobody ever reads it.
        allowed = {
            MQTT: self.broker_redeliveries(),
            COAP: kills * self.coap.window + self.coap.unexplained_repeats,
            TCP: min(self.tcp.repeats, kills * self.tcp.window),
        }
        note(f"{TCP}: {self.tcp.connects} connections, {self.tcp.repeats} lines said again, {kills} ends of the gateway")
        dead = self.dead_letters()
        for device in self.devices:
            result = check_arrivals(
                device.device, self.arrivals(device.device), device.sent, allowed[device.device], dead.get(device.device, ())
            )
            result["dead letters"] = len(dead.get(device.device, ()))
            note(f"{device.device}: " + ", ".join(f"{count} {what}" for what, count in result.items()))
