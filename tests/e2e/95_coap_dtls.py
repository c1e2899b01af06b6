#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""CoAP devices with real clients: DTLS by key (OpenSSL and GnuTLS) and by certificate, 64 KiB both ways in blocks,
commands by observing, on an answer and pushed, keys that come and go, and a kill in the middle."""

import os
import re
import socket
import subprocess
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support", "e2e"))

import coap_client  # noqa: E402
from gateway import Gateway, new_key  # noqa: E402
from harness import SOON, eventually, expect, main, note  # noqa: E402
from hub import Hub  # noqa: E402

KEY = "a key of the meter"
LARGE = "".join(chr(97 + index * 7 // 5 % 26) for index in range(64 * 1024))


def certificates(folder):
    """A device authority, and a certificate for the gateway and one for the device "cam-1", as files."""
    def openssl(*arguments):
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    new = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    openssl("req", "-x509", *new, "-subj", "/CN=device authority", "-keyout", "ca.key", "-out", "ca.pem", "-days", "2")
    for name in ("gateway", "cam-1", "cam-2"):
        openssl("req", *new, "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.csr")
        openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
                "-days", "2", "-out", f"{name}.pem")
        os.chmod(os.path.join(folder, f"{name}.key"), 0o600)


class Client:
    """coap-client of one TLS library, as one device."""

    def __init__(self, scenario, port, proof, flavour="openssl"):
        self.scenario = scenario
        self.base = f"coaps://127.0.0.1:{port}"
        self.command = [f"coap-client-{flavour}", "-v", "6", "-B", str(int(SOON)), *proof]

    def run(self, method, path, *arguments):
        """The last code of the gateway's answers, or "none"."""
        done = subprocess.run(
            [*self.command, "-m", method, *arguments, self.base + path],
            capture_output=True, text=True, timeout=SOON + 30, check=False,
        )
        codes = re.findall(r"^v:1 t:\w+ c:([2-5]\.\d\d) ", done.stdout + done.stderr, re.MULTILINE)
        return codes[-1] if codes else "none"

    def observe(self, name, path, *arguments):
        return self.scenario.start(
            name, [*self.command, "-v", "7", "-s", "600", "-B", "600", "-m", "get", *arguments, self.base + path]
        )


class PlainDevice:
    """The second, independent client: plain UDP by hand, and a server of its own for pushes."""

    def __init__(self, port):
        self.link = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.link.connect(("127.0.0.1", port))
        self.link.settimeout(SOON)
        self.mid = 0x1000

    def post(self, path, payload=b"", query=None):
        """Code, options and payload of the final answer to a confirmable POST."""
        self.mid += 1
        token = self.mid.to_bytes(2, "big")
        options = [(coap_client.URI_PATH, part.encode()) for part in path.strip("/").split("/")]
        options += [(15, query.encode())] if query else []
        self.link.send(coap_client.encode(coap_client.CON, coap_client.POST, self.mid, token, options, payload))
        while True:
            kind, code, mid, answer_token, found, body = coap_client.decode(self.link.recv(2048))
            if kind == coap_client.CON:
                self.link.send(coap_client.encode(coap_client.ACK, 0, mid))
            if code != 0 and answer_token == token:
                return code, found, body


class OwnServer(threading.Thread):
    """Answers each POST with 2.04 and keeps what it was told."""

    def __init__(self):
        super().__init__(daemon=True)
        self.link = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.link.bind(("127.0.0.1", 0))
        self.port = self.link.getsockname()[1]
        self.bodies = []
        self.start()

    def run(self):
        while True:
            data, peer = self.link.recvfrom(2048)
            _, _, mid, token, _, body = coap_client.decode(data)
            self.bodies.append(body.decode())
            self.link.sendto(coap_client.encode(coap_client.ACK, coap_client.CHANGED, mid, token), peer)


def check_bodies(hub, device, wanted):
    hub.wait_arrivals(device, len(wanted))
    bodies = [arrival["body"] for arrival in hub.arrivals(device)]
    expect(bodies == wanted, f"{device}: the hub has {len(bodies)} bodies of {[len(body) for body in bodies]} bytes")


