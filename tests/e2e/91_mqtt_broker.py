#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Brokers on a bad day, five at once: one killed with and without its sessions, one with another certificate, one that wants
another password, two that accept and say nothing. Status names each cause, the others work on, and nothing that the gateway
acknowledged is lost [R-01 I-01 D-01 D-02]."""

import os
import shutil
import socket
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support", "e2e"))

from broker import Broker, make_certificate, set_password  # noqa: E402
from gateway import Gateway, new_key  # noqa: E402
from harness import eventually, expect, main, note  # noqa: E402
from hub import Hub  # noqa: E402
from load import check_arrivals  # noqa: E402
from mqtt_client import MqttLoad  # noqa: E402

HELD = 300


class Mute:
    """Takes connections and never says a word."""

    def __init__(self, scenario):
        self.port = scenario.ports.take()
        self._server = socket.create_server(("127.0.0.1", self.port))
        self._links = []
        threading.Thread(target=self._take, daemon=True).start()
        scenario.on_exit(self._server.close)

    def _take(self):
        while True:
            try:
                self._links.append(self._server.accept()[0])
            except OSError:
                return


def device_map(name):
    return f"""[[device]]
id = "{name}"
mqtt.broker = "{name}"
mqtt.telemetry = "plant/{name}/state"
mqtt.command = "plant/{name}/cmd"
mqtt.command_reply = "plant/{name}/done"
"""


def body(scenario):
    names = ["calm", "tls", "guarded", "mute", "mute-tls"]
    keys = {name: new_key() for name in names}
    files = {name: os.path.join(scenario.folder, name) for name in ("users", "password", "ca.pem", "server.pem", "server.key")}
    for name in ("first", "second"):
        make_certificate(scenario.folder, name)

    def use_certificate(name):
        for kind in ("pem", "key"):
            shutil.copy(os.path.join(scenario.folder, f"{name}.{kind}"), files[f"server.{kind}"])

    def write_secret(path, text):
        with open(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            file.write(text)

    use_certificate("first")
    shutil.copy(os.path.join(scenario.folder, "first.pem"), files["ca.pem"])
    set_password(files["users"], "gateway", "right")
    set_password(files["users"], "guarded", "device")
    write_secret(files["password"], "wrong\n")

    # A broker that is killed keeps only what it wrote before.
    calm = Broker(scenario, "calm", more="autosave_interval 1\nautosave_on_changes true")
    tls = Broker(scenario, "tls", f"allow_anonymous true\ncertfile {files['server.pem']}\nkeyfile {files['server.key']}")
    guarded = Broker(scenario, "guarded", f"allow_anonymous false\npassword_file {files['users']}")
    mute, mute_tls = Mute(scenario), Mute(scenario)
    hub = Hub(scenario, keys)
    tables = {
        "calm": f'broker = "mqtt://127.0.0.1:{calm.port}"',
        "tls": f'broker = "mqtts://127.0.0.1:{tls.port}"\nca_file = "{files["ca.pem"]}"',
        "guarded": f'broker = "mqtt://127.0.0.1:{guarded.port}"\nuser = "gateway"\npassword_file = "{files["password"]}"',
        "mute": f'broker = "mqtt://127.0.0.1:{mute.port}"',
        "mute-tls": f'broker = "mqtts://127.0.0.1:{mute_tls.port}"\nca_file = "{files["ca.pem"]}"',
    }
    gateway = Gateway(
        scenario, hub, {name: device_map(name) for name in names}, keys,
        mqtt_tables="".join(f'\n[[mqtt]]\nname = "{name}"\n{table}\n' for name, table in tables.items()),
    )
    gateway.start()

    def works(name, how="connected"):
        def question():
            adapter = gateway.adapter("mqtt-" + name)
            return adapter["healthy"] and how in adapter["detail"]
        eventually(question, f"{name} works and status says {how!r}")

    def named(name, *causes):
        def question():
            adapter = gateway.adapter("mqtt-" + name)
            return not adapter["healthy"] and [cause for cause in causes if cause in adapter["detail"]]
        eventually(question, f"status says of {name} one of {causes}; it says {gateway.adapter('mqtt-' + name)}")
        detail = gateway.adapter("mqtt-" + name)["detail"]
        expect("right" not in detail and "wrong" not in detail, "a password is in the status")
        note(f"{name}: {detail}")

    def flows(name, broker, *options):
        count = hub.count(name)
        broker.publish(f"plant/{name}/state", f"reading {count}", *options)
        hub.wait_arrivals(name, count + 1)
        expect(hub.arrivals(name)[-1]["body"] == f"reading {count}", f"{name}: another reading than the one published")

    ca = ("--cafile", os.path.join(scenario.folder, "first.pem"))
    login = ("-u", "guarded", "-P", "device")
    works("calm")
    works("tls")
    flows("calm", calm)
    flows("tls", tls, *ca)
    named("guarded", "Not authorized")
    named("mute", "no answer within 10 s")
    named("mute-tls", "no answer in time while making the TLS handshake")
    expect(gateway.status()["verdict"] == "degraded", "status does not say that something is wrong")
    text = gateway.cli("status", expected=1).stdout
    expect("mqtt-guarded does not work" in text and "mqtt-calm works" in text, f"trunkline status shows\n{text}")
    flows("calm", calm)

    write_secret(files["password"], "right\n")
    works("guarded")
    flows("guarded", guarded, *login)
    listener = scenario.start(
        "guarded-listens",
        ["mosquitto_sub", "-h", "127.0.0.1", "-p", str(guarded.port), *login, "-i", "listens", "-t", "plant/guarded/cmd"],
    )
    guarded.process.wait_line("Sending SUBACK to listens$")
    sequence = hub.send_command("guarded", "open")
    listener.wait_line("^open$")
    guarded.publish("plant/guarded/done", "done", *login)
    expect(hub.wait_outcome("guarded", sequence) == "completed", "the command over a named broker was not completed")
    note("guarded: the right password is enough, and a command comes through the broker that its map names")

    tls.process.terminate()
    use_certificate("second")
    tls.start()
    named("tls", "its authority is not among those that we trust")
    tls.publish("plant/tls/state", "held", "--cafile", os.path.join(scenario.folder, "second.pem"))
    flows("calm", calm)
    shutil.copy(os.path.join(scenario.folder, "second.pem"), files["ca.pem"])
    works("tls", "session kept")
    hub.wait_arrivals("tls", 2)
    expect(hub.arrivals("tls")[-1]["body"] == "held", "what waited behind the certificate did not arrive")

    calm.process.kill()
    named("calm", "nobody listens there")
    calm.start()
    works("calm", "session kept")
    flows("calm", calm)
    calm.process.kill()
    calm.forget()
    calm.start()
    works("calm", "session new")
    flows("calm", calm)
    before = hub.count("calm")

    # Held for us by the broker, which then dies without a chance to save.
    expect(gateway.process.terminate() == 0, "the gateway did not end with 0 at SIGTERM")
    load = MqttLoad("calm", calm.port, "plant/calm/state", rate=100_000, window=50)
    load.start()
    eventually(lambda: load.sent >= HELD, f"{HELD} messages are published")
    load.finish()
    calm.process.kill()
    calm.start()
    gateway.start()
    works("calm", "session kept")
    hub.wait_arrivals("calm", before + load.sent)
    redelivered = calm.process.count_lines(r"Sending PUBLISH to trunkline \(d1,")
    result = check_arrivals("calm", hub.arrivals("calm")[before:], load.sent, redelivered)
    note(f"calm: killed with {load.sent} messages held: " + ", ".join(f"{count} {what}" for what, count in result.items()))
    expect(gateway.process.terminate() == 0, "the gateway did not end with 0 at SIGTERM")


if __name__ == "__main__":
    main("91_mqtt_broker", body)
