#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The corpus of frames (tests/unit/tcp/frames) through the daemon: each kind on a port of its own, its frames glued, a byte at a time,
and with noise and damage in front of each; the hub has exactly the messages, in order, and after damage the next good frame [D-03 R-01]."""

import base64
import os
import re
import socket
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support", "e2e"))

from gateway import Gateway, new_key  # noqa: E402
from harness import eventually, expect, main, note  # noqa: E402
from hub import Hub  # noqa: E402

try:
    import tomllib
except ImportError:  # Python 3.11 brings it
    tomllib = None

FRAMES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "unit", "tcp", "frames")
SILENCE_MS = 400
ESCAPES = {"r": b"\r", "n": b"\n", "t": b"\t", "0": b"\0", "\\": b"\\"}


def bytes_of(text):
    """gateway/mapping/byte_text.h, written a second time."""
    out, rest = b"", text
    while rest:
        if rest[0] != "\\":
            out, rest = out + rest[0].encode(), rest[1:]
        elif rest[1] == "x":
            out, rest = out + bytes.fromhex(rest[2:4]), rest[4:]
        else:
            out, rest = out + ESCAPES[rest[1]], rest[2:]
    return out


class Kind:
    def __init__(self, name):
        self.name = name
        with open(os.path.join(FRAMES, name + ".toml"), encoding="utf-8") as file:
            text = file.read()
        found = tomllib.loads(text)
        self.frames, self.messages, self.garbage, self.damaged = (
            [bytes_of(one) for one in found.get(key, [])] for key in ("frames", "messages", "garbage", "damaged"))
        self.delivered = "unfinished" in found  # silence is the end of a frame
        self.silent = found.get("silence", False)  # after damage frames are found after a silence only
        framing = re.search(r"^framing = (\{.*\})$", text, re.M).group(1)
        # Silence only where it is meant: a slow machine makes pauses of its own.
        limit = f'"{SILENCE_MS}ms"' if self.silent or self.delivered else '"5m"'
        self.framing = re.sub(r'timeout = "[^"]*"', f"timeout = {limit}", framing)
        self.wanted = []
        self.error = None

    def map(self, port):
        return f'[[device]]\nid = "{self.name}"\ntcp.listen = "127.0.0.1:{port}"\ntcp.framing = {self.framing}\n'

    def speak(self, port):
        try:
            self._speak(port)
        except Exception as error:  # told by the main thread
            self.error = error

    def _speak(self, port):
        with socket.create_connection(("127.0.0.1", port), 60) as link:
            link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

            def say(data, size=1 << 20):
                for at in range(0, len(data), size):
                    link.sendall(data[at:at + size])

            def be_silent():
                time.sleep(3 * SILENCE_MS / 1000)

            for size in (1 << 20, 1):
                if self.delivered:
                    for frame in self.frames:
                        say(frame, size)
                        be_silent()
                else:
                    say(b"".join(self.frames), size)
                self.wanted += self.messages
            for other in self.garbage + self.damaged:
                for frame, message in list(zip(self.frames, self.messages))[:1 if self.silent else None]:
                    say(other)
                    if self.silent:
                        be_silent()
                    say(frame)
                    if self.delivered:
                        be_silent()
                    self.wanted.append(message)
            link.shutdown(socket.SHUT_WR)
            link.recv(1)


def received(hub, device):
    out = []
    for one in hub.arrivals(device):
        out.append(base64.b64decode(one["body_base64"]) if "body_base64" in one else one["body"].encode())
    return out


def body(scenario):
    if tomllib is None:
        print("96_tcp_frames: this Python cannot read TOML")
        sys.exit(77)
    kinds = [Kind(name[:-5]) for name in sorted(os.listdir(FRAMES)) if name.endswith(".toml")]
    keys = {kind.name: new_key() for kind in kinds}
    ports = {kind.name: scenario.ports.take() for kind in kinds}
    hub = Hub(scenario, keys)
    gateway = Gateway(scenario, hub, {"frames": "\n".join(kind.map(ports[kind.name]) for kind in kinds)}, keys)
    gateway.cli("check")
    gateway.start()
    eventually(lambda: gateway.status() is not None, "the gateway answers")
    threads = [threading.Thread(target=kind.speak, args=(ports[kind.name],)) for kind in kinds]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    total = faults = 0
    for kind in kinds:
        expect(kind.error is None, f"{kind.name}: {kind.error}")
        wanted = [message for message in kind.wanted if message]
        hub.wait_arrivals(kind.name, len(wanted))
        got = received(hub, kind.name)
        expect(got == wanted, f"{kind.name}: the hub has {got} instead of {wanted}")
        total += len(wanted)
        line = gateway.device_status(kind.name).get("line", {})
        expect(line or not kind.damaged, f"{kind.name}: damage is in no count")
        faults += sum(count for name, count in line.items() if name != "noise_bytes")
    note(f"{len(kinds)} framings, {total} messages, all and in order; {faults} damaged frames counted per device")
    expect(gateway.process.terminate() == 0, "the gateway did not end with 0 at SIGTERM")


if __name__ == "__main__":
    main("96_tcp_frames", body)
