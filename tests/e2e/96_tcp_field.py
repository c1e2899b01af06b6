#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What lines need in the field, with the installed daemon: connected on demand and let go, a second connection, strangers, checks
that are wrong, decoding, old commands, retries, polls with turnaround, heartbeats and probes, address lists [C-01 C-02 D-04 I-01 I-02]."""

import json
import os
import struct
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support", "e2e"))

from gateway import Gateway, new_key  # noqa: E402
from harness import eventually, expect, main, note  # noqa: E402
from hub import Hub  # noqa: E402
from tcp_peers import Host, dial  # noqa: E402

POLL_S, GAP_S = 0.5, 0.1
HOLD_S = 2

MAPS = """[[device]]
id = "on-demand"
tcp.connect = "127.0.0.1:{on_demand}"
tcp.release = "500ms"
tcp.command = {{ send = "CMD {{id}} {{payload}}", reply = "DONE {{id}}" }}

[[device]]
id = "poll-demand"
tcp.connect = "127.0.0.1:{poll_demand}"
tcp.release = "200ms"
tcp.poll = [{{ send = "READ", every = "1s", timeout = "10s" }}]

[[device]]
id = "newest"
tcp.listen = "127.0.0.1:{newest}"
tcp.ack = "OK\\n"

[[device]]
id = "first"
tcp.listen = "127.0.0.1:{first}"
tcp.ack = "OK\\n"
tcp.second = "refuse"

[[device]]
id = "pump"
tcp.listen = "127.0.0.1:{pump}"
tcp.ack = "OK\\n"
tcp.identify = {{ by = "registration", match = '^REG (\\w+)$', is = "A1", hold = "64B", hold_time = "{hold}s" }}

[[device]]
id = "check-drop"
tcp.listen = "127.0.0.1:{check_drop}"
tcp.framing = {{ kind = "marks", check = "bcc" }}

[[device]]
id = "check-flag"
tcp.listen = "127.0.0.1:{check_flag}"
tcp.framing = {{ kind = "marks", check = "bcc", on_bad_check = "flag" }}

[[device]]
id = "check-pass"
tcp.listen = "127.0.0.1:{check_pass}"
tcp.framing = {{ kind = "marks", check = "bcc", on_bad_check = "pass" }}

[[device]]
id = "scale"
tcp.listen = "127.0.0.1:{scale}"
tcp.framing = {{ kind = "line", end = "\\r\\n" }}
map.decode = {{ kind = "columns", charset = "cp437", decimal = ",", fields = {{ state = {{ at = 0, size = 2, names = {{ ST = "stable", US = "moving" }} }}, net = {{ at = 3, size = 9, number = true }}, unit = {{ at = 12, size = 3 }} }} }}

[[device]]
id = "meter"
tcp.listen = "127.0.0.1:{meter}"
tcp.framing = {{ kind = "fixed", size = 12, sync = '\\xAA\\x55' }}
map.decode = {{ kind = "bytes", fields = {{ total = {{ at = 2, type = "bcd", size = 4, factor = 0.01 }}, flow = {{ at = 6, type = "f32", words = "swapped" }}, level = {{ at = 10, type = "sm8" }}, alarm = {{ at = 11, type = "u8", bit = 7 }}, mode = {{ at = 11, type = "u8", bit = 0, bits = 3, names = {{ "5" = "run" }} }} }} }}

[[device]]
id = "raw"
tcp.listen = "127.0.0.1:{raw}"
tcp.framing = {{ kind = "length", width = 1, keep = false }}

[[device]]
id = "valve"
tcp.listen = "127.0.0.1:{valve}"
tcp.command = {{ send = '\\x02{{payload}}\\x03{{bcc}}', reply = "A", expire = "4s", framing = {{ kind = "idle" }} }}

[[device]]
id = "deaf"
tcp.listen = "127.0.0.1:{deaf}"
tcp.command = {{ send = "CMD {{id}} {{payload}}", reply = "DONE {{id}}", timeout = "300ms", retries = 2 }}

[[device]]
id = "board"
tcp.listen = "127.0.0.1:{board}"
tcp.framing = {{ kind = "end", end = '\\x00' }}
tcp.command = {{ send = "{{payload}}" }}
command_done = "written"

