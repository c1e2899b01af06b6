#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Queue mode: commands for devices that sleep are in the gateway's own care, through kill -9; in order, never after
their expiry, never more than may wait, and the ledger of them balances.

Two kill -9 in the middle; twice TRUNKLINE_KILL_ROUNDS for more."""

import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support", "e2e"))

from broker import Broker  # noqa: E402
from gateway import Gateway, new_key  # noqa: E402
from harness import eventually, expect, main, note  # noqa: E402
from hub import Hub  # noqa: E402
from sleepers import Lamp, Meter, Scale, Valve, accepted, commands_of, send, up  # noqa: E402

ROUNDS = int(os.environ.get("TRUNKLINE_KILL_ROUNDS", "1"))


def body(scenario):
    broker = Broker(scenario)
    coap_port = scenario.ports.take()
    keys = {name: new_key() for name in ("lamp-1", "meter-1", "valve-1", "scale-1", "scale-2")}
    hub = Hub(scenario, keys)
    hub.ask("limits", feedback_delay_ms=100)
    devices = [
        Lamp(scenario, "lamp-1", broker), Meter(scenario, "meter-1", coap_port), Valve(scenario, "valve-1", coap_port),
        Scale(scenario, "scale-1", scenario.ports.take()),
    ]
    small = Scale(scenario, "scale-2", scenario.ports.take(), "max_commands = 3\n")
    gateway = Gateway(
        scenario, hub, {one.device: one.map() for one in [*devices, small]}, keys, broker=broker, coap_port=coap_port
    )
    up(gateway)

    # Everybody sleeps; the service hears Success, for the commands are in our care.
    wanted = [f"do {number}" for number in range(3)]
    for device in devices:
        for text in wanted:
            accepted(hub, device.device, send(hub, device.device, text))
        accepted(hub, device.device, send(hub, device.device, "too late", ttl_ms=6_000))
    told = eventually(
        lambda: (lambda got: got if len(got) == 16 else None)(hub.ask("feedback")["records"]), "the feedback is there"
    )
    expect({record["status"] for record in told} == {"Success"}, f"the feedback is {told}")
    for device in devices:
        row = gateway.device_status(device.device)
        expect(row["presence"] == "away" and row["commands"]["kept"] >= 3, f"status says {row}")
    expect("commands kept" in gateway.cli("status", expected=None).stdout, "trunkline status shows what is kept")
    note("taken: 16 commands of four devices that sleep")

    for device in devices:
        eventually(lambda one=device: commands_of(gateway, one.device)["expired"] == 1, f"{device.device}: one expired")
    gateway.kill()
    up(gateway)
    for device in devices:
        book = commands_of(gateway, device.device)
        expect((book["taken"], book["waiting"], book["expired"]) == (4, 3, 1), f"after kill -9: {book}")
        expect(not device.commands, f"{device.device} slept and did {device.commands}")

    for device in devices:
        device.wake()
        eventually(lambda one=device: commands_of(gateway, one.device)["delivered"] == 3, f"{device.device} did all")
        device.sleep()
        expect(device.commands == wanted, f"{device.device} did {device.commands}")
        note(f"{device.device} ({device.protocol}): done in order when it came, after kill -9")

    # No more than may wait: the rest stays at the hub, without using up its deliveries.
    numbers = [send(hub, small.device, f"part {number}") for number in range(6)]
    for number in numbers[:3]:
        accepted(hub, small.device, number)
    time.sleep(1)  # nothing announces that nothing happens
    expect(gateway.device_status(small.device)["commands"]["kept"] == 3, "three are kept")
    expect(hub.ask("devices", device=small.device)["devices"][0]["queued"] == 3, "three wait at the hub")
    small.wake()
    for number in numbers:
        accepted(hub, small.device, number)
    eventually(lambda: len(small.commands) == 6, "it did all six")
    expect(small.commands == [f"part {number}" for number in range(6)], f"it did {small.commands}")
    small.sleep()
    note("bounded: three of six waited at the hub until there was room")

    # kill -9 while it takes and while it delivers.
    scale = devices[-1]
    for round_ in range(ROUNDS):
        scale.commands.clear()
        texts = [f"turn {round_}.{number}" for number in range(10)]
        sequences = [send(hub, scale.device, text) for text in texts]
        accepted(hub, scale.device, sequences[round_ % 5])
        gateway.kill()
        up(gateway)
        scale.wake()
        eventually(lambda: len(scale.commands) >= 2, "it does some")
        gateway.kill()
        up(gateway)
        for sequence in sequences:
            accepted(hub, scale.device, sequence)
        eventually(lambda: set(texts) <= set(scale.commands), f"{texts} are done: {scale.commands}")
        eventually(lambda: commands_of(gateway, scale.device)["waiting"] == 0, "nothing waits")
        scale.sleep()
        first = list(dict.fromkeys(scale.commands))
        expect(first == texts, f"out of order: {scale.commands}")
        expect(len(scale.commands) <= len(texts) + 1, f"more than one repeat for one kill: {scale.commands}")
        eventually(lambda: gateway.device_status(scale.device)["presence"] == "away", "it sleeps")
    note(f"{2 * ROUNDS} kill -9 while commands were taken and done: none lost, at most one repeat each")
    expect(gateway.process.terminate() == 0, "the gateway did not end with 0 at SIGTERM")


if __name__ == "__main__":
    main("75_stored_commands", body)
