#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""TLS on TCP lines with real programs on the other side, both ways: openssl s_server and socat are dialled (authority, name,
client certificate, pre-shared key, and each of them wrong), s_client and socat dial (certificate, key, and strangers) [I-02].

`trunkline check` finds files that are not there or of no use, and a plain listener that is open to every network."""

import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support", "e2e"))

from gateway import Gateway, new_key  # noqa: E402
from harness import eventually, expect, main, note  # noqa: E402
from hub import Hub  # noqa: E402
from real_devices import tool  # noqa: E402

KEY = "4b65792d6f662d7468652d706c616e74"  # as OpenSSL takes it
OTHER_KEY = "0123456789abcdef0123456789abcdef"


def certificates(folder):
    """Two authorities; of the first a certificate for a device at 127.0.0.1, the gateway, and the devices cam-1 and cam-2; of
    the second one that also says cam-1."""
    def openssl(*arguments):
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    new = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    for authority in ("ca", "other"):
        openssl("req", "-x509", *new, "-subj", f"/CN={authority}", "-keyout", f"{authority}.key", "-out", f"{authority}.pem", "-days", "2")
    for name, subject, authority in (("device", "device", "ca"), ("gateway", "gateway", "ca"), ("cam-1", "cam-1", "ca"),
                                     ("cam-2", "cam-2", "ca"), ("forged", "cam-1", "other")):
        with open(os.path.join(folder, "names"), "w", encoding="ascii") as file:
            file.write("subjectAltName=IP:127.0.0.1,DNS:plc.plant\n")
        openssl("req", *new, "-subj", f"/CN={subject}", "-keyout", f"{name}.key", "-out", f"{name}.csr")
        openssl("x509", "-req", "-in", f"{name}.csr", "-CA", f"{authority}.pem", "-CAkey", f"{authority}.key", "-CAcreateserial",
                "-days", "2", "-extfile", "names", "-out", f"{name}.pem")
        os.chmod(os.path.join(folder, f"{name}.key"), 0o600)


class Peer:
    """A device made of a program that copies between its terminal and the connection."""

    def __init__(self, scenario, name, command):
        self.commands = []
        self.process = scenario.start(name, command, stdin=True, echo=self._line)

    def say(self, text):
        self.process.write(text.encode() + b"\n")

    def _line(self, line):
        if line.startswith("CMD "):
            _, ident, payload = line.split(" ", 2)
            self.commands.append(payload)
            self.say(f"DONE {ident}")


COMMAND = 'tcp.command = { send = "CMD {id} {payload}", reply = "DONE {id}" }\n'


def dialled(device, port, tls):
    return f"""[[device]]
id = "{device}"
tcp.connect = "127.0.0.1:{port}"
tcp.tls = {{ {tls} }}
tcp.retry = "500ms"
{COMMAND}"""


def listened(device, port, by, tls):
    return f"""[[device]]
