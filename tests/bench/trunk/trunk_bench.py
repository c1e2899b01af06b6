#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The trunk alone against the simulator: attach time and memory of many devices, idle CPU, renewals under load, bad
neighbours, devices that come and go. Prints numbers, never a verdict.

  TRUNKLINE_PREFIX=<prefix> TRUNKLINE_BENCH=<build>/tests/bench/trunk tests/bench/trunk/trunk_bench.py [attach renew bad churn]
"""

import argparse
import json
import os
import statistics
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "support", "e2e"))

from gateway import new_key  # noqa: E402
from harness import main, note  # noqa: E402
from hub import Hub  # noqa: E402

KEY = new_key()


def trunk(scenario, hub, *arguments, seconds=1200):
    done = scenario.run(
        [os.path.join(os.environ["TRUNKLINE_BENCH"], "trunkline-bench-trunk"), "--address", f"127.0.0.1:{hub.port}", "--host", hub.host,
         "--ca", hub.ca_file, "--key", KEY, *map(str, arguments)], seconds=seconds)
    return json.loads(done.stdout)


def fresh_hub(scenario, devices):
    hub = Hub(scenario, {}, arguments=["--record", "count"])
    for i in range(devices):
        hub.ask("add_device", device=f"bench-{i}", key=KEY)
    return hub


def attach(scenario, options):
    for devices in (100, 1000, 5000):
        hub = fresh_hub(scenario, devices)
        for _ in range(options.rounds if devices == 1000 else 1):
            note("attach, 6 links a device: " + json.dumps(trunk(scenario, hub, "--mode", "attach", "--devices", devices,
                                                                 "--seconds", 10)))
        hub.process.terminate()


def renew(scenario, options):
    hub = fresh_hub(scenario, 1000)
    result = trunk(scenario, hub, "--mode", "load", "--devices", 1000, "--token-seconds", 30, "--seconds", options.seconds,
                   "--rate", 1000, "--per-connection", 1000)
    result["put_tokens_outstanding_max"] = hub.ask("status")["max_tokens_outstanding"]
    note("30 s tokens under load: " + json.dumps(result))
    hub.process.terminate()


FAULTS = ("wrong_key", "detach", "session", "withhold", "reject", "refuse_attach")


def trouble(hub, bad, stop):
    """Every kind of bad device, coming and going."""
    turn = 0
    while not stop.is_set():
        device = f"bench-{turn % bad}"
        kind = FAULTS[turn % len(FAULTS)]
        if kind == "wrong_key":
            hub.ask("refuse_token", device=device, status=401)
            hub.ask("expire_tokens", device=device)
        elif kind == "detach":
            hub.ask("detach", device=device, condition="amqp:internal-error")
        elif kind == "session":
            hub.ask("end_session", device=device, condition="amqp:session:window-violation")
        elif kind == "withhold":
            hub.ask("withhold", device=device, on=True)
        elif kind == "reject":
            hub.ask("refuse_messages", device=device, outcome="released", count=5)
        else:
            hub.ask("refuse_attach", device=device, condition="amqp:not-found", count=2)
        turn += 1
        if turn % 50 == 0:
            hub.ask("reset_faults")
        stop.wait(0.02)


def bad(scenario, options):
    hub = fresh_hub(scenario, 1000)
    ratios = []
    for pair in range(options.pairs):
        calm = trunk(scenario, hub, "--mode", "load", "--devices", 1000, "--per-connection", 1000, "--seconds", options.seconds)
        stop = threading.Event()
        thread = threading.Thread(target=trouble, args=(hub, 100, stop))
        thread.start()
        try:
            # Counts of the good 900 in both runs; in the calm one the bad 100 are merely idle company.
            stormy = trunk(scenario, hub, "--mode", "load", "--devices", 1000, "--per-connection", 1000, "--bad", 100,
                           "--seconds", options.seconds)
        finally:
            stop.set()
            thread.join()
            hub.ask("reset_faults")
        ratios.append(stormy["p99_ms"] / max(calm["p99_ms"], 1e-6))
        note(f"pair {pair + 1}: calm {json.dumps(calm)}")
        note(f"        stormy {json.dumps(stormy)}")
    note(f"p99 of healthy devices, stormy to calm: median ratio {statistics.median(ratios):.2f}")
    hub.process.terminate()


def churn(scenario, options):
    hub = fresh_hub(scenario, 3500)
    note("come and go: " + json.dumps(trunk(scenario, hub, "--mode", "churn", "--cycles", options.cycles,
                                              "--messages", options.messages)))
    hub.process.terminate()


def body(scenario):
    parser = argparse.ArgumentParser(description="trunk benchmark")
    parser.add_argument("what", nargs="*", default=["attach", "renew", "bad", "churn"])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--messages", type=int, default=0, help="through all cycles of churn")
    parser.add_argument("--cycles", type=int, default=10_000)
    options = parser.parse_args()
    started = time.monotonic()
    for what in options.what:
        {"attach": attach, "renew": renew, "bad": bad, "churn": churn}[what](scenario, options)
    note(f"took {time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    main("trunk_bench", body)