[[device]]
id = "plc"
tcp.connect = "127.0.0.1:{plc}"
tcp.poll = [{{ send = "READ", every = "{poll}ms", timeout = "10s" }}]
tcp.command = {{ send = "SET {{payload}}", reply = "SET OK" }}
tcp.gap = "{gap}ms"
tcp.retry = "500ms"

[[device]]
id = "modem"
tcp.connect = "127.0.0.1:{modem}"
tcp.retry = "500ms"
tcp.heartbeat = [{{ match = '^ping$', answer = 'pong\\n' }}, {{ match = '^\\xFE\\xFE' }}, {{ match = '^alive$' }}]
tcp.probe = {{ send = 'HB?\\n', every = "500ms", timeout = "4s" }}

[[device]]
id = "fenced"
tcp.listen = "127.0.0.1:{fenced}"
tcp.ack = "OK\\n"
tcp.allow = ["127.0.0.2", "10.0.0.0/8"]

[[device]]
id = "net"
tcp.listen = "127.0.0.1:{by_address}"
tcp.identify = {{ by = "address", is = "127.0.0.0/8" }}

[[device]]
id = "host"
tcp.listen = "127.0.0.1:{by_address}"
tcp.identify = {{ by = "address", is = "127.0.0.2" }}

[[device]]
id = "tracker"
tcp.listen = "127.0.0.1:{tracker}"
tcp.identify = {{ by = "registration", bytes = 3, as = "hex", is = "0a0bff", answer = '\\x01' }}
map.decode = {{ kind = "csv", separator = ";", fields = {{ what = {{ column = 1 }}, volts = {{ column = 2, number = true, factor = 0.001 }} }} }}

[[device]]
id = "json-1"
tcp.listen = "127.0.0.1:{json}"
tcp.framing = {{ kind = "json" }}
tcp.identify = {{ by = "frame", pointer = "/from/id", is = "17" }}

