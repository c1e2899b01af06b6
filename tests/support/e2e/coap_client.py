# SPDX-License-Identifier: Apache-2.0
"""A CoAP device over plain UDP: confirmable POSTs, one at a time, each repeated until its 2.04 is there (RFC 7252)."""

import os
import random
import select
import socket
import struct
import time

from harness import expect
from load import LoadDevice

CON, NON, ACK, RST = range(4)
EMPTY, POST, CHANGED, UNAVAILABLE = 0x00, 0x02, 0x44, 0xA3
URI_PATH, CONTENT_FORMAT, MAX_AGE = 11, 12, 14
JSON = 50

ACK_TIMEOUT = 2.0
# After the empty ACK the answer is a matter of a commit; a device gives up waiting for it at some time.
RESPONSE_TIMEOUT = 30.0


def encode(kind, code, mid, token=b"", options=(), payload=b""):
    message = bytearray(struct.pack(">BBH", 0x40 | kind << 4 | len(token), code, mid)) + token
    last = 0
    for number, value in sorted(options, key=lambda option: option[0]):
        message += _nibbles(number - last, len(value)) + value
        last = number
    return bytes(message + (b"\xff" + payload if payload else b""))


def _nibbles(delta, length):
    def split(value):
        if value < 13:
            return value, b""
        if value < 269:
            return 13, bytes([value - 13])
        return 14, struct.pack(">H", value - 269)

    (high, more_high), (low, more_low) = split(delta), split(length)
    return bytes([high << 4 | low]) + more_high + more_low


def decode(data):
    """(type, code, message id, token, {option: value}, payload) of a datagram."""
    first, code, mid = struct.unpack_from(">BBH", data)
    expect(first >> 6 == 1, "not CoAP version 1")
    at = 4 + (first & 15)
    token, options, number = data[4:at], {}, 0
    while at < len(data) and data[at] != 0xFF:
        delta, length = data[at] >> 4, data[at] & 15
        at += 1
        sizes = []
        for value in (delta, length):
            if value == 13:
                value, at = data[at] + 13, at + 1
            elif value == 14:
                value, at = struct.unpack_from(">H", data, at)[0] + 269, at + 2
            sizes.append(value)
        number += sizes[0]
        options.setdefault(number, data[at : at + sizes[1]])
        at += sizes[1]
    return first >> 4 & 3, code, mid, token, options, data[at + 1 :]


class CoapLoad(LoadDevice):
    """`copies` of each datagram are sent, as a network that repeats them would."""

    def __init__(self, device, port, path, rate=50, padding=0, copies=1):
        super().__init__(device, rate, window=1, padding=padding)
        self._copies = copies
        self._options = [(URI_PATH, part.encode()) for part in path.strip("/").split("/")]
        self._options.append((CONTENT_FORMAT, bytes([JSON])))
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.connect(("127.0.0.1", port))
        self._socket.setblocking(False)
        self._wake_in, self._wake_out = socket.socketpair()
        self._wake_in.setblocking(False)
        self._mid = random.randrange(65536)
        self._died = False
        self.connects = 1

    def gateway_died(self):
        self._died = True
        self.wake()

    def wake(self):
        self._wake_out.send(b"!")

    def converse(self):
        while not self._ended:
            payload = self.next_payload()
            if payload is None:
                try:
                    self._wait(self.pause())
                except ConnectionRefusedError:  # what our last acknowledgement met
                    pass
                continue
            self._died = False
            while not self._ended and not self._post(payload):
                pass
            self.acknowledge_to(self.sent)
        self._socket.close()

    def _wait(self, seconds):
        """The next datagram, or nothing after that time or after a wake."""
        readable, _, _ = select.select([self._socket, self._wake_in], [], [], max(0.0, seconds))
        if self._wake_in in readable:
            self._wake_in.recv(64)
        if self._socket not in readable:
            return None
        try:
            return self._socket.recv(65536)
        except BlockingIOError:
            return None

    def _send(self, message):
        try:
            for _ in range(self._copies):
                self._socket.send(message)
            return True
        except ConnectionRefusedError:  # what the previous datagram met
            return False

    def _post(self, payload):
        """One exchange; true when the message is the gateway's, false when it must be sent again as a new request."""
        self._mid = (self._mid + 1) % 65536
        token = os.urandom(4)
        request = encode(CON, POST, self._mid, token, self._options, payload)
        timeout = ACK_TIMEOUT * random.uniform(1, 1.5)
        resend_at = 0.0
        confirmed = False
        give_up = time.monotonic() + RESPONSE_TIMEOUT
        while not self._ended:
            now = time.monotonic()
            if self._died:
                self._died = False
                self.repeats += 1
                return False
            if now >= give_up:
                self.repeats += 1
                self.unexplained_repeats += 1
                return False
            if not confirmed and now >= resend_at:
                self._send(request)
                resend_at, timeout = now + timeout, timeout * 2
            try:
                data = self._wait((give_up if confirmed else min(resend_at, give_up)) - now)
            except ConnectionRefusedError:
                # Nobody listens: the gateway is on its way back. Earlier than the timer, to keep up the load.
                time.sleep(0.02)
                resend_at, timeout = 0.0, ACK_TIMEOUT
                continue
            if not data:
                continue
            kind, code, mid, answer_token, options, _ = decode(data)
            if kind == CON:
                self._send(encode(ACK, EMPTY, mid))
            if kind == ACK and mid == self._mid and code == EMPTY:
                confirmed = True
            elif code != EMPTY and answer_token == token:
                if code == CHANGED:
                    return True
                expect(code == UNAVAILABLE, f"the gateway answered {code >> 5}.{code & 31:02d}")
                self.refusals += 1
                self._retry_later(int.from_bytes(options.get(MAX_AGE, b"\x3c"), "big"))
                return False
            elif kind == RST and mid == self._mid:
                return False
        return False

    def _retry_later(self, seconds):
        until = time.monotonic() + seconds
        while not self._ended and not self._died and time.monotonic() < until:
            try:
                data = self._wait(until - time.monotonic())
            except ConnectionRefusedError:
                return
            if data and decode(data)[0] == CON:
                self._send(encode(ACK, EMPTY, decode(data)[2]))
