#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""One of five hundred device maps changes under load, three protocols mixed: no other socket and no other link is touched,
nothing is lost. Then what an operator does besides: a broken file, a dry run, devices added and removed, a new identity of a
family, SIGHUP, a set that cannot work [D-02 I-01 R-01].

TRUNKLINE_DEVICES (500) chooses how many.
"""

import json
import os
import signal
import socket
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support", "e2e"))

from broker import Broker  # noqa: E402
from coap_client import CoapLoad  # noqa: E402
from gateway import Gateway, new_key  # noqa: E402
from harness import SOON, eventually, expect, main, note  # noqa: E402
from hub import Hub  # noqa: E402
from load import check_arrivals  # noqa: E402
from mqtt_client import Mqtt5, MqttLoad  # noqa: E402
from tcp_client import TcpLoad  # noqa: E402

DEVICES = int(os.environ.get("TRUNKLINE_DEVICES", "500"))
TCP = COAP = 20
LOUD = 5  # of each protocol
FAMILY = '[[family]]\npreset = "tasmota"\nid = "plug-{topic}"\n'


def tcp_map(device, port, more=""):
    return f'[[device]]\nid = "{device}"\ntcp.listen = "127.0.0.1:{port}"\ntcp.ack = "OK\\n"\n{more}'


def body(scenario):
    mqtt = [f"m{n}" for n in range(DEVICES - TCP - COAP)]
    ports = {f"t{n}": scenario.ports.take() for n in range(TCP)}
    coap = [f"c{n}" for n in range(COAP)]
    keys = {device: new_key() for device in [*mqtt, *ports, *coap, "plug-old", "plug-new", "late", "vain"]}
    maps = {device: f'[[device]]\nid = "{device}"\nmqtt.telemetry = "plant/{device}"\n' for device in mqtt}
    maps |= {device: tcp_map(device, port) for device, port in ports.items()}
    maps |= {device: f'[[device]]\nid = "{device}"\ncoap.telemetry = "/{device}"\n' for device in coap}
    maps["family"] = FAMILY
    broker = Broker(scenario)
    hub = Hub(scenario, {})
    for device, key in keys.items():
        hub.ask("add_device", device=device, key=key)
    coap_port = scenario.ports.take()
    known = {device: key for device, key in keys.items() if device not in ("plug-new",)}
    gateway = Gateway(scenario, hub, maps, known, broker=broker, coap_port=coap_port, durability="process",
                      hub_table='attach_rate = "off"\nattach = "start"\n')
    gateway.start()
    eventually(lambda: gateway.adapter("mqtt")["healthy"], "the broker works")

    loads = [MqttLoad(device, broker.port, f"plant/{device}", rate=20) for device in mqtt[:LOUD]]
    loads += [TcpLoad(device, ports[device], rate=20) for device in list(ports)[:LOUD]]
    loads += [CoapLoad(device, coap_port, f"/{device}", rate=10) for device in coap[:LOUD]]
    by_name = {load.device: load for load in loads}
    for load in loads:
        load.start()
    for load in loads:
        load.wait_acknowledged(5)

    def at_hub():
        return {entry["device"]: entry for entry in hub.ask("devices")["devices"]}

    # The links of a hub before and after, one device at a time.
    def links():
        return {name: (entry["attaches"], entry["take_overs"], sorted(map(str, entry["links"])))
                for name, entry in at_hub().items()}

    def attached(count):
        return sum(1 for entry in at_hub().values() if entry["links"]) == count

    eventually(lambda: attached(DEVICES + 1), f"{DEVICES} devices and one plug are attached", 2 * SOON, 0.3)

    def sockets():
        """Per device and in total, what would show that a socket was touched."""
        return {
            "tcp": {load.device: load.connects for load in loads},
            "broker": broker.process.count_lines(r"New client connected .* as trunkline( |$)"),
            "subscriptions": broker.process.count_lines("Received SUBSCRIBE from trunkline$"),
            "hub": hub.connections_ever(),
            "detaches": gateway.metric("device_detaches_total"),
            "losses": gateway.metric("uplink_losses_total"),
            "requeued": gateway.metric("uplink_requeued_total"),
        }

    def write(name, text):
        with open(os.path.join(gateway.folder, "devices.d", name + ".toml"), "w", encoding="utf-8") as file:
            file.write(text)

    def answer(*arguments, expected=0):
        done = gateway.cli("reload", "--json", *arguments, expected=expected)
        return json.loads(done.stdout)

    def reload(change, touched, sockets_of=None, **allowed):
        """One change under load, and that nobody else noticed."""
        before, hub_before = sockets(), links()
        progress = {load.device: load.acknowledged for load in loads}
        said = answer()
        for key, wanted in change.items():
            got = said["change"][key]
            got = [entry["id"] for entry in got] if key == "changed" else got
            expect(got == wanted, f"reload says {key}: {got} instead of {wanted}")
        for load in loads:
            load.wait_acknowledged(progress[load.device] + 5)
        after, hub_after = sockets(), links()
        for key, value in before.items():
            if key == "tcp":
                moved = {name for name in value if value[name] != after["tcp"][name]}
                expect(moved <= {sockets_of}, f"sockets of {moved} were touched")
            elif key in allowed:
                expect(after[key] - value == allowed[key], f"{key} went from {value} to {after[key]}")
            else:
                expect(value == after[key], f"{key} went from {value} to {after[key]}")
        others = {name for name in hub_before if hub_before[name] != hub_after.get(name)}
        expect(others <= set(touched), f"links of {others} at the hub were touched")
        note(f"reloaded {change}: links touched {sorted(others)}, sockets of others 0")
        return said

    # One map of each protocol, of a device that speaks all the time.
    write("m0", '[[device]]\nid = "m0"\nmqtt.telemetry = "plant/m0"\nmqtt.command = "plant/m0/cmd"\n'
                'command_done = "acknowledged"\npriority = "alarm"\n')
    reload({"added": [], "removed": [], "changed": ["m0"]}, {"m0"})
    write("m1", '[[device]]\nid = "m1"\nmqtt.telemetry = ["plant/m1", "plant/other/m1"]\n')
    write("t1", tcp_map("t1", ports["t1"], 'max_messages = 1000\nin_flight = 8\n'))
    reload({"added": [], "removed": [], "changed": ["m1", "t1"]}, set(), subscriptions=1)
    write("t0", tcp_map("t0", ports["t0"], 'tcp.framing = { kind = "line", max = "2KiB" }\n'))
    write("c0", '[[device]]\nid = "c0"\ncoap.telemetry = "/c0"\ncontent_type = "application/json"\n')
    reload({"added": [], "removed": [], "changed": ["c0", "t0"]}, set(), sockets_of="t0")

    # A dry run says it and does nothing.
    write("t2", tcp_map("t2", ports["t2"], 'priority = "bulk"\n'))
    said = answer("--dry-run")
    expect(said["dry_run"] and said["change"]["changed"][0]["options"] ==
           [{"name": "priority", "before": "", "after": '"bulk"'}], f"the dry run says {said}")
    shown = gateway.cli("reload", "--dry-run").stdout
    expect('~ t2  priority: (not set) -> "bulk"' in shown and "nothing was changed" in shown, f"it shows {shown}")

    # A broken file changes nothing, and says where.
    write("m2", '[[device]]\nid = "m2"\nmqtt.telemtry = "plant/m2"\n')
    before = sockets()
    done = gateway.cli("reload", expected=2)
    expect("m2.toml:3:1" in done.stderr and "telemetry" in done.stderr, f"reload says {done.stderr}")
    gateway.process.wait_line("reload_refused")
    gateway.process.wait_line(r"reload_problem.*m2\.toml:3:1")
    expect(sockets() == before, "a refused file touched something")
    write("m2", maps["m2"])

    # A set that cannot work: the port is taken. What else was in it is taken back, too.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as squatter:
        squatter.bind(("127.0.0.1", scenario.ports.take()))
        squatter.listen()
        write("vain", tcp_map("vain", squatter.getsockname()[1]))
        write("m3", '[[device]]\nid = "m3"\nmqtt.telemetry = "plant/elsewhere/m3"\n')
        hub_before = links()
        done = gateway.cli("reload", expected=1)
        expect("what held before holds again" in done.stderr and "in use" in done.stderr, f"reload says {done.stderr}")
        gateway.process.wait_line("reload_rolled_back")
    os.unlink(os.path.join(gateway.folder, "devices.d", "vain.toml"))
    write("m3", maps["m3"])
    eventually(lambda: gateway.device_status("vain") is None, "the new device is gone again")
    expect({name: link for name, link in links().items() if name != "vain"} ==
           {name: link for name, link in hub_before.items() if name != "vain"}, "taking it back touched a link")
    for load in loads:
        load.wait_acknowledged(load.acknowledged + 3)

    # By signal, a device comes and another goes; what that one said stays counted.
    late_port = scenario.ports.take()
    write("late", tcp_map("late", late_port))
    os.unlink(os.path.join(gateway.folder, "devices.d", "t4.toml"))
    by_name["t4"].finish()
    os.kill(gateway.process.pid, signal.SIGHUP)
    gateway.process.wait_line(r"reload_done.*added=1 removed=1")
    late = TcpLoad("late", late_port, rate=20)
    late.start()
    late.wait_acknowledged(5)
    loads.append(late)
    eventually(lambda: gateway.device_status("t4") is None, "the removed device is gone from status")
    expect(not at_hub()["t4"]["links"], "the removed device still has links at the hub")

    # A plug that gets its identity while the gateway runs joins its family.
    def tokens():
        return {name: (entry["tokens"], entry["attaches"]) for name, entry in at_hub().items()}

    before = tokens()
    gateway.cli("identity", "add", "plug-new", "--key-file", "-", stdin=keys["plug-new"] + "\n")
    eventually(lambda: gateway.device_status("plug-new") is not None, "the plug joined its family")
    plugs = Mqtt5(broker.port, "plugs")
    plugs.publish("tele/new/SENSOR", b'{"n":1}')
    hub.wait_arrivals("plug-new", 1)
    note("a plug added at run time is heard by its family")

    # An identity that is disabled ends its own session and nobody else's, and comes back as fast.
    gateway.cli("identity", "disable", "m9")
    eventually(lambda: not at_hub()["m9"]["links"], "the disabled device has no links any more")
    gateway.cli("identity", "enable", "m9")
    eventually(lambda: at_hub()["m9"]["links"], "the device is back")
    after = tokens()
    touched = {name for name in before if before[name] != after[name]}
    expect(touched <= {"plug-new", "m9"}, f"changed identities touched {touched}")

    # Options: some are taken over, the others are named.
    with open(gateway.config, "a", encoding="utf-8") as file:
        file.write('\n[log]\nlevel = "debug"\n')
    with open(gateway.config, encoding="utf-8") as file:
        text = file.read().replace("[spool]\n", '[spool]\nmax_bytes = "2GiB"\nmax_age = "5d"\n')
    with open(gateway.config, "w", encoding="utf-8") as file:
        file.write(text)
    options = {entry["name"]: entry["needs"] for entry in answer()["change"]["options"]}
    expect(options == {"log.level": "reload", "spool.max_bytes": "restart", "spool.max_age": "reload"}, f"{options}")
    gateway.process.wait_line("reload_needs_restart.*spool.max_bytes")
    again = {entry["name"] for entry in answer()["change"]["options"]}
    expect(again == {"spool.max_bytes"}, f"a second reload still finds {again}")

    for load in loads:
        if load.device != "t4":
            load.finish()
    for load in loads:
        eventually(lambda one=load: hub.count(one.device) >= one.sent, f"all of {load.device} is at the hub")
        result = check_arrivals(load.device, hub.arrivals(load.device), load.sent, load.repeats)
        if load.device not in ("t0",):
            expect(result["source repeats"] == 0, f"{load.device} had to repeat: {result}")
        expect(result["gateway resends"] == 0, f"{load.device} was sent again: {result}")
    note(f"{sum(load.sent for load in loads)} messages of {len(loads)} loud devices, all at the hub, in order")
    eventually(lambda: '"unaccounted":0' in gateway.cli("ledger", "--json").stdout.replace(" ", ""), "the ledger balances")
    expect(hub.connections_ever() == 1, "the hub saw more than one connection")
    expect(gateway.process.terminate() == 0, "the gateway did not end with 0 at SIGTERM")


if __name__ == "__main__":
    main("87_reload", body)