[[device]]
id = "json-2"
tcp.listen = "127.0.0.1:{json}"
tcp.framing = {{ kind = "json" }}
tcp.identify = {{ by = "frame", pointer = "/from/id", is = "B" }}
"""
DEVICES = ("on-demand", "poll-demand", "newest", "first", "pump", "check-drop", "check-flag", "check-pass", "scale", "meter", "raw",
           "valve", "deaf", "board", "plc", "modem", "fenced", "by-address", "tracker", "json")
IDENTITIES = tuple(name for name in DEVICES if name not in ("by-address", "json")) + ("net", "host", "json-1", "json-2")


class Field:
    def __init__(self, scenario):
        self.scenario = scenario
        self.ports = {device: scenario.ports.take() for device in DEVICES}
        self.keys = {device: new_key() for device in IDENTITIES}
        self.hub = Hub(scenario, self.keys)
        maps = MAPS.format(hold=HOLD_S, poll=int(POLL_S * 1000), gap=int(GAP_S * 1000),
                           **{device.replace("-", "_"): port for device, port in self.ports.items()})
        self.hosts = {"on-demand": Host(self.ports["on-demand"]),
                      "poll-demand": Host(self.ports["poll-demand"], answer=lambda data: b"17\n")}
        self.gateway = Gateway(scenario, self.hub, {"field": maps}, self.keys)
        self.gateway.cli("check")
        self.gateway.start()
        eventually(lambda: self.gateway.status() is not None, "the gateway answers")

    def dial(self, device):
        return dial(self.ports[device])

    def bodies(self, device):
        return [arrival["body"] for arrival in self.hub.arrivals(device)]

    def outcome(self, device, sequence, wanted="completed"):
        state = self.hub.wait_outcome(device, sequence)
        expect(state == wanted, f"{device}: the command ended as {state}")

    def line_of(self, device):
        return self.gateway.device_status(device).get("line", {})


def answer_command(link, what):
    """Waits for "CMD <id> …" and answers it."""
    link.wait_data(b"\n", what)
    ident = link.data.rsplit(b"CMD ", 1)[1].split(b" ")[0]
    link.say(b"DONE " + ident + b"\n")


def on_demand(field):
    host = field.hosts["on-demand"]
    eventually(lambda: field.gateway.device_status("on-demand")["presence"] == "reachable", "it counts as within reach")
    expect(not host.links, "a device of one slot is connected without a reason")
    for number in (1, 2):
        sequence = field.hub.send_command("on-demand", f"tare {number}")
        link = host.wait_link(number)
        answer_command(link, "the command")
        field.outcome("on-demand", sequence)
        link.wait_end("on demand, after the command")
    poll = field.hosts["poll-demand"]
    for number in (1, 2, 3):
        link = poll.wait_link(number)
        link.wait_end("on demand, after the poll")
        expect(set(link.data.splitlines()) == {b"READ"}, f"asked {link.data!r} on one connection")
    field.hub.wait_arrivals("poll-demand", 3)
    expect((host.most, poll.most) == (1, 1), f"{host.most} and {poll.most} connections at one time")
    note("on demand: connected for two commands and three polls, let go after each, never two at a time")


def second_connection(field):
    old = field.dial("newest")
    old.say("1\n")
    old.wait_data(b"OK\n", "the first")
    new = field.dial("newest")
    old.wait_end("newest wins, the old one")
    new.say("2\n")
    new.wait_data(b"OK\n", "the second")
    stays = field.dial("first")
    stays.say("1\n")
    stays.wait_data(b"OK\n", "the first")
    field.dial("first").wait_end("the second one where it is refused")
    stays.say("2\n")
    stays.wait(6, "the first one stays")
    for device in ("newest", "first"):
        field.hub.wait_arrivals(device, 2)
    expect(field.bodies("newest") == ["1", "2"] and field.bodies("first") == ["1", "2"], "messages of both")
    note("a second connection: the newest wins, or is refused, as the map says")


def strangers(field):
    began = time.monotonic()
    silent, named, flood = field.dial("pump"), field.dial("pump"), field.dial("pump")
    flood.say("x" * 65)
    flood.wait_end("a flood of nobody")
    at_once = time.monotonic() - began
    expect(at_once < HOLD_S, f"65 bytes of 64 were held for {at_once:.1f} s")
    named.say("REG X9\n")
    silent.wait_end("a silent stranger")
    named.wait_end("a stranger with a name")
    expect(time.monotonic() - began >= HOLD_S, "strangers were not given hold_time")
    eventually(lambda: field.gateway.metric("tcp_unknown_total") == 3, "three strangers are counted")
    sample = field.gateway.adapter("tcp")["unknown_topics"]
    expect(any("'X9'" in text for text in sample) and any("hex 7878" in text for text in sample), f"status shows {sample}")
    shown = field.gateway.cli("status", expected=None).stdout
    expect("nobody known: 127.0.0.1:" in shown and "tcp.identify" in shown, f"status says {shown}")
    known = field.dial("pump")
    known.say("early\nREG A1\n")
    known.wait_data(b"OK\n", "what was said before the registration")
    field.hub.wait_arrivals("pump", 1)
    expect(field.bodies("pump") == ["early"], f"pump: {field.bodies('pump')}")
    note(f"strangers: held for {HOLD_S} s or 64 bytes, closed, counted, shown; what a known one said first is kept")


def identification(field):
    near, far = field.dial("by-address"), dial(field.ports["by-address"], source="127.0.0.2")
    near.say("from the network\n")
    far.say("from the host\n")
    tracker = field.dial("tracker")
    tracker.say(b"\x0a\x0b")
    tracker.say(b"\xffpanel;12345\n")
    tracker.wait_data(b"\x01", "the answer to the registration")
    shared = field.dial("json")
    shared.say('{"from":{"id":17},"v":1}{"from":{"id":"B"},"v":2}{"from":{"id":18}}{"from":{"id":17},"v":"}"}')
    wanted = {"net": ["from the network"], "host": ["from the host"], "tracker": ['{"volts":12.345,"what":"panel"}'],
              "json-1": ['{"from":{"id":17},"v":1}', '{"from":{"id":17},"v":"}"}'], "json-2": ['{"from":{"id":"B"},"v":2}']}
    for device, bodies in wanted.items():
        field.hub.wait_arrivals(device, len(bodies))
        expect(field.bodies(device) == bodies, f"{device}: {field.bodies(device)}")
    expect(field.gateway.metric("tcp_unknown_frames_total") == 1, "a frame of nobody is counted")
    note("who speaks: by network and address, by three raw bytes in hexadecimal, by a JSON pointer in each frame of one connection")


def samples(field):
    """`trunkline check` runs what the author of a map recorded."""
    text = """[[device]]
