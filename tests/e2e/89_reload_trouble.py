#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A reload that goes wrong in its first seconds is taken back as a whole: a broker that hangs up at a new topic, a CoAP port
that is taken. Reloads that meet: two at once, a signal and the end of the gateway in the three seconds [D-01 I-01 R-01].
"""

import os
import signal
import socket
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support", "e2e"))

from broker import Broker  # noqa: E402
from coap_client import CoapLoad  # noqa: E402
from gateway import Gateway, new_key  # noqa: E402
from harness import eventually, expect, main, note  # noqa: E402
from hub import Hub  # noqa: E402
from load import check_arrivals  # noqa: E402
from tcp_client import TcpLoad  # noqa: E402
from tcp_relay import TcpRelay  # noqa: E402

POISON = "plant/poison"


class Asked(threading.Thread):
    """A `trunkline reload` that runs beside the scenario."""

    def __init__(self, gateway):
        super().__init__(daemon=True)
        self._gateway = gateway
        self.done = None
        self.start()

    def run(self):
        self.done = self._gateway.cli("reload", expected=None)

    def answer(self):
        self.join()
        return self.done


def body(scenario):
    keys = {name: new_key() for name in ("m1", "m2", "t1", "c1", "c2")}
    broker = Broker(scenario)
    hub = Hub(scenario, keys)
    relay = TcpRelay(scenario, broker.port, POISON.encode())
    port, coap_port = scenario.ports.take(), scenario.ports.take()
    maps = {name: f'[[device]]\nid = "{name}"\nmqtt.telemetry = "plant/{name}"\n' for name in ("m1", "m2")}
    maps["t1"] = f'[[device]]\nid = "t1"\ntcp.listen = "127.0.0.1:{port}"\ntcp.ack = "OK\\n"\n'
    gateway = Gateway(scenario, hub, maps, keys, mqtt_tables=f'\n[mqtt]\nbroker = "mqtt://127.0.0.1:{relay.port}"\n')
    gateway.start()
    eventually(lambda: gateway.adapter("mqtt")["healthy"], "the broker works")
    scale = TcpLoad("t1", port, rate=50)
    scale.start()
    said = {"m1": 0, "m2": 0}

    def say(device, topic=None):
        broker.publish(topic or f"plant/{device}", str(said[device]))
        said[device] += 1
        hub.wait_arrivals(device, said[device])

    def write(name, text):
        with open(os.path.join(gateway.folder, "devices.d", name + ".toml"), "w", encoding="utf-8") as file:
            file.write(text)

    def untouched():
        """What others keep through all of it."""
        devices = {entry["device"]: entry for entry in hub.ask("devices")["devices"]}
        return scale.connects, hub.connections_ever(), devices["t1"]["attaches"], devices["m2"]["attaches"]

    for device in said:
        say(device)
    scale.wait_acknowledged(20)
    before = untouched()

    # The broker takes the subscription as a reason to hang up: the adapter falls ill after the change has been made.
    write("m1", f'[[device]]\nid = "m1"\nmqtt.telemetry = ["plant/m1", "{POISON}/m1"]\n')
    done = gateway.cli("reload", expected=1)
    for wanted in ("what held before holds again", "mqtt: connection to", "m1.toml:1:1", "correct it and reload again"):
        expect(wanted in done.stderr, f"reload does not say {wanted}: {done.stderr}")
    expect("not well again" not in done.stderr and gateway.adapter("mqtt")["healthy"], f"the old set does not serve: {done.stderr}")
    gateway.process.wait_line(r"reload_rolled_back.*connection to.*m1\.toml:1:1")
    for device in said:
        say(device)
    expect(before == untouched(), f"others were touched: {before} {untouched()}")
    note(f"a broker that hangs up: {done.stderr.strip().splitlines()[-1]}")
    write("m1", maps["m1"])
    expect("nothing differs" in gateway.cli("reload").stdout, "something was left of what was taken back")

    # The first CoAP device, and its port is taken; a broker's change in the same reload is taken back with it.
    with open(gateway.config, "a", encoding="utf-8") as file:
        file.write(f'\n[coap]\nlisten = "127.0.0.1:{coap_port}"\n')
    write("c1", '[[device]]\nid = "c1"\ncoap.telemetry = "/c1"\n')
    write("m2", '[[device]]\nid = "m2"\nmqtt.telemetry = "plant/elsewhere/m2"\n')
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as squatter:
        squatter.bind(("127.0.0.1", coap_port))
        done = gateway.cli("reload", expected=1)
        for wanted in (f"127.0.0.1:{coap_port}", "what held before holds again", "c1.toml:1:1"):
            expect(wanted in done.stderr, f"reload does not say {wanted}: {done.stderr}")
    say("m2")
    expect(gateway.adapter("coap")["healthy"] is False and gateway.device_status("c1") is None, "CoAP was left behind")
    note(f"a CoAP port that is taken: {done.stderr.strip().splitlines()[-1]}")
    gateway.cli("reload")
    say("m2", "plant/elsewhere/m2")
    tank = CoapLoad("c1", coap_port, "/c1", rate=20)
    tank.start()
    tank.wait_acknowledged(5)

    # Two at once and a signal, all within the three seconds of the first: each is done, one after the other.
    start, lines = len(gateway.process.lines), len(broker.process.lines)
    write("m2", maps["m2"])
    first = Asked(gateway)
    broker.wait_subscribed("trunkline", ["plant/m2"], lines)
    write("c2", '[[device]]\nid = "c2"\ncoap.telemetry = "/c2"\n')
    second = Asked(gateway)
    os.kill(gateway.process.pid, signal.SIGHUP)
    for one in (first, second):
        done = one.answer()
        expect(done.returncode == 0, f"a reload beside another says {done.returncode}: {done.stderr}")
    gateway.process.wait_line("reload_done", start=start)
    eventually(lambda: gateway.process.count_lines("reload_done", start) == 3, "three reloads were done")
    say("m2")
    expect(gateway.device_status("c2") is not None, "the second change was lost")
    note("two reloads and a SIGHUP at once: all done, one after the other")

    # The end of the gateway in the three seconds: who waits is told, and the next start goes by the files.
    for how in ("SIGTERM", "SIGKILL"):
        ways = [f"plant/{how}/m1", "plant/m1"]
        write("m1", f'[[device]]\nid = "m1"\nmqtt.telemetry = {ways!r}\n')
        lines = len(broker.process.lines)
        asked = Asked(gateway)
        broker.wait_subscribed("trunkline", [ways[0]], lines)
        if how == "SIGTERM":
            expect(gateway.process.terminate() == 0, "the gateway did not end with 0 at SIGTERM in a reload")
        else:
            gateway.kill()
            tank.gateway_died()
        done = asked.answer()
        words = "closed the connection without an answer; if it was ended, it starts by the files as they are now"
        expect(done.returncode == 1 and words in done.stderr, f"reload says {done.returncode} {done.stderr}")
        gateway.start()
        eventually(lambda: gateway.adapter("mqtt")["healthy"], "the broker works")
        say("m1", ways[0])
        say("m1")
        note(f"{how} in a reload: the next start goes by the files")

    for load in (scale, tank):
        load.wait_acknowledged(load.acknowledged + 3)
        load.finish()
        eventually(lambda one=load: hub.count(one.device) >= one.sent, f"all of {load.device} is at the hub")
        check_arrivals(load.device, hub.arrivals(load.device), load.sent, load.repeats)
    eventually(lambda: '"unaccounted":0' in gateway.cli("ledger", "--json").stdout.replace(" ", ""), "the ledger balances")
    expect(gateway.process.terminate() == 0, "the gateway did not end with 0 at SIGTERM")


if __name__ == "__main__":
    main("89_reload_trouble", body)
