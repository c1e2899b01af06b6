#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Twelve faults of the field, one after the other: for each, `trunkline status` or `check --live` names the cause and the next step,
in the words that packaging/OPERATIONS.md prints, and all is well again when the cause is gone [S-01 I-01]."""

import os
import re
import shutil
import socket
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support", "e2e"))

from broker import Broker  # noqa: E402
from faults import Shim  # noqa: E402
from gateway import Gateway, new_key  # noqa: E402
from harness import SOON, eventually, expect, main, note  # noqa: E402
from hub import Hub  # noqa: E402
from tcp_client import TcpLoad  # noqa: E402

PAGE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "packaging", "OPERATIONS.md")
SCALE, PUMP, WRONG, GARBLED = "scale-1", "pump-1", "scale-2", "scale-3"


class Page:
    """The rows of the page's table of twelve faults: each is asked for once, and none is left at the end."""

    def __init__(self):
        with open(PAGE, encoding="utf-8") as file:
            part = file.read().split("## Twelve faults")[1].split("\n## ")[0]
        rows = re.findall(r"^\| ([^|`]+) \| `([^`]+)` \| `([^|]+)` \|", part, re.M)
        self.rows = {fault.strip(): (command, said) for fault, command, said in rows}
        expect(len(self.rows) == 12, f"the page has {len(self.rows)} faults instead of 12: {sorted(self.rows)}")

    def hold(self, fault, command, ask, seconds=3 * SOON):
        """Asks until the answer is what the page prints; `…` stands for anything in one line."""
        wanted_command, said = self.rows.pop(fault)
        expect(command == wanted_command, f"{fault}: the page says `{wanted_command}`, tried was `{command}`")
        pattern = ".*?".join(re.escape(part) for part in said.split("…"))
        last = [""]

        def seen():
            last[0] = ask()
            return re.search(pattern, last[0])

        try:
            found = eventually(seen, f"{fault}: {said}", seconds, 0.2)
        finally:
            if not re.search(pattern, last[0]):
                note(f"{fault}: said was\n{last[0]}")
        note(f"{fault}: {found.group(0)}")


class Site:
    """A hub, a broker, and a gateway with a pump on MQTT and three scales on TCP: one is right, one has a wrong key, one a wrong map."""

    def __init__(self, scenario):
        self.scenario = scenario
        self.page = Page()
        keys = {device: new_key() for device in (SCALE, PUMP, WRONG, GARBLED)}
        self.keys = keys
        self.shim = Shim(scenario, os.path.join(scenario.folder, "gateway", "var", "spool"))
        self.authority = Authority(scenario, self.shim)
        self.broker = Broker(scenario)
        self.hub = Hub(scenario, {**keys, WRONG: new_key()})
        self.ports = {device: scenario.ports.take() for device in (SCALE, WRONG, GARBLED)}
        self.gateway = Gateway(
            scenario, self.hub, self.maps(self.ports), keys, broker=self.broker,
            spool='max_bytes = "2MiB"\ndevice_share = "100%"\n', env=self.shim.env,
        )
        self.gateway.start()
        self.broker.wait_subscribed("trunkline", ["pump-1/state"])

    @staticmethod
    def maps(ports):
        maps = {
            device: f'[[device]]\nid = "{device}"\ntcp.listen = "127.0.0.1:{port}"\ntcp.ack = "OK\\n"\n'
            'tcp.command = { send = "CMD {id} {payload}\\n", reply = "DONE {id}" }\n'
            for device, port in ports.items()
        }
        maps[GARBLED] = f'[[device]]\nid = "{GARBLED}"\ntcp.listen = "127.0.0.1:{ports[GARBLED]}"\ntcp.framing = {{ kind = "modbus_rtu" }}\n'
        maps[PUMP] = f'[[device]]\nid = "{PUMP}"\nmqtt.telemetry = "pump-1/state"\n'
        return maps

    def status(self):
        return self.gateway.cli("status", expected=None).stdout

    def device(self, device):
        return self.gateway.cli("device", device, expected=None).stdout

    def well(self):
        """Only the wrong key is left of all that was wrong."""
        eventually(lambda: re.match(r"degraded: 1 of 4 devices refused", self.status()), "all is well again", 5 * SOON, 0.2)

    def check_live(self, change):
        """`check --live` with a changed configuration, while the gateway runs on."""
        with open(self.gateway.config, encoding="utf-8") as file:
            text = file.read()
        changed = change(text)
        expect(changed != text, "the change changes nothing")
        path = os.path.join(self.gateway.folder, "changed.toml")
        with open(path, "w", encoding="utf-8") as file:
            file.write(changed)
        done = self.scenario.run([self.gateway.program, "check", "--live", "--config", path], expected=None, seconds=5 * SOON)
        return done.stdout + done.stderr


