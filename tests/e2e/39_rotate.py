#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`trunkline identity rotate` on a bad day: a hub that is dead, that refuses the key, that has no time, that dies in the
middle, between the two keys; a command that is killed, and one that another command overtakes. Nothing is lost: as long as
the hub has not said that the old key is none, the device has it."""

import json
import os
import signal
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support", "e2e"))

from gateway import Gateway, new_key  # noqa: E402
from harness import eventually, expect, main, note  # noqa: E402
from hub import Hub  # noqa: E402
from tcp_client import TcpLoad  # noqa: E402

DEVICE = "scale-2"


def body(scenario):
    first, second, third = new_key(), new_key(), new_key()
    hub = Hub(scenario, {})
    hub.ask("add_device", device=DEVICE, key=first, secondary_key=second)
    port = scenario.ports.take()
    text = f'[[device]]\nid = "{DEVICE}"\ntcp.listen = "127.0.0.1:{port}"\ntcp.ack = "OK\\n"\n'
    gateway = Gateway(scenario, hub, {DEVICE: text}, {DEVICE: first})

    def shown():
        return json.loads(gateway.cli("identity", "show", DEVICE, "--json").stdout)

    def begin(key):
        """The command, at work, and the file that its key is in."""
        path = os.path.join(scenario.folder, "fresh.key")
        with open(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            file.write(key + "\n")
        return scenario.start(
            f"rotate-{len(scenario.processes)}",
            [gateway.program, "identity", "rotate", DEVICE, "--key-file", path, "--config", gateway.config],
        )

    def rotate(key, expected, *words):
        process = begin(key)
        expect(process.wait() == expected, f"rotate says {process.lines}")
        said = "\n".join(process.lines)
        for word in words:
            expect(word in said, f"rotate does not say {word}: {said}")
        note(said)

    def asks(connections):
        eventually(lambda: hub.connections_ever() > connections and hub.ask("status")["connections"] > 0, "the hub is asked")

    before = shown()
    hub.ask("listen", mode="refuse")
    rotate(second, 1, "nothing was changed", "cannot be asked", "onnection refused")
    hub.ask("listen", mode="accept")
    rotate(third, 1, "nothing was changed", "refuses the new key")
    hub.ask("refuse_token", device=DEVICE, status=429)
    rotate(second, 1, "nothing was changed", "does not say now")
    hub.ask("refuse_token", device=DEVICE, status=0)

    hub.ask("cbs", device=DEVICE, mode="never")
    connections = hub.connections_ever()
    process = begin(second)
    asks(connections)
    hub.ask("drop", how="rst")
    expect(process.wait() == 1 and "went away before it answered" in process.lines[-1], f"rotate says {process.lines}")
    note(process.lines[-1])

    connections = hub.connections_ever()
    process = begin(second)
    asks(connections)
    process.kill()
    expect(shown() == before, f"something was changed: {before} {shown()}")
    note("killed while it asked: nothing was changed, nothing is locked")

    # Whoever disables the device meanwhile is not overruled, and a key that came meanwhile not overwritten.
    hub.ask("cbs", device=DEVICE, mode="delay", delay_ms=1500)
    connections = hub.connections_ever()
    process = begin(second)
    asks(connections)
    gateway.cli("identity", "add", DEVICE, "--key-file", "-", stdin=third + "\n")
    expect(process.wait() == 1 and "were changed meanwhile" in process.lines[-1], f"rotate says {process.lines}")
    gateway.cli("identity", "add", DEVICE, "--key-file", "-", stdin=first + "\n")

    # The hub takes the new key and is gone when it is asked for the old one.
    connections = hub.connections_ever()
    process = begin(second)
    asks(connections)
    gateway.cli("identity", "disable", DEVICE)
    hub.ask("listen", mode="refuse")
    expect(process.wait() == 0 and "stays as secondary, because nobody knows" in process.lines[-1], f"rotate says {process.lines}")
    note(process.lines[-1])
    now = shown()
    expect(now["secondary"] and not now["enabled"], f"the store has {now}")
    gateway.cli("identity", "enable", DEVICE)
    hub.ask("reset_faults")

    # Another primary key at the hub: the one before is none any more, the secondary works on and stays.
    gateway.cli("identity", "import", "-", stdin=f"id,primary,secondary\n{DEVICE},{first},{second}\n")
    hub.ask("remove_device", device=DEVICE)
    hub.ask("add_device", device=DEVICE, key=third, secondary_key=second)
    rotate(third, 0, "the secondary key stays, because the hub takes it")
    gateway.start()
    scale = TcpLoad(DEVICE, port, rate=50)
    scale.start()
    scale.wait_acknowledged(5)
    hub.wait_arrivals(DEVICE, 5)
    # The primary is taken away: the secondary that was kept is the right one.
    hub.ask("remove_device", device=DEVICE)
    hub.ask("add_device", device=DEVICE, key=first, secondary_key=second)
    eventually(lambda: gateway.metric("device_key_switches_total") == 1, "it goes on with its secondary key")
    scale.finish()
    eventually(lambda: gateway.status()["safety"]["waiting"] == 0, "all of it is at the hub")
    os.kill(gateway.process.pid, signal.SIGTERM)
    expect(gateway.process.wait() == 0, "the gateway did not end with 0 at SIGTERM")


if __name__ == "__main__":
    main("39_rotate", body)
