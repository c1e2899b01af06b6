# SPDX-License-Identifier: Apache-2.0
"""The gateway under test: its files, its identities, its process and what it says of itself."""

import base64
import json
import os
import secrets
import urllib.error
import urllib.request

from books import Books, ledger_total
from harness import SOON, expect


def new_key():
    return base64.b64encode(secrets.token_bytes(32)).decode()


class Gateway:
    """Writes trunkline.toml and devices.d into the scenario's folder and runs `trunkline run` on them."""

    def __init__(self, scenario, hub, maps, keys, broker=None, coap_port=None, spool="", durability="power",
                 hub_table="", folder="gateway", coap_table="", mqtt_tables="", spool_directory=None, env=None):
        self.scenario = scenario
        self.program = scenario.program("trunkline")
        self.folder = os.path.join(scenario.folder, folder, "etc")
        self.state = os.path.join(scenario.folder, folder, "var")
        os.makedirs(os.path.join(self.folder, "devices.d"))
        os.makedirs(self.state)
        os.chmod(self.state, 0o700)
        self.config = os.path.join(self.folder, "trunkline.toml")
        self.control = os.path.join(scenario.folder, folder, "control.sock")
        self.status_port = scenario.ports.take()
        self.spool = spool_directory or os.path.join(self.state, "spool")
        self.env = env
        self.process = None
        self.starts = 0
        self.hub = hub
        self.devices = list(keys)
        hub.serve(self)
        text = f"""[hub]
host = "{hub.host}"
address = "127.0.0.1:{hub.port}"
ca_file = "{hub.ca_file}"
{hub_table}
[identity]
store = "{self.state}/identity.db"

[spool]
directory = "{self.spool}"
durability = "{durability}"
{spool}
[status]
listen = "127.0.0.1:{self.status_port}"
control = "{self.control}"
"""
        if broker:
            text += f'\n[mqtt]\nbroker = "mqtt://127.0.0.1:{broker.port}"\n'
        text += mqtt_tables
        if coap_port:
            text += f'\n[coap]\nlisten = "127.0.0.1:{coap_port}"\n{coap_table}'
        with open(self.config, "w", encoding="utf-8") as file:
            file.write(text)
        for name, content in maps.items():
            with open(os.path.join(self.folder, "devices.d", name + ".toml"), "w", encoding="utf-8") as file:
                file.write(content)
        self.import_keys(keys)

    def import_keys(self, keys):
        """`keys` maps each device id to its primary key, or to primary, secondary and perhaps pre-shared key."""
        path = os.path.join(self.folder, "keys.csv")
        with open(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            file.write("id,primary,secondary,psk\n")
            for device, key in keys.items():
                primary, secondary, *psk = (key, "") if isinstance(key, str) else key
                file.write(f"{device},{primary},{secondary},{''.join(psk)}\n")
        self.cli("identity", "import", path)
        os.unlink(path)

    def cli(self, *arguments, expected=0, stdin=None):
        return self.scenario.run(
            [self.program, *arguments, "--config", self.config], expected=expected, stdin=stdin
        )

    def start(self):
        self.starts += 1
        # What it will find in the books, to tell what this life adds.
        baseline = ledger_total(self.cli("ledger", "--json").stdout) if self.starts > 1 else {}
        process = self.process = self.scenario.start(
            f"gateway-{self.starts}", [self.program, "run", "--config", self.config], env=self.env
        )
        books = Books(self, self.hub, self.devices, baseline)
        process.before_end = books.check
        self.scenario.on_success(lambda: books.check() if process.running() else None)
        return process

    def start_in_vain(self, *prefix, seconds=SOON):
        """Starts it as `prefix` says; its exit status and what it wrote, which is expected soon."""
        done = self.scenario.run(
            [*prefix, self.program, "run", "--config", self.config], expected=None, seconds=seconds
        )
        return done.returncode, done.stderr.strip()

    def kill(self):
        self.process.kill()

    def status(self):
        """The answer of `trunkline status --json`, or nothing while the gateway does not answer."""
        done = self.scenario.run([self.program, "status", "--json", "--config", self.config], expected=None)
        expect(done.returncode in (0, 1, 3), f"trunkline status ended with {done.returncode}: {done.stderr}")
        return json.loads(done.stdout) if done.returncode != 3 else None

    def device_status(self, device):
        status = self.status()
        found = [entry for entry in (status or {}).get("devices", []) if entry["id"] == device]
        return found[0] if found else None

    def adapter(self, name):
        """What status says of one adapter."""
        found = [entry for entry in (self.status() or {}).get("adapters", []) if entry["name"] == name]
        return found[0] if found else {"healthy": False, "detail": ""}

    def metric(self, name):
        """A counter without labels, as /metrics has it now."""
        lines = [line.split() for line in self.get("/metrics")[1].splitlines()]
        found = [float(line[1]) for line in lines if line and line[0] in (name, "trunkline_" + name)]
        return found[0] if found else 0

    def get(self, path):
        """Status and text of what the status listener answers over HTTP."""
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with direct.open(f"http://127.0.0.1:{self.status_port}{path}", timeout=SOON) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as refusal:
            return refusal.code, refusal.read().decode()
