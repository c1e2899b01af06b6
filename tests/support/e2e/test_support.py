#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The scenarios' judgement finds what it is there to find, and the device clients speak their protocols."""

import os
import sys
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import coap_client  # noqa: E402
import mqtt_client  # noqa: E402
from harness import Failure  # noqa: E402
from load import check_arrivals  # noqa: E402


def arrivals(*pairs):
    return [{"body": f'{{"n":{number}}}', "message_id": ident} for number, ident in pairs]


class Judgement(unittest.TestCase):
    def test_each_message_once_and_in_order_is_right(self):
        result = check_arrivals("d", arrivals((1, "a"), (2, "b"), (3, "c")), 3, 0)
        self.assertEqual(result, {"messages": 3, "source repeats": 0, "gateway resends": 0})

    def test_a_lost_message_is_found(self):
        with self.assertRaisesRegex(Failure, "message 3 arrived first after 1"):
            check_arrivals("d", arrivals((1, "a"), (3, "c")), 3, 0)

    def test_a_lost_last_message_is_found(self):
        with self.assertRaisesRegex(Failure, "3 messages were acknowledged, the hub has 1 to 2"):
            check_arrivals("d", arrivals((1, "a"), (2, "b")), 3, 0)

    def test_a_wrong_order_is_found(self):
        with self.assertRaisesRegex(Failure, "arrived first after"):
            check_arrivals("d", arrivals((1, "a"), (3, "c"), (2, "b")), 3, 5)

    def test_a_resend_by_the_gateway_is_the_same_id_and_costs_nothing(self):
        result = check_arrivals("d", arrivals((1, "a"), (2, "b"), (1, "a"), (2, "b"), (3, "c")), 3, 0)
        self.assertEqual(result["gateway resends"], 2)

    def test_a_repeat_under_a_new_id_needs_a_source_that_repeated(self):
        records = arrivals((1, "a"), (2, "b"), (2, "x"), (3, "c"))
        self.assertEqual(check_arrivals("d", records, 3, 1)["source repeats"], 1)
        with self.assertRaisesRegex(Failure, "1 repeats under a new message-id"):
            check_arrivals("d", records, 3, 0)

    def test_one_id_for_two_messages_is_found(self):
        with self.assertRaisesRegex(Failure, "message-id a stands for 1 and for 2"):
            check_arrivals("d", arrivals((1, "a"), (2, "a")), 2, 0)

    def test_a_dead_letter_may_be_missing_and_its_repeat_may_come_late(self):
        records = arrivals((1, "a"), (4, "d"), (2, "x"), (5, "e"))
        result = check_arrivals("d", records, 5, 1, dead={2, 3})
        self.assertEqual(result["messages"], 5)
        with self.assertRaisesRegex(Failure, "arrived first after"):
            check_arrivals("d", arrivals((1, "a"), (3, "c"), (2, "b")), 3, 5, dead={4})

    def test_a_body_that_nobody_sent_is_found(self):
        with self.assertRaisesRegex(Failure, "never sent"):
            check_arrivals("d", [{"body": "?", "message_id": "a"}], 1, 0)


class Coap(unittest.TestCase):
    def test_a_request_reads_back(self):
        options = [(coap_client.URI_PATH, b"load"), (coap_client.CONTENT_FORMAT, b"\x32")]
        data = coap_client.encode(coap_client.CON, coap_client.POST, 0x1234, b"tok", options, b"{}")
        self.assertEqual(
            coap_client.decode(data), (coap_client.CON, coap_client.POST, 0x1234, b"tok", dict(options), b"{}")
        )

    def test_it_is_the_datagram_of_the_standard(self):
        # RFC 7252, figure 16: CON GET /temperature with message id 0x7d34
        self.assertEqual(
            coap_client.encode(coap_client.CON, 1, 0x7D34, b"", [(coap_client.URI_PATH, b"temperature")]),
            bytes.fromhex("40017d34bb") + b"temperature",
        )

    def test_long_options_take_the_extended_length(self):
        for length in (12, 13, 268, 269, 1000):
            data = coap_client.encode(0, 2, 1, b"", [(300, b"x" * length)], b"p")
            self.assertEqual(coap_client.decode(data)[4:], ({300: b"x" * length}, b"p"))


class Mqtt(unittest.TestCase):
    def test_packets_come_out_whole_however_they_are_cut(self):
        stream = mqtt_client.publish_packet("a/b", b"x" * 300, 7) + bytes([0x40, 2, 0, 9])
        for cut in range(len(stream)):
            buffer, packets = bytearray(), []
            for part in (stream[:cut], stream[cut:]):
                buffer += part
                while packet := mqtt_client.take_packet(buffer):
                    packets.append(packet)
            self.assertEqual([packet[0] for packet in packets], [mqtt_client.PUBLISH, mqtt_client.PUBACK])
            self.assertEqual(packets[0][2], b"\x00\x03a/b\x00\x07" + b"x" * 300)
            self.assertEqual(packets[1][2], b"\x00\x09")


if __name__ == "__main__":
    unittest.main()
