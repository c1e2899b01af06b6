#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Many devices, a command each per second, while links, sessions and connections to the hub are lost at random: each
command has one outcome at the service side, none is done twice, and none reaches its device after its expiry.

40 devices for 8 s; 1000 for 5 minutes with TRUNKLINE_LONG=1, or as TRUNKLINE_LOAD="DEVICES SECONDS" says."""

import asyncio
import collections
import json
import os
import random
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support", "e2e"))

from gateway import Gateway, new_key  # noqa: E402
from harness import SOON, eventually, expect, main, note  # noqa: E402
from hub import Conversation, Hub  # noqa: E402

LIFETIME_S = 5
LONG = os.environ.get("TRUNKLINE_LONG") == "1"
DEVICES, SECONDS = (int(part) for part in os.environ.get("TRUNKLINE_LOAD", "1000 300" if LONG else "40 8").split())


class Fleet(threading.Thread):
    """The devices' ends of their lines, on one event loop: each does what it is told at once."""

    def __init__(self, ports):
        super().__init__(daemon=True)
        self.ports = ports
        self.done = collections.defaultdict(list)  # (device, body): wall times
        self.connected = 0
        self.worst_lag = 0.0
        self._ended = None

    def run(self):
        asyncio.run(self._live())

    async def _live(self):
        self._loop, self._ended = asyncio.get_running_loop(), asyncio.Event()
        lines = [asyncio.create_task(self._line(device, port)) for device, port in self.ports.items()]
        lines.append(asyncio.create_task(self._watch()))
        await self._ended.wait()
        for line in lines:
            line.cancel()

    async def _watch(self):
        """How late this loop runs: what it sees late may have come in time."""
        while True:
            before = time.monotonic()
            await asyncio.sleep(0.05)
            self.worst_lag = max(self.worst_lag, time.monotonic() - before - 0.05)

    async def _line(self, device, port):
        while True:
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.1)
                continue
            self.connected += 1
            while line := await reader.readline():
                _, ident, body = line.decode().rstrip("\n").split(" ", 2)
                self.done[device, body].append(time.time())
                writer.write(f"DONE {ident}\n".encode())

    def end(self):
        self._loop.call_soon_threadsafe(self._ended.set)
        self.join()


def body(scenario):
    names = [f"valve-{number}" for number in range(DEVICES)]
    ports = {name: scenario.ports.take() for name in names}
    keys = {name: new_key() for name in names}
    hub = Hub(scenario, {})
    for name in names:
        hub.ask("add_device", device=name, key=keys[name])
    text = "".join(
        f"""[[device]]
id = "{name}"
command_timeout = "2s"
tcp.listen = "127.0.0.1:{ports[name]}"
tcp.command = {{ send = "CMD {{id}} {{payload}}\\n", reply = "DONE {{id}}" }}
"""
        for name in names
    )
    gateway = Gateway(scenario, hub, {"valves": text}, keys, hub_table='attach_rate = "off"')
    gateway.start()
    fleet = Fleet(ports)
    fleet.start()
    eventually(lambda: fleet.connected >= DEVICES, "every device is connected")
    hub.ask("limits", feedback_delay_ms=500)

    chance = random.Random(7)
    troubles = collections.Counter()
    sent, refused, slow = {}, 0, 0
    service = Conversation(hub.control_path)
    hub.faulted = True  # links drop at random, asked for over this conversation
    told = collections.defaultdict(set)  # message id: what the service was told of it, and when

    def hear():
        """The simulator remembers the last 100 000 records only."""
        for record in service.ask("feedback", 3 * SOON)["records"]:
            told[record["message_id"]].add((record["status"], record["time"]))

    started = time.monotonic()
    for second in range(SECONDS):
        requests = [
            {"op": "enqueue", "device": name, "body": f"turn {second}", "message_id": f"{name}/{second}", "ack": "full",
             "ttl_ms": LIFETIME_S * 1000}
            for name in names
        ]
        for name, answer in zip(names, service.ask_all(requests)):
            number = f"{name}/{second}"
            if "error" in answer:  # a queue of 50 that is full is the hub's own word to the service
                full = answer["error"]
                expect("full" in full or "depth" in full, f"{number}: {full}")
                refused += 1
            else:
                sent[number] = (name, answer["sequence"], time.time() + LIFETIME_S)
        trouble = chance.choice(("none", "none", "detach", "detach", "end_session", "drop"))
        troubles[trouble] += 1
        if trouble == "drop":
            hub.ask("drop", how=chance.choice(("rst", "tcp", "close")))
        elif trouble != "none":
            for name in chance.sample(names, max(1, DEVICES // 20)):
                hub.ask(trouble, device=name, condition="amqp:internal-error")
        if (second + 1) * DEVICES % 40_000 == 0:
            hear()
        left = started + second + 1 - time.monotonic()
        slow += left < 0
        time.sleep(max(0.0, left))  # the pace of the service
    took = time.monotonic() - started

    ends = collections.Counter()
    waits = [
        {"op": "wait_outcome", "device": name, "sequence": sequence, "timeout_ms": int(3000 * SOON)}
        for name, sequence, _ in sent.values()
    ]
    for answer in service.ask_all(waits, 3 * SOON):
        ends[answer.get("state", answer.get("error"))] += 1
    # Rejected is one that expired between the hub and the gateway.
    expect(set(ends) <= {"completed", "expired", "rejected", "delivery_count_exceeded"}, f"strange ends: {dict(ends)}")
    expect(ends["completed"] > len(sent) // 2, f"too few commands were done: {dict(ends)}")

    def all_told():
        hear()
        return len(told) >= len(sent)

    eventually(all_told, "the service has an outcome of each command", 3 * SOON, 0.5)
    expect(set(told) == set(sent), "the service was told of a command that it did not send")
    expect(all(len(words) == 1 for words in told.values()), "a command has more than one outcome")
    outcome = {ident: next(iter(words))[0] for ident, words in told.items()}

    slack = 0.25 + fleet.worst_lag
    late, twice, lied = [], [], []
    for number, (name, _, expires) in sent.items():
        times = fleet.done.get((name, f"turn {number.rsplit('/', 1)[1]}"), [])
        late += [number for at in times if at > expires + slack]
        twice += [number] if len(times) > 1 else []
        lied += [number] if outcome[number] == "Success" and not times else []
    fleet.end()
    expect(not lied, f"accepted and not done: {lied[:5]}")
    expect(not late, f"reached the device after its expiry: {late[:5]}")
    note(
        json.dumps(
            {
                "devices": DEVICES, "seconds": SECONDS, "commands": len(sent), "queue_full": refused, **ends,
                "took_s": round(took, 1), "seconds_behind": slow, "done_twice": len(twice), "troubles": dict(troubles), "worst_lag_s": round(fleet.worst_lag, 3),
            }
        )
    )
    expect(not twice, f"done twice: {twice[:5]}")


if __name__ == "__main__":
    main("73_command_load", body)
