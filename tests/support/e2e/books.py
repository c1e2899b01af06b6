# SPDX-License-Identifier: Apache-2.0
"""Three counts of the same messages, each made by somebody else: the metrics of one process life, the ledger, and the hub (D-05)."""

import json
import re

from harness import Failure, eventually, expect, note

# Each counter of /metrics, and the ledger's word for the same.
PAIRS = (
    ("received_total", "received"),
    ("uplink_accepted_total", "accepted"),
    ('dropped_total{reason="expired"}', "expired"),
    ('dropped_total{reason="drop_newest"}', "drop_newest"),
    ('dropped_total{reason="drop_oldest"}', "drop_oldest"),
)


def parse_metrics(text):
    return {name: float(value) for name, value in re.findall(r"^trunkline_(\S+) (\S+)$", text, re.M)}


def ledger_total(text):
    """The total of `trunkline ledger --json`, its drops beside the others."""
    total = json.loads(text)["total"]
    return {**total, **total.get("dropped", {})}


class Books:
    """Of one gateway process: `baseline` is what the ledger said before it started."""

    def __init__(self, gateway, hub, devices, baseline):
        self._gateway = gateway
        self._hub = hub
        self._devices = devices
        self._baseline = baseline

    def check(self):
        """While it runs, under load or not; waits for what is on its way from one count to the other."""
        last = ["nothing was compared"]

        def agree():
            last[0] = self._difference()
            return last[0] is None

        try:
            eventually(agree, "metrics, ledger and hub agree", 30, 0.3)
        except Failure:
            raise Failure(f"metrics, ledger and hub do not agree: {last[0]}") from None

    def _difference(self):
        # Every counter only grows, so the ledger lies between two looks at the metrics.
        before = parse_metrics(self._gateway.get("/metrics")[1])
        status = json.loads(self._gateway.get("/status.json")[1])
        safety = status["safety"]
        ledger = ledger_total(self._gateway.cli("ledger", "--json").stdout)
        at_hub = self._at_hub({one["id"] for one in status.get("devices", [])})
        after = parse_metrics(self._gateway.get("/metrics")[1])
        expect("received_total" in after, "the metrics do not count what came in")
        # What is not safe yet stands in no book.
        pending = max(0, safety.get("waiting", 0) - ledger.get("waiting", 0))
        for metric, word in PAIRS:
            booked = ledger.get(word, 0) - self._baseline.get(word, 0)
            low, high = before.get(metric, 0), after.get(metric, 0)
            # A disk that cannot be written holds up what was settled, too.
            short = low > booked + (pending if word == "received" else 0) and not safety.get("fault")
            if short or booked > high:
                return f"{metric} was {low:.0f} to {high:.0f}, the ledger says {booked} {word}, {pending} are not safe yet"
        if ledger.get("unaccounted", 0) != 0:
            return f"{ledger['unaccounted']} unaccounted"
        if at_hub is not None:
            least = before.get("uplink_accepted_total", 0)
            # On a good day each comes once; on a bad one it may come as often as it was sent.
            most = after.get("uplink_sent_total", 0)
            if not self._hub.faulted:
                most = min(most, after.get("uplink_accepted_total", 0) + safety.get("unsettled", 0))
            if not least <= at_hub <= most:
                return f"the hub has {at_hub}, accepted are {least:.0f} to {most:.0f}"
        note(f"metrics, ledger and hub agree: {after['received_total']:.0f} received, "
             f"{after.get('uplink_accepted_total', 0):.0f} accepted, {'not asked' if at_hub is None else at_hub} at the hub")
        return None

    def _at_hub(self, added):
        """What the simulator has of these devices, if nobody else brings it messages of theirs and it lived as long."""
        if not self._hub.process.running() or not self._hub.counts_for(self._gateway) or self._gateway.starts > 1:
            return None
        wanted = added.union(self._devices)
        return sum(one["arrivals"] for one in self._hub.ask("devices")["devices"] if one["device"] in wanted)