def body(scenario):
    folder = os.path.join(scenario.folder, "certificates")
    os.makedirs(folder)
    certificates(folder)
    server = OwnServer()
    keys = {device: new_key() for device in ("meter-9", "meter-8", "cam-1", "sleeper", "valve-2")}
    hub = Hub(scenario, keys)
    keys["meter-9"] = (keys["meter-9"], "", KEY)
    plain_port, dtls_port = scenario.ports.take(), scenario.ports.take()
    dtls = 'coap.telemetry = "/t"\ncoap.command = "/c"\ncoap.result = "/r"\ncoap.identity = "{device}"\n'
    maps = {device: f'[[device]]\nid = "{device}"\n{dtls}' for device in ("meter-9", "meter-8", "cam-1")}
    maps["sleeper"] = ('[[device]]\nid = "sleeper"\ncoap.telemetry = "/s/t"\ncoap.piggyback = true\n'
                       'coap.result = "/s/r"\n')
    maps["valve-2"] = ('[[device]]\nid = "valve-2"\ncoap.telemetry = "/v/t"\n'
                       f'coap.push = "coap://127.0.0.1:{server.port}/cmd"\n')
    gateway = Gateway(
        scenario, hub, maps, keys, coap_port=plain_port,
        coap_table=f'listen_dtls = "127.0.0.1:{dtls_port}"\ncert = "{folder}/gateway.pem"\n'
                   f'key = "{folder}/gateway.key"\nca_file = "{folder}/ca.pem"\ncommand_wait = "5s"\n',
    )
    gateway.start()
    eventually(lambda: (gateway.status() or {}).get("verdict") == "ok", "trunkline status says ok")

    large = os.path.join(scenario.folder, "large")
    with open(large, "w", encoding="utf-8") as file:
        file.write(LARGE)
    meter = Client(scenario, dtls_port, ("-u", "meter-9", "-k", KEY))
    gnutls = Client(scenario, dtls_port, ("-u", "meter-9", "-k", KEY), "gnutls")
    cam = Client(scenario, dtls_port, ("-c", f"{folder}/cam-1.pem", "-j", f"{folder}/cam-1.key",
                                       "-R", f"{folder}/ca.pem", "-n"))
    expect(meter.run("post", "/t", "-e", "one") == "2.04", "DTLS with a key (OpenSSL)")
    expect(gnutls.run("post", "/t", "-e", "two") == "2.04", "DTLS with a key (GnuTLS)")
    expect(meter.run("post", "/t", "-b", "1024", "-f", large) == "2.04", "64 KiB in blocks")
    check_bodies(hub, "meter-9", ["one", "two", LARGE])
    expect(cam.run("post", "/t", "-e", "by certificate") == "2.04", "DTLS with a certificate")
    check_bodies(hub, "cam-1", ["by certificate"])
    note("DTLS by key with OpenSSL and GnuTLS, and by certificate; 64 KiB up in blocks, as one message")

    cam2 = Client(scenario, dtls_port, ("-c", f"{folder}/cam-2.pem", "-j", f"{folder}/cam-2.key",
                                        "-R", f"{folder}/ca.pem", "-n"))
    expect(cam2.run("post", "/t", "-B", "3", "-e", "x") == "none", "a certificate that no map knows")
    wrong = Client(scenario, dtls_port, ("-u", "meter-9", "-k", "wrong"))
    expect(wrong.run("post", "/t", "-B", "3", "-e", "x") == "none", "a wrong key")
    expect(meter.run("post", "/s/t", "-e", "x") == "4.03", "another device's path")
    second = Client(scenario, dtls_port, ("-u", "meter-8", "-k", "of another"))
    expect(second.run("post", "/t", "-B", "3", "-e", "x") == "none", "an identity without a key")
    gateway.import_keys({"meter-8": (keys["meter-8"], "", "of another")})
    expect(second.run("post", "/t", "-e", "late") == "2.04", "a key that was added while the gateway runs")
    check_bodies(hub, "meter-8", ["late"])
    gateway.cli("identity", "disable", "meter-8")
    expect(second.run("post", "/t", "-B", "3", "-e", "x") == "none", "a device that was disabled")
    note("wrong keys, foreign certificates and paths are refused; keys come and go while it runs")

    out = os.path.join(scenario.folder, "command")
    observer = meter.observe("observer", "/c", "-o", out)
    observer.wait_line(r"c:2\.05 .*Observe:")
    sequence = hub.send_command("meter-9", LARGE[:60000])
    eventually(lambda: os.path.exists(out) and os.path.getsize(out) >= 60000, "the command is there, 60 kB in blocks")
    with open(out, encoding="utf-8") as file:
        expect(file.read() == LARGE[:60000], "the command is not what the hub was given")
    expect(meter.run("post", f"/r?id={sequence}") == "2.04", "the result")
    expect(hub.wait_outcome("meter-9", sequence) == "completed", "the observed command is not completed")
    observer.kill()

    sleeper = PlainDevice(plain_port)
    sequence = hub.send_command("sleeper", "open")
    code, options, text = sleeper.post("/s/t", b"21.5")
    expect(code == coap_client.CHANGED and text == b"open", f"the answer is {code:#x} {text}")
    expect(options.get(20) == f"id={sequence}".encode(), f"the answer's options are {options}")
    code, _, _ = sleeper.post("/s/r", query=f"id={sequence}")
    expect(code == coap_client.CHANGED, f"the result is answered {code:#x}")
    expect(hub.wait_outcome("sleeper", sequence) == "completed", "the command on the answer is not completed")

    sequence = hub.send_command("valve-2", "close")
    expect(hub.wait_outcome("valve-2", sequence) == "completed", "the pushed command is not completed")
    expect(server.bodies == ["close"], f"the device's server got {server.bodies}")
    note("commands: 60 kB by observing over DTLS, one on an answer, one pushed; each completed at the hub")

    valve = PlainDevice(plain_port)
    said = [f"v{number}" for number in range(40)]
    for number, text in enumerate(said):
        if number == 20:
            gateway.kill()
            gateway.start()
            eventually(lambda: (gateway.status() or {}).get("verdict") == "ok", "it is back")
        code, _, _ = valve.post("/v/t", text.encode())
        expect(code == coap_client.CHANGED, f"{text} was answered {code:#x}")
    hub.wait_arrivals("valve-2", len(said))
    arrived = [arrival["body"] for arrival in hub.arrivals("valve-2")]
    expect(set(said) <= set(arrived), f"missing after the kill: {set(said) - set(arrived)}")
    note(f"killed in between: all {len(said)} that got their 2.04 are at the hub")
    expect(gateway.process.terminate() == 0, "the gateway did not end with 0 at SIGTERM")


if __name__ == "__main__":
    main("95_coap_dtls", body)
