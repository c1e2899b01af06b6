#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""TCP devices made of programs that nobody here wrote: nc, socat, gpsd, pymodbus and mbpoll, each both ways where it can,
dialled and listened for, several on one connection [C-01 I-02]."""

import json
import os
import re
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support", "e2e"))

from gateway import Gateway, new_key  # noqa: E402
from harness import eventually, expect, main, note  # noqa: E402
from hub import Hub  # noqa: E402
from real_devices import tool  # noqa: E402

# Debian's own interpreter has Debian's packages.
PYTHON = "/usr/bin/python3"
SUPPORT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support", "e2e")

# Says a reading when it is connected, then answers commands.
SERIAL_DEVICE = r"""echo weight 12.5; while read -r word ident payload; do echo "DONE $ident"; done"""

NMEA = """$GPGGA,123519,4807.038,N,01131.000,E,1,08,0.9,545.4,M,46.9,M,,*47
$GPRMC,123519,A,4807.038,N,01131.000,E,022.4,084.4,230324,003.1,W*6D
"""


def maps(ports):
    unit = {}
    for number in (1, 2):
        unit[f"meter-{number}"] = f"""[[device]]
id = "meter-{number}"
map.decode = {{ kind = "bytes", fields = {{ first = {{ at = 3, type = "u16" }}, both = {{ at = 3, type = "u32" }} }} }}
[device.tcp]
connect = "127.0.0.1:{ports['rtu']}"
framing = {{ kind = "modbus_rtu" }}
identify = {{ by = "frame", offset = 0, size = 1, as = "hex", is = "0{number}" }}
poll = [{{ send = '\\x0{number}\\x03\\x00\\x00\\x00\\x02', every = "500ms", timeout = "5s" }}]
gap = "20ms"
"""
    pumps = "".join(f"""[[device]]
id = "pump-{number}"
tcp.listen = "127.0.0.1:{ports['pump']}"
tcp.identify = {{ by = "registration", match = '^REG (\\w+)$', is = "A{number}", answer = "HELLO\\n" }}
tcp.ack = "OK {{sequence}}\\n"
tcp.sequence = {{ match = '^(\\d+) ' }}
tcp.command = {{ send = "CMD {{id}} {{payload}}", reply = "DONE {{id}}" }}
""" for number in (1, 2))
    return {
        "pumps": pumps,
        **unit,
        "others": f"""[[device]]
id = "scale-1"
tcp.connect = "127.0.0.1:{ports['scale']}"
tcp.command = {{ send = "CMD {{id}} {{payload}}", reply = "DONE {{id}}" }}
map.decode = {{ kind = "match", pattern = '^weight (?<kg>[\\d.]+)', fields = {{ kg = {{ number = true }} }} }}

[[device]]
id = "gps-1"
[device.tcp]
connect = "127.0.0.1:{ports['gps']}"
framing = {{ kind = "json" }}
poll = [{{ send = '?WATCH={{{{"enable":true,"json":true}}}};', every = "10s" }}]
command = {{ send = "?VERSION;", framing = {{ kind = "line" }}, reply = '{{{{"class":"VERSION"{{payload}}' }}

[[device]]
id = "plc-1"
map.decode = {{ kind = "bytes", fields = {{ first = {{ at = 9, type = "u16" }}, fourth = {{ at = 15, type = "u16" }} }} }}
[device.tcp]
connect = "127.0.0.1:{ports['modbus']}"
framing = {{ kind = "modbus_tcp" }}
poll = [{{ send = '\\x00\\x01\\x00\\x00\\x00\\x00\\x01\\x03\\x00\\x00\\x00\\x04', every = "500ms", timeout = "5s" }}]
command = {{ send = '\\x00\\x07\\x00\\x00\\x00\\x00\\x01\\x06\\x00\\x03\\x00{{payload}}', reply = '\\x00\\x07\\x00\\x00\\x00\\x06\\x01\\x06{{payload}}' }}

[[device]]
id = "writer-1"
map.decode = {{ kind = "bytes", fields = {{ register = {{ at = 8, type = "u16" }}, value = {{ at = 10, type = "u16" }} }} }}
[device.tcp]
listen = "127.0.0.1:{ports['writer']}"
framing = {{ kind = "modbus_tcp" }}
ack = '{{sequence}}'
sequence = {{ offset = 0, size = 12 }}
""",
    }


class Pump:
    """nc that registers, reads and does commands."""

    def __init__(self, scenario, name, port, number):
        self.name = name
        self.commands = []
        self.lines = []
        self._changed = threading.Condition()
        self._link = scenario.start(name, [tool("nc.openbsd", "nc"), "127.0.0.1", str(port)], stdin=True, echo=self._line)
        self.say(f"REG A{number}")

    def say(self, text):
        self._link.write(text.encode() + b"\n")

    def _line(self, line):
        if line.startswith("CMD "):
            _, ident, payload = line.split(" ", 2)
            self.commands.append(payload)
            self.say(f"DONE {ident}")
        with self._changed:
            self.lines.append(line)
            self._changed.notify_all()

    def wait(self, line):
        with self._changed:
            expect(self._changed.wait_for(lambda: line in self.lines, 60), f"{self.name}: no {line!r} in {self.lines}")


def bodies(hub, device):
    return [arrival["body"] for arrival in hub.arrivals(device)]


def wait_body(hub, device, wanted):
    eventually(lambda: wanted in bodies(hub, device), f"{device}: {wanted!r} is at the hub")


def command(hub, device, text):
    state = hub.wait_outcome(device, hub.send_command(device, text))
    expect(state == "completed", f"{device}: the command ended as {state}")


def connections_to(port):
    """Sockets of this machine that are established to that port, from the client's side."""
    with open("/proc/net/tcp", encoding="ascii") as table:
        rows = [line.split() for line in table.readlines()[1:]]
    return sum(1 for row in rows if row[3] == "01" and int(row[2].split(":")[1], 16) == port)


