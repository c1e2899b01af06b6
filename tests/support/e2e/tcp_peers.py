# SPDX-License-Identifier: Apache-2.0
"""Raw TCP devices that a scenario moves by hand: one that we dial, and one that is dialled. Each keeps what it was sent, and when."""

import contextlib
import mmap
import socket
import struct
import threading
import time

from harness import SOON, Failure, eventually, expect


def memory_limit_kib(program, plain):
    """How much a process may grow: AddressSanitizer keeps freed memory for a while."""
    with open(program, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as image:
        return 256 * 1024 if image.find(b"__asan_init") >= 0 else plain


class Link:
    """One connection, read by a thread of its own until it ends. `answer` makes of what came what is said at once."""

    def __init__(self, made, answer=None):
        self._socket = made
        self._answer = answer
        self._changed = threading.Condition()
        self.data = b""
        self.times = []  # (when, how many bytes had come then)
        self.ended = False
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        while True:
            try:
                data = self._socket.recv(65536)
            except OSError:
                data = b""
            reply = self._answer(data) if self._answer and data else b""
            with contextlib.suppress(OSError):
                self._socket.sendall(reply)
            with self._changed:
                self.data += data
                self.times.append((time.monotonic(), len(self.data)))
                self.ended = not data
                self._changed.notify_all()
            if not data:
                return

    def say(self, data):
        self._socket.sendall(data if isinstance(data, bytes) else data.encode())

    def wait(self, count, what, seconds=SOON):
        """At least so many bytes."""
        with self._changed:
            expect(self._changed.wait_for(lambda: len(self.data) >= count or self.ended, seconds) and len(self.data) >= count,
                   f"{what}: {self.data!r}, ended: {self.ended}")
            return self.data

    def wait_data(self, wanted, what):
        with self._changed:
            expect(self._changed.wait_for(lambda: wanted in self.data or self.ended, SOON) and wanted in self.data,
                   f"{what}: no {wanted!r} in {self.data!r}")

    def wait_end(self, what):
        with self._changed:
            expect(self._changed.wait_for(lambda: self.ended, SOON), f"{what}: the connection stays")

    def ended_within(self, seconds):
        with self._changed:
            return self._changed.wait_for(lambda: self.ended, seconds)

    def close(self):
        self._socket.close()

    def vanish(self):
        """Gone with a reset."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.close()


def dial(port, source="127.0.0.1", answer=None):
    """A device that connects; it waits for a gateway that is not there yet."""
    def attempt():
        try:
            return socket.create_connection(("127.0.0.1", port), 5, (source, 0))
        except OSError:
            return None

    made = eventually(attempt, f"somebody listens on {port}")
    made.settimeout(None)
    return Link(made, answer)


class Host:
    """A device that is dialled, such as a serial server: takes what comes and remembers how many it had at a time."""

    def __init__(self, port, answer=None):
        self._answer = answer
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind(("127.0.0.1", port))
        self._socket.listen(8)
        self._changed = threading.Condition()
        self.links = []
        self.most = 0
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                made, _ = self._socket.accept()
            except OSError:
                return
            # What was ended before this one came may not be read yet.
            held = 1 + sum(1 for link in self.links if not link.ended_within(1))
            with self._changed:
                self.links.append(Link(made, self._answer))
                self.most = max(self.most, held)
                self._changed.notify_all()

    def wait_link(self, number):
        """The connection of that number, from 1."""
        with self._changed:
            if not self._changed.wait_for(lambda: len(self.links) >= number, SOON):
                raise Failure(f"{len(self.links)} connections came instead of {number}")
            return self.links[number - 1]
