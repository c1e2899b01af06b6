# SPDX-License-Identifier: Apache-2.0
"""What all load devices share: a counter in every payload and exact knowledge of what was acknowledged."""

import json
import threading
import time

from harness import SOON, Failure, expect


class LoadDevice(threading.Thread):
    """Sends {"n": 1}, {"n": 2}, … at a steady rate with at most `window` unacknowledged, until told to finish.

    `acknowledged` is the number of the last message such that it and all earlier ones were acknowledged. `repeats`
    counts the messages that the device itself sent again because it cannot know whether they arrived.  `padding` is the text of a second member, or how long it is.
    """

    def __init__(self, device, rate, window, padding=0):
        super().__init__(name=device, daemon=True)
        self.device = device
        self.window = window
        self.sent = 0
        self.acknowledged = 0
        self.repeats = 0
        self.unexplained_repeats = 0
        self.connects = 0
        self.refusals = 0
        self.error = None
        self._interval = 1 / rate
        self._padding = padding if isinstance(padding, str) else "x" * padding
        self._next = time.monotonic()
        self._changed = threading.Condition()
        self._finishing = False
        self._ended = False

    # -- for the scenario

    def wait_acknowledged(self, number, seconds=SOON):
        deadline = time.monotonic() + seconds
        with self._changed:
            while self.acknowledged < number:
                self._check()
                left = deadline - time.monotonic()
                expect(left > 0, f"{self.device}: {self.acknowledged} of {number} acknowledged within {seconds:.0f} s")
                self._changed.wait(left)

    def set_rate(self, rate):
        self._interval = 1 / rate

    def finish(self, seconds=SOON):
        """No new messages; returns when everything that was sent is acknowledged."""
        self._finishing = True
        self.wake()
        self.wait_acknowledged(self.sent, seconds)
        self._ended = True
        self.wake()
        self.join(seconds)
        self._check()
        expect(not self.is_alive(), f"{self.device}: the load device did not end")

    def gateway_died(self):
        """The scenario killed the gateway; a device that sees no connection is told here."""

    def wake(self):
        """Ends a wait of the device's thread, if it has a wait that needs it."""

    # -- for the protocols

    def run(self):
        try:
            self.converse()
        except Exception as error:  # pylint: disable=broad-except
            with self._changed:
                self.error = error
                self._changed.notify_all()

    def converse(self):
        raise NotImplementedError

    def next_payload(self):
        """The next new message, or nothing if it is not time for one yet."""
        if self._finishing or time.monotonic() < self._next:
            return None
        # A device that was held up goes on at its rate; it does not catch up.
        self._next = max(self._next + self._interval, time.monotonic())
        self.sent += 1
        return self.payload(self.sent)

    def payload(self, number):
        value = {"n": number}
        if self._padding:
            value["pad"] = self._padding
        return json.dumps(value, separators=(",", ":")).encode()

    def pause(self):
        """Seconds until the next new message is due."""
        return 0.2 if self._finishing else min(0.2, max(0.0, self._next - time.monotonic()))

    def acknowledge_to(self, number):
        with self._changed:
            self.acknowledged = number
            self._changed.notify_all()

    def _check(self):
        if self.error:
            raise Failure(f"{self.device}: {type(self.error).__name__}: {self.error}")


def counter(body):
    """The counter in a payload as the hub recorded it, or nothing for the body of something else."""
    try:
        return json.loads(body)["n"]
    except (ValueError, KeyError, TypeError):
        return None


def check_arrivals(device, arrivals, sent, allowed_repeats, dead=()):
    """Every one of the `sent` messages arrived, first occurrences in order, the gateway's resends under one message-id.

    `arrivals` are the hub's records of that device in order. The same counter under another message-id is a repeat of
    the source; the same message-id again is a resend of the gateway. `dead` are the counters of its dead letters, which the
    hub has rejected and need not have; where the source repeated one, the repeat is a new message and comes later.
    """
    highest = 0
    passed = set()  # dead letters that were not seen up to now
    by_id = {}
    ids_of = {}
    resends = 0
    for arrival in arrivals:
        number, ident = counter(arrival["body"]), arrival["message_id"]
        expect(number is not None, f"{device}: a body at the hub that was never sent: {arrival['body']!r}")
        expect(ident, f"{device}: message {number} came without a message-id")
        if ident in by_id:
            expect(by_id[ident] == number, f"{device}: message-id {ident} stands for {by_id[ident]} and for {number}")
            resends += 1
            continue
        by_id[ident] = number
        if number not in ids_of:
            while highest + 1 < number and highest + 1 in dead:
                highest += 1
                passed.add(highest)
            expect(
                number == highest + 1 or number in passed,
                f"{device}: message {number} arrived first after {highest}: lost or out of order",
            )
            passed.discard(number)
            highest = max(highest, number)
        ids_of.setdefault(number, []).append(ident)
    while highest + 1 in dead:
        highest += 1
    expect(highest == sent, f"{device}: {sent} messages were acknowledged, the hub has 1 to {highest}")
    repeats = len(by_id) - len(ids_of)
    expect(
        repeats <= allowed_repeats,
        f"{device}: {repeats} repeats under a new message-id, but the source repeated at most {allowed_repeats}",
    )
    return {"messages": sent, "source repeats": repeats, "gateway resends": resends}