def body(scenario):
    names = ("pump-1", "pump-2", "meter-1", "meter-2", "scale-1", "gps-1", "plc-1", "writer-1")
    keys = {device: new_key() for device in names}
    ports = {name: scenario.ports.take() for name in ("pump", "rtu", "scale", "gps", "modbus", "writer")}
    hub = Hub(scenario, keys)
    gateway = Gateway(scenario, hub, maps(ports), keys)
    gateway.cli("check")
    gateway.start()  # before the servers: it waits for them

    server = os.path.join(SUPPORT, "modbus_server.py")
    scenario.start("modbus-tcp", [PYTHON, server, "tcp", str(ports["modbus"])])
    scenario.start("modbus-rtu", [PYTHON, server, "rtu", str(ports["rtu"])])
    script = os.path.join(scenario.folder, "serial_device.sh")
    with open(script, "w", encoding="ascii") as file:
        file.write(SERIAL_DEVICE)
    scenario.start("socat", [tool("socat"), f"TCP-LISTEN:{ports['scale']},bind=127.0.0.1,reuseaddr,fork",
                             f"EXEC:sh {script}"])
    track = os.path.join(scenario.folder, "track.nmea")
    with open(track, "w", encoding="ascii") as file:
        file.write(NMEA)
    scenario.start("gpsd", [PYTHON, tool("gpsfake"), "-q", "-c", "0.2", "-P", str(ports["gps"]), track])

    eventually(lambda: (gateway.status() or {}).get("verdict") in ("ok", "warning"), "the gateway runs")
    one, two = Pump(scenario, "pump-1", ports["pump"], 1), Pump(scenario, "pump-2", ports["pump"], 2)
    for pump in (one, two):
        pump.wait("HELLO")
        pump.say(f"17 of {pump.name}")
        pump.wait("OK 17")
        wait_body(hub, pump.name, f"17 of {pump.name}")
        command(hub, pump.name, "stop")
        expect(pump.commands == ["stop"], f"{pump.name} did {pump.commands}")
    note("nc: two devices on one listener by registration, sequence acknowledged, commands done")

    wait_body(hub, "scale-1", '{"kg":12.5}')
    command(hub, "scale-1", "tare")
    note("socat: dialled serial server, decoded, command done")

    wait_body(hub, "plc-1", '{"first":100,"fourth":103}')
    command(hub, "plc-1", "*")
    wait_body(hub, "plc-1", '{"first":100,"fourth":42}')
    note("pymodbus, Modbus TCP: polled and decoded, a register written and seen")

    wait_body(hub, "meter-1", '{"both":6553701,"first":100}')
    wait_body(hub, "meter-2", '{"both":13107401,"first":200}')
    now = connections_to(ports["rtu"])
    expect(now == 1, f"{now} connections to the serial server of the two meters")
    note("pymodbus, RTU over TCP: two meters on one connection, each its own values")

    done = scenario.run([tool("mbpoll"), "-m", "tcp", "-p", str(ports["writer"]), "-a", "1", "-t", "4", "-r", "8", "-1",
                         "127.0.0.1", "4711"])
    expect(re.search(r"Written 1 reference", done.stdout), f"mbpoll said {done.stdout}")
    wait_body(hub, "writer-1", '{"register":7,"value":4711}')
    note("mbpoll: its write is telemetry, and answered when it was safe")

    eventually(lambda: any('"class":"TPV"' in text for text in bodies(hub, "gps-1")), "gpsd's position is at the hub")
    position = next(json.loads(text) for text in bodies(hub, "gps-1") if '"class":"TPV"' in text)
    expect(abs(position.get("lat", 0) - 48.1173) < 0.001, f"gpsd says {position}")
    command(hub, "gps-1", "version")
    note("gpsd: watched over JSON, positions up, a command answered")
    expect(gateway.process.terminate() == 0, "the gateway did not end with 0 at SIGTERM")


if __name__ == "__main__":
    main("96_tcp_tools", body)
