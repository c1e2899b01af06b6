# SPDX-License-Identifier: Apache-2.0
"""An MQTT 3.1.1 device that publishes with QoS 1 and knows which of its messages the broker has acknowledged."""

import select
import socket
import ssl
import struct

from harness import SOON, Failure, expect
from load import LoadDevice

CONNACK, PUBLISH, PUBACK, SUBACK, DISCONNECT = 2, 3, 4, 9, 14


def _text(value):
    data = value.encode()
    return struct.pack(">H", len(data)) + data


def _packet(first, body):
    length, head = len(body), bytearray([first])
    while True:
        length, digit = divmod(length, 128)
        head.append(digit | (128 if length else 0))
        if not length:
            return bytes(head) + body


def connect_packet(client_id):
    clean_session = 2
    return _packet(0x10, _text("MQTT") + bytes([4, clean_session]) + struct.pack(">H", 0) + _text(client_id))


def publish_packet(topic, payload, packet_id):
    return _packet(0x32, _text(topic) + struct.pack(">H", packet_id) + payload)


def take_packet(buffer):
    """Removes one whole packet from the front of the bytearray: (type, flags, body), or nothing."""
    length, shift, at = 0, 0, 1
    while True:
        if at >= len(buffer):
            return None
        digit = buffer[at]
        length |= (digit & 127) << shift
        shift += 7
        at += 1
        if not digit & 128:
            break
        expect(shift < 28, "the broker sent a remaining length of more than four bytes")
    if len(buffer) < at + length:
        return None
    first, body = buffer[0], bytes(buffer[at : at + length])
    del buffer[: at + length]
    return first >> 4, first & 15, body


class MqttLoad(LoadDevice):
    def __init__(self, device, port, topic, rate=100, window=20, padding=0):
        super().__init__(device, rate, window, padding)
        self._topic = topic
        self._buffer = bytearray()
        self._pending = {}  # packet id: number
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=SOON)
        self._socket.sendall(connect_packet(f"device-{device}"))
        kind, _, body = self._read_packet()
        expect(kind == CONNACK and body[1] == 0, f"{device}: the broker refused the connection: {body!r}")
        self.connects = 1

    def _read_packet(self):
        while True:
            packet = take_packet(self._buffer)
            if packet:
                return packet
            data = self._socket.recv(65536)
            if not data:
                raise Failure(f"{self.device}: the broker closed the connection")
            self._buffer += data

    def converse(self):
        unacknowledged = set()
        while not self._ended:
            while len(self._pending) < self.window:
                payload = self.next_payload()
                if payload is None:
                    break
                packet_id = self.sent % 65535 + 1
                self._pending[packet_id] = self.sent
                unacknowledged.add(self.sent)
                self._socket.sendall(publish_packet(self._topic, payload, packet_id))
            readable, _, _ = select.select([self._socket], [], [], self.pause() or 0.001)
            if not readable:
                continue
            kind, _, body = self._read_packet()
            while True:
                expect(kind == PUBACK, f"{self.device}: unexpected MQTT packet of type {kind}")
                unacknowledged.discard(self._pending.pop(struct.unpack(">H", body[:2])[0]))
                packet = take_packet(self._buffer)
                if not packet:
                    break
                kind, _, body = packet
            self.acknowledge_to(min(unacknowledged) - 1 if unacknowledged else self.sent)
        self._socket.close()


class Mqtt5:
    """A plain MQTT 5 client that says exactly what it is told, bytes included; over TLS with `ca_file`."""

    def __init__(self, port, client_id, user=None, password=None, ca_file=None):
        self.link = socket.create_connection(("127.0.0.1", port), timeout=SOON)
        if ca_file:
            self.link = ssl.create_default_context(cafile=ca_file).wrap_socket(self.link, server_hostname="127.0.0.1")
        self._buffer = bytearray()
        self._id = 0
        clean_start, with_login = 2, 0xC0
        flags = clean_start | (with_login if user else 0)
        body = _text("MQTT") + bytes([5, flags]) + struct.pack(">HB", 0, 0) + _text(client_id)
        if user:
            body += _text(user) + _text(password)
        self.link.sendall(_packet(0x10, body))
        kind, _, body = self.packet()
        expect(kind == CONNACK and body[1] == 0, f"{client_id}: the broker refused the connection: {body!r}")

    def packet(self):
        """The next one, or Failure at the end of the connection."""
        while True:
            packet = take_packet(self._buffer)
            if packet:
                return packet
            try:
                data = self.link.recv(65536)
            except (ConnectionResetError, ssl.SSLError):
                data = b""
            if not data:
                raise Failure("the broker closed the connection")
            self._buffer += data

    def send_publish(self, topic, payload):
        self._id = self._id % 65535 + 1
        topic = topic.encode() if isinstance(topic, str) else topic
        body = struct.pack(">H", len(topic)) + topic + struct.pack(">HB", self._id, 0) + payload
        self.link.sendall(_packet(0x32, body))

    def publish(self, topic, payload):
        """The reason code of the broker's answer; nothing when it closed the connection instead."""
        try:
            self.send_publish(topic, payload)
            while True:
                kind, _, body = self.packet()
                if kind == PUBACK:
                    return body[2] if len(body) > 2 else 0
                if kind == DISCONNECT:
                    return None
        except (Failure, OSError):
            return None

    def publish_all(self, messages, window=20):
        """Pairs of topic and payload; returns when all are acknowledged."""
        waiting = 0
        for topic, payload in messages:
            self.send_publish(topic, payload)
            waiting += 1
            while waiting >= window:
                waiting -= self.packet()[0] == PUBACK
        while waiting:
            waiting -= self.packet()[0] == PUBACK

    def subscribe(self, topic):
        """The reason code of the broker's answer."""
        self.link.sendall(_packet(0x82, struct.pack(">HB", 1, 0) + _text(topic) + bytes([1])))
        while True:
            kind, _, body = self.packet()
            if kind == SUBACK:
                return body[-1]

    def nothing_comes(self, seconds):
        """No PUBLISH in that time, and the connection stands."""
        self.link.settimeout(seconds)
        try:
            while self.packet()[0] != PUBLISH:
                pass
            return False
        except (TimeoutError, socket.timeout):
            return True
        finally:
            self.link.settimeout(SOON)