id = "scale"
tcp.listen = "127.0.0.1:{port}"
tcp.framing = {{ kind = "marks" }}
tcp.heartbeat = {{ match = '^p$' }}
map.decode = {{ kind = "match", pattern = '^(?<kg>[\\d.]+)', fields = {{ kg = {{ number = true }} }} }}
samples = [{{ bytes = "78 02 70 03 02 31 2e 35 03", out = ['{{"kg":{kg}}}'] }}]
"""
    for kg, status in (("1.5", 0), ("2.5", 2)):
        gateway = Gateway(field.scenario, field.hub, {"10": text.format(port=field.ports["scale"], kg=kg)}, field.keys, folder=f"samples-{status}")
        done = gateway.cli("check", expected=status)
        said = '10.toml:7:' in done.stderr and 'the sample gives "{"kg":1.5}" instead of "{"kg":2.5}"' in done.stderr
        expect(said == (status == 2), f"check says of a sample: {done.stderr}")
    note("samples: run by check, a wrong one is refused with its place")


def checks(field):
    def frame(text, damage=0):
        check = 3
        for byte in text.encode():
            check ^= byte
        return b"\x02" + text.encode() + b"\x03" + bytes([check ^ damage])

    wanted = {"check-drop": ["good", "again"], "check-flag": ["good", "bad", "again"], "check-pass": ["good", "bad", "again"]}
    for device, bodies in wanted.items():
        link = field.dial(device)
        link.say(frame("good") + frame("bad", 1) + frame("again"))
        field.hub.wait_arrivals(device, len(bodies))
        arrivals = field.hub.arrivals(device)
        expect([one["body"] for one in arrivals] == bodies, f"{device}: {arrivals}")
        flags = [one["properties"].get("framing-check") for one in arrivals]
        expect(flags == ([None, "failed", None] if device == "check-flag" else [None] * len(bodies)), f"{device}: flags {flags}")
        expect(field.line_of(device).get("check_failed") == 1, f"{device}: status says {field.line_of(device)}")
    expect(field.gateway.metric("tcp_check_failed_total") == 3, "wrong checks are counted")
    shown = field.gateway.cli("device", "check-pass").stdout
    expect("check_failed 1" in shown, f"trunkline device says {shown}")
    note("wrong checks: dropped, flagged, passed; counted and in status in each case")


def decoding(field):
    field.dial("scale").say(b"ST -   12,50 \xf8C\r\nUS   1.203,5 kg\r\n")
    field.hub.wait_arrivals("scale", 2)
    expect([json.loads(one) for one in field.bodies("scale")] == [{"net": -12.5, "state": "stable", "unit": "°C"},
                                                                  {"net": 1203.5, "state": "moving", "unit": "kg"}],
           f"scale: {field.bodies('scale')}")
    swapped = struct.pack(">f", 123.5)
    reading = b"\xAA\x55" + bytes.fromhex("12345678") + swapped[2:] + swapped[:2] + b"\x85\x85"
    field.dial("meter").say(b"\x00\x00\x55" + reading)
    field.hub.wait_arrivals("meter", 1)
    expect(json.loads(field.bodies("meter")[0]) == {"alarm": 1, "flow": 123.5, "level": -5, "mode": "run", "total": 123456.78},
           f"meter: {field.bodies('meter')}")
    field.dial("raw").say(b"\x04\x00\xff\x80\xfe\x02ok")
    field.hub.wait_arrivals("raw", 2)
    raw = field.hub.arrivals("raw")
    expect(raw[0].get("body_base64") == "AP+A/g==" and raw[1].get("body") == "ok", f"raw: {raw}")
    note("decoding: decimal comma, code page, names, BCD, swapped words, sign and magnitude, bits; without a map raw bytes")


def commands(field):
    stale = field.hub.send_command("valve", "open")
    eventually(lambda: field.hub.ask("command", device="valve", sequence=stale)["state"] == "queued", "it waits at the hub")
    time.sleep(4.5)  # until it is too old
    link = field.dial("valve")
    field.outcome("valve", stale, "rejected")
    fresh = field.hub.send_command("valve", "shut")
    got = link.wait(7, "the command that is not old")
    expect(got == b"\x02shut\x03" + bytes([0x02 ^ ord("s") ^ ord("h") ^ ord("u") ^ ord("t") ^ 0x03]), f"the valve got {got!r}")
    link.say("A\n")
    field.outcome("valve", fresh)

    heard = []

    def from_the_third_on(data):
        said = b""
        for line in data.splitlines():
            heard.append(line)
            said += b"DONE " + line.split(b" ")[1] + b"\n" if len(heard) >= 3 else b""
        return said

    dial(field.ports["deaf"], answer=from_the_third_on)
    field.outcome("deaf", field.hub.send_command("deaf", "go"))
    expect(len(heard) >= 3 and len(set(heard[:3])) == 1, f"sent {heard}")

    board = field.dial("board")
    field.outcome("board", field.hub.send_command("board", "PLATFORM 7"))
    expect(board.wait(11, "the text") == b"PLATFORM 7\0", f"the board got {board.data!r}")
    note("commands: too old is never sent, check value computed, three sendings until the answer, written counts where the map says so")


def polling(field):
    link = Host(field.ports["plc"]).wait_link(1)
    sent, sequence, asked = [], None, b""
    for number in range(1, 7):
        link.wait(len(asked) + 1, "the next question")
        while not link.data[len(asked):].endswith(b"\n"):
            link.wait(len(link.data) + 1, "the rest of it")
        question = link.data[len(asked):]
        came = next(when for when, size in link.times if size > len(asked))
        if sent:
            expect(came - sent[-1][1] >= GAP_S, f"asked {came - sent[-1][1]:.3f} s after the answer, tcp.gap is {GAP_S} s")
        asked = link.data
        expect(question in (b"READ\n", b"SET 5\n"), f"asked {question!r} at once")
        answered = time.monotonic()
        link.say(b"SET OK\n" if question.startswith(b"SET") else f"{number}\n".encode())
        sent.append((came, answered, question))
        if number == 3:
            sequence = field.hub.send_command("plc", "5")
    field.outcome("plc", sequence)
    reads = [came for came, _, question in sent if question == b"READ\n"]
    # Asked no more often than the map says; late is the machine's fault, and so is what follows closer.
    apart = (reads[-1] - reads[0]) / (len(reads) - 1)
    expect(apart >= POLL_S * 0.8, f"polls {apart:.3f} s apart instead of {POLL_S}")
    expect(len(reads) in (5, 6), f"asked {sent}")
    note(f"polls: {apart:.2f} s apart, a command between them, {GAP_S} s after each answer, one question at a time")


def heartbeats(field):
    host = Host(field.ports["modem"])
    link = host.wait_link(1)
    link.say("ping\n")
    link.wait_data(b"pong\n", "the answer to a heartbeat")
    link.say(b"\xfe\xfe\x01\n")
    for number in (1, 2):
        eventually(lambda count=number: link.data.count(b"HB?\n") >= count, "a probe")
        link.say("alive\n")
    link.say("21.5\n")
    field.hub.wait_arrivals("modem", 1)
    expect(field.bodies("modem") == ["21.5"], f"heartbeats went up: {field.bodies('modem')}")
    expect(field.gateway.metric("tcp_heartbeats_total") >= 4, "heartbeats are counted")
    link.wait_end("nobody answers the probe")
    host.wait_link(2).say("back\n")
    field.hub.wait_arrivals("modem", 2)
    expect(host.most == 1, "two connections at one time")
    field.gateway.process.wait_line("device_disconnected.*modem.*no answer to the probe")
    note("heartbeats: answered, swallowed, probed; without an answer the connection is ended and made anew")


def fence(field):
    link = field.dial("fenced")
    link.wait_end("127.0.0.1, which is not allowed")
    field.gateway.process.wait_line("connection_refused.*127.0.0.1.*tcp.allow")
    expect(not field.bodies("fenced"), "somebody passed the fence")
    note("addresses that are not allowed are turned away, and said")


def body(scenario):
    field = Field(scenario)
    for part in (samples, on_demand, second_connection, strangers, identification, checks, decoding, commands, polling, heartbeats, fence):
        part(field)
    expect(field.gateway.process.terminate() == 0, "the gateway did not end with 0 at SIGTERM")


if __name__ == "__main__":
    main("96_tcp_field", body)
