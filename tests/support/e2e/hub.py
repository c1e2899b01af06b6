# SPDX-License-Identifier: Apache-2.0
"""The hub simulator as a process, and its control socket (tests/hubsim/README.md)."""

import json
import os
import socket

from harness import SOON, expect


# Operations after which each message is still at the hub once.
HARMLESS = {"devices", "connections", "arrivals", "command", "feedback", "status", "wait_arrivals", "wait_outcome",
            "wait_connections", "wait_link", "wait_twin", "twin", "call_method", "enqueue", "purge"}


class Conversation:
    """One connection to a control socket, for those who ask often."""

    def __init__(self, path):
        self._link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._link.connect(path)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._link.close()

    def ask(self, op, seconds=SOON, **arguments):
        answer = self._talk([{"op": op, **arguments}], seconds)[0]
        expect("error" not in answer, f"the simulator refused {op} {arguments}: {answer.get('error')}")
        return answer

    def ask_all(self, requests, seconds=SOON):
        """Many at once; their answers, which may be errors."""
        answers = []
        for at in range(0, len(requests), 100):
            answers += self._talk(requests[at : at + 100], seconds)
        return answers

    def _talk(self, requests, seconds):
        self._link.settimeout(seconds + 10)
        self._link.sendall("".join(json.dumps(request) + "\n" for request in requests).encode())
        answers = bytearray()
        while answers.count(b"\n") < len(requests):
            data = self._link.recv(1 << 20)
            expect(data, f"the simulator ended the conversation about {requests[0]}")
            answers += data
        return [json.loads(line) for line in answers.splitlines()]


class Hub:
    def __init__(self, scenario, devices, name="e2e-hub", arguments=()):
        """`devices` maps each device id to its key."""
        self.scenario = scenario
        self.state = os.path.join(scenario.folder, "hub")
        self.control_path = os.path.join(scenario.folder, "hub.sock")
        self.command = [
            scenario.program("trunkline-hubsim"), "--hub-name", name, "--state", self.state,
            "--control", self.control_path, *arguments,
        ]
        for device, key in devices.items():
            self.command += ["--device", f"{device}:{key}"]
        self.process = None
        self.faulted = False  # it did something that lets a message come twice
        self._starts = 0
        self._gateways = []
        self.port = scenario.ports.take()
        self.start()

    def serve(self, gateway):
        self._gateways.append(gateway)

    def counts_for(self, gateway):
        """Whether what it has of the gateway's devices came from that gateway alone, and is all that ever came."""
        return self._gateways == [gateway] and self._starts == 1

    def start(self):
        self._starts += 1
        self.process = self.scenario.start("hubsim", [*self.command, "--listen", f"127.0.0.1:{self.port}"])
        found, _ = self.process.wait_line(r"^\{.*\}$")
        self.facts = json.loads(found.group(0))
        self.host = self.facts["host"]
        self.ca_file = self.facts["ca_file"]

    def connection_string(self, policy="iothubowner"):
        """What an operator has, to speak for the hub's service side."""
        return f"HostName={self.host};SharedAccessKeyName={policy};SharedAccessKey={self.facts['policies'][policy]}"

    def service(self, *arguments, expected=0, policy="iothubowner", seconds=SOON):
        """`trunkline hub …` against this hub, which needs --https among its arguments; what it printed."""
        command = [
            self.scenario.program("trunkline"), "hub", "--connection-string-file", "-", "--ca-file", self.ca_file,
            "--address", f"127.0.0.1:{self.port}", "--https", self.facts["https"], *arguments,
        ]
        done = self.scenario.run(command, expected=expected, stdin=self.connection_string(policy), seconds=seconds)
        return done.stdout.strip() if expected == 0 else done.stderr.strip()

    def ask(self, op, seconds=SOON, **arguments):
        """One operation of the control socket; its answer, which must not be an error."""
        self.faulted = self.faulted or op not in HARMLESS
        with Conversation(self.control_path) as conversation:
            return conversation.ask(op, seconds, **arguments)

    def connections_now(self):
        return self.ask("connections")["now"]

    def connections_ever(self):
        return self.ask("connections")["ever"]

    def wait_connections(self, count, seconds=SOON):
        self.ask("wait_connections", seconds, count=count, timeout_ms=int(seconds * 1000))

    def count(self, device):
        """How many messages of that device have arrived, repeats included."""
        return self.ask("devices", device=device)["devices"][0]["arrivals"]

    def arrivals(self, device, after=0):
        """Every record of that device since the index, in order of arrival."""
        records = []
        while True:
            page = self.ask("arrivals", device=device, after=after, limit=2000)["arrivals"]
            if not page:
                return records
            records += page
            after = page[-1]["index"]

    def wait_arrivals(self, device, count, seconds=SOON):
        self.ask("wait_arrivals", seconds, device=device, count=count, timeout_ms=int(seconds * 1000))

    def send_command(self, device, body):
        """Puts a cloud-to-device message into the device's queue; its sequence number."""
        return self.ask("enqueue", device=device, body=body)["sequence"]

    def call(self, device, method, payload=None, seconds=30):
        """A direct method as a service calls it: (HTTP status, status, payload), the latter two only with 200."""
        answer = self.ask(
            "call_method", seconds, device=device, method=method, payload=payload, response_timeout_ms=int(seconds * 1000)
        )
        return answer["http_status"], answer.get("status"), answer.get("payload")

    def twin(self, device, desired=None):
        """The twin, after a patch of its desired properties if one is given."""
        return self.ask("twin", device=device, **({} if desired is None else {"desired": desired}))

    def wait_reported(self, device, reported, seconds=SOON):
        return self.ask("wait_twin", seconds, device=device, reported=reported, timeout_ms=int(seconds * 1000))

    def wait_outcome(self, device, sequence, seconds=SOON):
        answer = self.ask(
            "wait_outcome", seconds, device=device, sequence=sequence, timeout_ms=int(seconds * 1000)
        )
        return answer["state"]
