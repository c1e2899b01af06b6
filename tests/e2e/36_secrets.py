#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Planted secrets show up nowhere: not in the finest log, in no status output, not in spool or store [S-01]."""

import base64
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support", "e2e"))

from broker import Broker, set_password  # noqa: E402
from gateway import Gateway, new_key  # noqa: E402
from harness import eventually, expect, main, note  # noqa: E402
from hub import Hub  # noqa: E402
from tcp_client import TcpLoad  # noqa: E402

GOOD, WRONG = "scale-2", "scale-3"
PASSWORD = "broker-password-Zq7"
PSK = "pre-shared-Kx9-of-the-meter"
PAYLOAD, COMMAND = "payload-marker-Jw4", "command-marker-Hd2"


def body(scenario):
    keys = {GOOD: new_key(), WRONG: new_key()}
    second, right = new_key(), new_key()
    ports = {device: scenario.ports.take() for device in keys}
    hub = Hub(scenario, {GOOD: keys[GOOD], WRONG: right})
    passwords = os.path.join(scenario.folder, "passwords")
    set_password(passwords, "trunkline", PASSWORD)
    broker = Broker(scenario, access=f"allow_anonymous false\npassword_file {passwords}")
    maps = {
        device: f'[[device]]\nid = "{device}"\ntcp.listen = "127.0.0.1:{port}"\ntcp.ack = "OK\\n"\n'
        'tcp.command = { send = "CMD {id} {payload}\\n", reply = "DONE {id}" }\n'
        for device, port in ports.items()
    }
    maps["boiler"] = '[[device]]\nid = "boiler-7"\nmqtt.telemetry = "boiler/state"\n'
    gateway = Gateway(
        scenario, hub, maps,
        {GOOD: (keys[GOOD], second, PSK), WRONG: keys[WRONG], "boiler-7": new_key()}, broker=broker,
    )
    secret_file = os.path.join(scenario.folder, "mqtt-password")
    with open(os.open(secret_file, os.O_CREAT | os.O_WRONLY, 0o600), "w", encoding="utf-8") as file:
        file.write(PASSWORD + "\n")
    with open(gateway.config, encoding="utf-8") as file:
        text = file.read()
    with open(gateway.config, "w", encoding="utf-8") as file:
        file.write(text.replace("[mqtt]\n", f'[mqtt]\nuser = "trunkline"\npassword_file = "{secret_file}"\n')
                   + '\n[log]\nlevel = "debug"\n')
    gateway.start()
    broker.wait_subscribed("trunkline", ["boiler/state"])

    load = TcpLoad(GOOD, ports[GOOD], rate=50, padding=PAYLOAD)
    other = TcpLoad(WRONG, ports[WRONG], rate=10, padding=PAYLOAD)
    for device in (load, other):
        device.start()
    load.wait_acknowledged(50)
    gateway.process.wait_line(rf"device_refused .*device={WRONG}\b")
    sequence = hub.send_command(GOOD, COMMAND)
    hub.wait_outcome(GOOD, sequence)
    # Troubles say more than good days do.
    hub.ask("refuse_messages", device=GOOD, outcome="rejected", condition="amqp:precondition-failed", count=1)
    hub.ask("drop", how="rst")
    load.wait_acknowledged(load.acknowledged + 100)
    eventually(lambda: gateway.status()["safety"]["dead_lettered"] == 1, "the rejected message is a dead letter")

    # What changes keys speaks of them all the time.
    fresh, exported, shared = new_key(), new_key(), "a very secret psk of its own"
    changed = {}
    hub.ask("add_device", device=GOOD, key=fresh, secondary_key=keys[GOOD])
    done = gateway.cli("identity", "rotate", GOOD, "--key-file", "-", stdin=fresh + "\n")
    changed["identity rotate"] = done.stdout + done.stderr
    expect("the hub takes the new key" in done.stdout and "stays as secondary" in done.stdout, f"rotate says {done.stdout}")
    done = gateway.cli("identity", "rotate", GOOD, "--key-file", "-", stdin=exported + "\n", expected=1)
    changed["identity rotate, refused"] = done.stdout + done.stderr
    expect("nothing was changed: the hub refuses the new key" in done.stderr, f"rotate says {done.stderr}")
    export = json.dumps([
        {"deviceId": name, "status": "enabled", "authentication": {"type": "sas", "symmetricKey": {"primaryKey": key}}}
        for name, key in (("spare-1", exported), ("spare-2", "not base64 " + exported))
    ])
    done = gateway.cli("identity", "import", "-", stdin=export, expected=2)
    changed["identity import, refused"] = done.stdout + done.stderr
    expect("spare-2" in done.stderr and "nothing was imported" in done.stderr, f"import says {done.stderr}")
    done = gateway.cli("identity", "import", "-", stdin=export.replace("not base64 ", ""))
    changed["identity import"] = done.stdout + done.stderr
    done = gateway.cli("identity", "add", "spare-1", "--psk-file", "-", stdin=shared + "\n")
    changed["identity add --psk-file"] = done.stdout + done.stderr
    shown = json.loads(gateway.cli("identity", "show", "spare-1", "--json").stdout)
    expect(shown["psk"] and not shown["secondary"], f"the key for the handshake did not stay beside the other: {shown}")
    done = gateway.cli("reload", "--json")
    changed["reload"] = done.stdout + done.stderr
    load.wait_acknowledged(load.acknowledged + 20)

    said = {
        **changed,
        "log": "\n".join(gateway.process.lines),
        **{path: gateway.get(path)[1] for path in ("/", "/status.json", "/metrics", "/healthz", "/readyz")},
        **{
            " ".join(words): gateway.cli(*words, expected=None).stdout
            for words in (
                ("status",), ("status", "--json"), ("devices", "--json"), ("device", GOOD), ("ledger", "--json"),
                ("spool", "--json"), ("deadletters", "list", "--json"), ("identity", "list", "--json"),
                ("identity", "show", GOOD), ("config", "print"), ("check",),
            )
        },
    }
    expect('level = "debug"' in said["config print"], "the log is not at its finest")
    expect("scale-2" in said["/status.json"] and GOOD in said["identity list --json"], "nothing was said at all")
    texts = [keys[GOOD], keys[WRONG], fresh, exported, shared, second, PASSWORD, PSK, "SharedAccessSignature", "sig="]
    for where, words in said.items():
        for secret in [*texts, PAYLOAD, COMMAND]:
            expect(secret not in words, f"{where} shows a secret or a payload ({secret[:6]}…)")
    note(f"{len(said)} outputs, {len(said['log'])} bytes of log: no key, no token, no payload")

    load.finish()
    other.finish()
    gateway.process.terminate()
    raw = [text.encode() for text in texts] + [base64.b64decode(keys[GOOD]), base64.b64decode(keys[WRONG])]
    files = 0
    for folder, _, names in os.walk(gateway.state):
        for name in names:
            files += 1
            with open(os.path.join(folder, name), "rb") as file:
                content = file.read()
            for secret in raw:
                expect(secret not in content, f"{name} holds a secret in the clear")
    expect(files >= 3, f"only {files} files were looked at")
    note(f"{files} files: no key, no token")


if __name__ == "__main__":
    main("36_secrets", body)