def body(scenario):
    site = Site(scenario)
    page, hub = site.page, site.hub
    load = TcpLoad(SCALE, site.ports[SCALE], rate=100, padding=1000)
    wrong = TcpLoad(WRONG, site.ports[WRONG], rate=1)
    for device in (load, wrong):
        device.start()
    load.wait_acknowledged(20)

    page.hold("wrong key", "trunkline status", site.status)
    site.well()

    site.broker.publish("pumps/1/state", "1")  # the map says pump-1/state
    page.hold("wrong topic", "trunkline status", site.status)

    with socket.create_connection(("127.0.0.1", site.ports[GARBLED]), timeout=SOON) as line:
        line.sendall(b"ST,GS,  12.5 kg\r\n" * 10)  # a scale's lines, where its map says Modbus
        page.hold("wrong framing", "trunkline status", site.status)

    site.broker.process.terminate()
    page.hold("broker down", "trunkline status", site.status)
    site.broker.start()
    site.well()

    hub.ask("withhold", on=True)
    page.hold("spool near full", "trunkline status", site.status)
    hub.ask("withhold", on=False)
    site.well()

    site.shim.disk("ENOSPC")
    page.hold("full disk", "trunkline status", site.status)
    site.shim.disk()
    site.well()

    second_gateway(site)
    page.hold("DNS dead", "trunkline check --live", lambda: site.check_live(
        lambda text: text.replace(f'address = "127.0.0.1:{hub.port}"', 'address = "no-such-name.invalid:5671"')))
    port_blocked(site)
    page.hold("expired CA", "trunkline check --live", lambda: site.check_live(
        lambda text: text.replace(f'ca_file = "{hub.ca_file}"', f'ca_file = "{site.authority.expired}"')))
    # It goes on slowly for a while after that, so this is the last of this process's life.
    hub.ask("limits", sends_per_s=10)
    page.hold("hub throttling", "trunkline status", site.status)
    hub.ask("limits", sends_per_s=0)
    clock_off(site, load)
    expect(not page.rows, f"not tried: {sorted(page.rows)}")

    for device in (load, wrong):
        device.finish()


def second_gateway(site):
    """Another box with the same identities; its own spool, or it would not even start."""
    ports = {device: site.scenario.ports.take() for device in site.ports}
    other = Gateway(site.scenario, site.hub, site.maps(ports), site.keys, broker=site.broker, folder="second",
                    mqtt_tables='client_id = "second"\n')
    process = site.scenario.start("second", [other.program, "run", "--config", other.config])
    device = TcpLoad(SCALE, ports[SCALE], rate=10)
    device.start()
    site.page.hold("second gateway", "trunkline status", site.status)
    device.finish()
    process.terminate()
    site.well()


def port_blocked(site):
    """A listener whose queue is full answers no SYN, as a firewall that drops them."""
    with socket.socket() as wall:
        wall.bind(("127.0.0.1", 0))
        wall.listen(0)
        port = wall.getsockname()[1]
        fillers = []
        for _ in range(4):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
            fillers.append(filler)
        site.page.hold("port blocked", "trunkline check --live", lambda: site.check_live(
            lambda text: text.replace(f'address = "127.0.0.1:{site.hub.port}"', f'address = "127.0.0.1:{port}"')))
        for filler in fillers:
            filler.close()


class Authority:
    """The hub's authority, and what it was three years ago, when it was good for a day."""

    HOST = "e2e-hub.azure-devices.net"

    def __init__(self, scenario, shim):
        self._folder = os.path.join(scenario.folder, "hub")
        os.mkdir(self._folder)
        new = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
        root = ("req", "-x509", "-subj", "/CN=hub authority")
        self._openssl(*root, *new, "-keyout", "ca.key", "-out", "ca.pem", "-days", "30")
        shim.clock(-3 * 365 * 86_400)
        self._openssl(*root, "-key", "ca.key", "-out", "expired.pem", "-days", "1", env=shim.env)
        shim.clock(0)
        self._openssl("req", *new, "-subj", "/CN=hub", "-addext", f"subjectAltName=DNS:{self.HOST}", "-keyout", "server-key.pem",
                      "-out", "server.csr")
        self._openssl("x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-copy_extensions", "copy",
                      "-days", "20", "-out", "server.pem")
        os.chmod(os.path.join(self._folder, "server-key.pem"), 0o600)
        self.expired = os.path.join(self._folder, "expired.pem")

    def _openssl(self, *arguments, env=None):
        done = subprocess.run(["openssl", *arguments], cwd=self._folder, capture_output=True, text=True, env=env, timeout=SOON, check=False)
        expect(done.returncode == 0, f"openssl {' '.join(arguments)}: {done.stderr}")


def clock_off(site, load):
    """An hour behind when the daemon starts."""
    expect(site.gateway.process.terminate() == 0, "the gateway did not end with 0 at SIGTERM")
    site.shim.clock(-3600)
    site.gateway.start()
    site.page.hold("clock off by an hour", "trunkline status", site.status)
    site.shim.clock(0)
    load.wait_acknowledged(load.acknowledged + 10)
    site.well()


if __name__ == "__main__":
    expect(shutil.which("openssl"), "openssl is not installed")
    main("38_twelve_faults", body)
