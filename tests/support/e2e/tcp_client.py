# SPDX-License-Identifier: Apache-2.0
"""A TCP device: a line a reading, an ack line for each; sends again after a lost connection what lacks its ack."""

import collections
import select
import socket
import time

from load import LoadDevice

ACK = b"OK"


class TcpLoad(LoadDevice):
    """With `answer_commands` it also does what a line "CMD <id> <payload>" says and answers "DONE <id>"."""

    def __init__(self, device, port, rate=100, window=20, padding=0):
        super().__init__(device, rate, window, padding)
        self.port = port
        self.commands = []
        self.blocked = False  # the gateway reads no more
        self._unacknowledged = collections.deque()
        self._outgoing = b""
        self._incoming = b""

    def _connect(self):
        """Dials until the gateway listens: a device has nothing better to do."""
        while not self._ended:
            link = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            # Small, so that a gateway that stops reading is felt soon.
            link.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
            try:
                link.connect(("127.0.0.1", self.port))
            except OSError:
                link.close()
                time.sleep(0.02)
                continue
            link.setblocking(False)
            self.connects += 1
            self._incoming = b""
            self._outgoing = b"".join(self.payload(number) + b"\n" for number in self._unacknowledged)
            self.repeats += len(self._unacknowledged)
            return link
        return None

    def converse(self):
        link = self._connect()
        while not self._ended:
            while len(self._unacknowledged) < self.window and not self.blocked:
                payload = self.next_payload()
                if payload is None:
                    break
                self._unacknowledged.append(self.sent)
                self._outgoing += payload + b"\n"
            try:
                self._step(link)
            except OSError:
                link.close()
                link = self._connect()
        if link:
            link.close()

    def _step(self, link):
        if self._outgoing:
            try:
                self._outgoing = self._outgoing[link.send(self._outgoing) :]
            except BlockingIOError:
                pass
        self.blocked = bool(self._outgoing)
        wait = max(self.pause(), 0.001)
        readable, _, _ = select.select([link], [link] if self._outgoing else [], [], wait)
        if not readable:
            return
        data = link.recv(65536)
        if not data:
            raise ConnectionResetError("the gateway closed the connection")
        *lines, self._incoming = (self._incoming + data).split(b"\n")
        for line in lines:
            if line == ACK:
                self._unacknowledged.popleft()
            elif line.startswith(b"CMD "):
                _, ident, payload = line.split(b" ", 2)
                self.commands.append(payload.decode())
                self._outgoing += b"DONE " + ident + b"\n"
            else:
                raise ValueError(f"unexpected line {line!r}")
        self.acknowledge_to(self._unacknowledged[0] - 1 if self._unacknowledged else self.sent)
