# SPDX-License-Identifier: Apache-2.0
"""An MQTT 3.1.1 device that publishes with QoS 1 and knows which of its messages the broker has acknowledged."""

import select
import socket
import struct

from harness import SOON, Failure, expect
from load import LoadDevice

CONNACK, PUBLISH, PUBACK, SUBACK = 2, 3, 4, 9


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