id = "{device}"
tcp.listen = "127.0.0.1:{port}"
tcp.identify = {{ by = "{by}" }}
tcp.tls = {{ {tls} }}
tcp.ack = "OK\\n"
{COMMAND}"""


def spoken_with(hub, device, peer):
    """Telemetry up and a command down."""
    peer.say(f"reading of {device}")
    hub.wait_arrivals(device, 1)
    expect(hub.arrivals(device)[0]["body"] == f"reading of {device}", f"{device}: {hub.arrivals(device)}")
    state = hub.wait_outcome(device, hub.send_command(device, "open"))
    expect(state == "completed" and peer.commands == ["open"], f"{device}: the command ended as {state}, done {peer.commands}")


def check_configuration(scenario, hub, pem):
    """What `trunkline check` says of TLS files, in the words that its user sees."""
    port = scenario.ports.take()
    ok = f'cert = "{pem("gateway.pem")}", key = "{pem("gateway.key")}"'
    open_key = os.path.join(scenario.folder, "open.key")
    with open(pem("gateway.key"), encoding="ascii") as source, open(open_key, "w", encoding="ascii") as copy:
        copy.write(source.read())
    os.chmod(open_key, 0o644)
    no_pem = os.path.join(scenario.folder, "no.pem")
    with open(no_pem, "w", encoding="ascii") as file:
        file.write("nothing of the kind\n")
    cases = {
        f'cert = "/nowhere.pem", key = "{pem("gateway.key")}"': (":4:20: tcp.tls.cert is /nowhere.pem: cannot read it: No such file", 2),
        f'cert = "{pem("gateway.pem")}", key = "{open_key}"': ("which others may read; chmod 600", 2),
        f'{ok}, ca_file = "{no_pem}"': (f"tcp.tls: {no_pem}: ", 2),
        f'cert = "{pem("device.pem")}", key = "{pem("gateway.key")}"': ("key values mismatch", 2),
        ok: ("", 0),
    }
    for number, (tls, (said, status)) in enumerate(cases.items()):
        text = f'[[device]]\nid = "plain"\ntcp.listen = "127.0.0.1:{port}"\ntcp.tls = {{ {tls} }}\n'
        gateway = Gateway(scenario, hub, {"10-one": text}, {"plain": new_key()}, folder=f"check-{number}")
        done = gateway.cli("check", expected=status)
        expect(said in done.stdout + done.stderr, f"of {tls} check said: {done.stdout}{done.stderr}")
        if status != 0:
            expect("10-one.toml:" in done.stderr, f"check names no place: {done.stderr}")
            expect(gateway.start_in_vain()[0] != 0, f"the gateway runs with {tls}")
    text = f'[[device]]\nid = "plain"\ntcp.listen = "0.0.0.0:{port}"\n'
    gateway = Gateway(scenario, hub, {"10-one": text}, {"plain": new_key()}, folder="check-open")
    done = gateway.cli("check")
    expect("10-one.toml:3:14: warning: tcp.listen is 0.0.0.0" in done.stderr and "tcp.allow" in done.stderr,
           f"an open plain listener: {done.stderr}")
    note("check: a missing file, an open key, no PEM, a key of another certificate, an open listener: each said with its place")


def body(scenario):
    folder = os.path.join(scenario.folder, "certificates")
    os.makedirs(folder)
    certificates(folder)

    def pem(name):
        return os.path.join(folder, name)

    good = ("plc-1", "plc-2", "key-1", "key-2", "cam-1", "cam-2", "pump-1", "pump-2")
    bad = ("no-authority", "no-name", "no-certificate", "no-key", "cert-for-key")
    keys = {device: new_key() for device in good + bad}
    hub = Hub(scenario, keys)
    check_configuration(scenario, hub, pem)
    for device in ("key-1", "key-2", "pump-1", "pump-2"):
        keys[device] = (keys[device], "", "hex:" + KEY)
    for device in ("no-key", "cert-for-key"):
        keys[device] = (keys[device], "", "hex:" + OTHER_KEY)
    ports = {device: scenario.ports.take() for device in good + bad}
    own = f'ca_file = "{pem("ca.pem")}", cert = "{pem("gateway.pem")}", key = "{pem("gateway.key")}"'
    server = f'cert = "{pem("gateway.pem")}", key = "{pem("gateway.key")}", ca_file = "{pem("ca.pem")}"'
    maps = {
        "10-dialled": dialled("plc-1", ports["plc-1"], own)
                      + dialled("plc-2", ports["plc-2"], f'ca_file = "{pem("ca.pem")}", name = "plc.plant"')
                      + dialled("key-1", ports["key-1"], "psk = true")
                      + dialled("key-2", ports["key-2"], 'psk = true, identity = "gateway seven"')
                      + dialled("no-authority", ports["no-authority"], f'ca_file = "{pem("other.pem")}"')
                      + dialled("no-name", ports["no-name"], f'ca_file = "{pem("ca.pem")}", name = "other.plant"')
                      + dialled("no-certificate", ports["no-certificate"], f'ca_file = "{pem("ca.pem")}"')
                      + dialled("no-key", ports["no-key"], "psk = true")
                      + dialled("cert-for-key", ports["cert-for-key"], "psk = true"),
        "20-certificates": "".join(listened(device, ports["cam-1"], "certificate", server) for device in ("cam-1", "cam-2")),
        "30-keys": "".join(listened(device, ports["pump-1"], "psk", "psk = true") for device in ("pump-1", "pump-2")),
    }
    gateway = Gateway(scenario, hub, maps, keys)
    gateway.cli("check")
    gateway.start()

    def s_server(device, *arguments):
        return Peer(scenario, device, [tool("openssl"), "s_server", "-quiet", "-naccept", "100000", "-accept",
                                       f"127.0.0.1:{ports[device]}", *arguments])

    certificate = ("-cert", pem("device.pem"), "-key", pem("device.key"))
    asking = ("-CAfile", pem("ca.pem"), "-Verify", "1", "-verify_return_error")
    plcs = {
        "plc-1": s_server("plc-1", *certificate, *asking),
        "plc-2": Peer(scenario, "plc-2", [tool("socat"), "STDIO", f"OPENSSL-LISTEN:{ports['plc-2']},bind=127.0.0.1,reuseaddr,"
                                          f"cert={pem('device.pem')},key={pem('device.key')},verify=0"]),
        "key-1": s_server("key-1", "-nocert", "-psk", KEY, "-psk_identity", "key-1"),
        "key-2": s_server("key-2", "-nocert", "-psk", KEY, "-psk_identity", "gateway seven", "-tls1_2"),
    }
    for device, arguments in (("no-authority", certificate), ("no-name", certificate), ("no-certificate", (*certificate, *asking)),
                              ("no-key", ("-nocert", "-psk", KEY, "-psk_identity", "no-key")), ("cert-for-key", certificate)):
        s_server(device, *arguments)
    for device in plcs:
        eventually(lambda name=device: (gateway.device_status(name) or {}).get("presence") == "reachable", f"{device} is connected")
        spoken_with(hub, device, plcs[device])
    note("dialled: our certificate to s_server, a name to socat, keys to s_server in TLS 1.3 and 1.2; each both ways")

    for device, said in (("no-authority", "its authority is not among those that we trust"),
                         ("no-name", "it is not for 'other.plant'"),
                         ("no-certificate", "(certificate required|handshake failure|bad certificate|certificate)"),
                         ("no-key", "(decrypt|handshake failure|mac|alert|unexpected)"),
                         ("cert-for-key", "the peer shows a certificate instead|handshake failure")):
        gateway.process.wait_line(f"(dial_failed|line_lost).*127.0.0.1:{ports[device]}.*({said})")
        expect(hub.count(device) == 0, f"{device} was heard")
    note("dialled in vain: a wrong authority, a wrong name, no certificate, a wrong key, a certificate where a key is due; each said so")

    def s_client(name, port, *arguments):
        return Peer(scenario, name, [tool("openssl"), "s_client", "-quiet", "-connect", f"127.0.0.1:{port}", *arguments])

    cam = ports["cam-1"]
    spoken_with(hub, "cam-1", s_client("cam-1", cam, "-cert", pem("cam-1.pem"), "-key", pem("cam-1.key")))
    spoken_with(hub, "cam-2", Peer(scenario, "cam-2", [
        tool("socat"), "STDIO", f"OPENSSL:127.0.0.1:{cam},cert={pem('cam-2.pem')},key={pem('cam-2.key')},cafile={pem('ca.pem')}"]))
    pump = ports["pump-1"]
    spoken_with(hub, "pump-1", s_client("pump-1", pump, "-psk_identity", "pump-1", "-psk", KEY))
    spoken_with(hub, "pump-2", s_client("pump-2", pump, "-psk_identity", "pump-2", "-psk", KEY, "-tls1_2"))
    note("listened: two devices by certificate (s_client, socat), two by key (TLS 1.3 and 1.2), each both ways")

    counts = {device: hub.count(device) for device in ("cam-1", "cam-2", "pump-1", "pump-2")}
    strangers = [
        s_client("stranger-none", cam),
        s_client("stranger-forged", cam, "-cert", pem("forged.pem"), "-key", pem("forged.key")),
        s_client("stranger-unknown", cam, "-cert", pem("gateway.pem"), "-key", pem("gateway.key")),  # proved, but no device
        s_client("stranger-key", pump, "-psk_identity", "pump-1", "-psk", OTHER_KEY),
        s_client("stranger-name", pump, "-psk_identity", "key-1", "-psk", KEY),  # the right key of another listener's device
        Peer(scenario, "stranger-plain", [tool("nc.openbsd", "nc"), "127.0.0.1", str(pump)]),
    ]
    for stranger in strangers:
        try:
            stranger.say("reading of cam-1")
        except OSError:
            pass  # it has gone already
    for stranger in strangers[:-1]:
        eventually(lambda one=stranger: not one.process.running(), "a stranger is sent away")
    eventually(lambda: gateway.metric("tcp_unknown_total") >= 1, "who is proved and unknown is counted")
    spoken = Peer(scenario, "pump-1-again", [tool("openssl"), "s_client", "-quiet", "-connect", f"127.0.0.1:{pump}",
                                             "-psk_identity", "pump-1", "-psk", KEY])
    spoken.say("after the strangers")
    hub.wait_arrivals("pump-1", counts["pump-1"] + 1)
    counts["pump-1"] += 1
    expect({device: hub.count(device) for device in counts} == counts, "a stranger was heard")
    note("six strangers: no certificate, one of another authority, one of nobody, a wrong key, another listener's key, no TLS: none was heard")
    expect(gateway.process.terminate() == 0, "the gateway did not end with 0 at SIGTERM")


if __name__ == "__main__":
    main("95_tcp_tls", body)
