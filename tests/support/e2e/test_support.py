#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The scenarios' judgement finds what it is there to find, and the device clients speak their protocols."""

import json
import os
import sys
import types
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import books  # noqa: E402
import coap_client  # noqa: E402
import mqtt_client  # noqa: E402
from harness import Failure  # noqa: E402
from load import check_arrivals  # noqa: E402


def arrivals(*pairs):
    return [{"body": f'{{"n":{number}}}', "message_id": ident} for number, ident in pairs]


class StillGateway:
    """A gateway at rest that says what it is told to say."""

    starts = 1

    def __init__(self, received, accepted, booked, waiting=0, sent=None):
        self._metrics = (f"trunkline_received_total {received}\ntrunkline_uplink_accepted_total {accepted}\n"
                         f"trunkline_uplink_sent_total {accepted if sent is None else sent}\n")
        self._ledger = json.dumps({"total": {**booked, "waiting": 0, "unaccounted": 0, "dropped": {}}})
        self._status = json.dumps({"safety": {"waiting": waiting, "unsettled": 0}})

    def get(self, path):
        return 200, self._metrics if path == "/metrics" else self._status

    def cli(self, *_):
        return types.SimpleNamespace(stdout=self._ledger)


class StillHub:
    def __init__(self, arrivals, faulted=False):
        self._arrivals, self.faulted = arrivals, faulted
        self.process = types.SimpleNamespace(running=lambda: True)

    def counts_for(self, _):
        return True

    def ask(self, _):
        return {"devices": [{"device": "a", "arrivals": self._arrivals}, {"device": "of another", "arrivals": 99}]}


class ThreeBooks(unittest.TestCase):
    @staticmethod
    def difference(gateway, hub, baseline=None):
        return books.Books(gateway, hub, ["a"], baseline or {})._difference()

    def test_equal_counts_agree(self):
        self.assertIsNone(self.difference(StillGateway(7, 5, {"received": 7, "accepted": 5}), StillHub(5)))

    def test_what_an_earlier_life_booked_is_taken_off(self):
        gateway = StillGateway(7, 5, {"received": 17, "accepted": 11})
        self.assertIsNone(self.difference(gateway, StillHub(5), {"received": 10, "accepted": 6}))

    def test_a_message_that_only_the_metrics_know_is_found(self):
        self.assertIn("received", self.difference(StillGateway(8, 5, {"received": 7, "accepted": 5}), StillHub(5)))

    def test_a_message_that_only_the_ledger_knows_is_found(self):
        self.assertIn("accepted", self.difference(StillGateway(7, 5, {"received": 7, "accepted": 6}), StillHub(5)))

    def test_a_message_that_the_hub_does_not_have_is_found(self):
        self.assertIn("the hub has 4", self.difference(StillGateway(7, 5, {"received": 7, "accepted": 5}), StillHub(4, True)))

    def test_a_repeat_needs_a_fault_of_the_hub(self):
        gateway = StillGateway(7, 5, {"received": 7, "accepted": 5}, sent=6)
        self.assertIn("the hub has 6", self.difference(gateway, StillHub(6)))
        self.assertIsNone(self.difference(gateway, StillHub(6, faulted=True)))
        self.assertIn("the hub has 7", self.difference(gateway, StillHub(7, faulted=True)))


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
