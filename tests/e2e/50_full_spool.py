#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The hub goes silent until the spool is full: back pressure in each protocol's words, a command without a deadlock,
and all flows again when the hub settles; sampled every 100 ms, the spool never passes its cap [D-01 D-06 C-01].

TRUNKLINE_OVERLOAD_SECONDS (3) is how long the overload lasts once the spool is full."""

import os
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support", "e2e"))

from harness import SOON, eventually, expect, main, note  # noqa: E402
from plant import MQTT, Plant  # noqa: E402
from real_devices import tool  # noqa: E402

CAP = 2 * 1024 * 1024
OVERLOAD = float(os.environ.get("TRUNKLINE_OVERLOAD_SECONDS", "3"))


def body(scenario):
    # Big messages, so that sockets and spool are full soon.
    plant = Plant(
        scenario, rates=(200, 100, 200), window=2000, padding=2000, spool=f'max_bytes = "{CAP // 1024}KiB"\ndevice_share = "100%"\n'
    )
    done = threading.Event()
    commands = []
    server = ["-h", "127.0.0.1", "-p", str(plant.broker.port), "-q", "1"]

    def obey(payload):
        commands.append(payload)
        scenario.run([tool("mosquitto_pub"), *server, "-t", "load/cmd/done", "-m", "done"])
        done.set()

    scenario.start("commands", [tool("mosquitto_sub"), *server, "-i", "commands", "-t", "load/cmd"], echo=obey)
    plant.broker.wait_subscribed("commands", ["load/cmd"])
    plant.start_load()
    for device in plant.devices:
        plant.hub.wait_arrivals(device.device, 20)

    watch = DiskWatch(plant)
    watch.start()
    plant.hub.ask("withhold", on=True)
    note("the hub settles nothing from now on")
    eventually(lambda: plant.coap.refusals > 0, "CoAP: 5.03", 3 * SOON)
    note("CoAP: 5.03 with Max-Age")
    eventually(Standstill(plant.tcp), "TCP: the gateway reads no more", 3 * SOON, 0.1)
    note("TCP: the gateway reads no more")
    held = eventually(lambda: _held(plant), "MQTT: the broker holds messages for the gateway", 3 * SOON, 0.5)
    note(f"MQTT: the broker holds {held} messages")
    used = _disk(plant)
    status = plant.gateway.status()
    note(f"spool: {used} bytes on disk of {CAP}; status: {status['verdict']}, {status['safety']}")
    expect(used <= CAP, f"the spool takes {used} bytes of at most {CAP}")
    expect(status["verdict"] != "ok", "status says ok with a full spool")

    # The broker keeps for us all that is said meanwhile, and the answer to the command will stand behind it.
    plant.mqtt.set_rate(10)
    end = time.monotonic() + OVERLOAD
    while time.monotonic() < end:  # now and then a little room, which is taken at once
        plant.hub.ask("withhold", on=False)
        plant.hub.ask("withhold", on=True)
        time.sleep(0.5)

    sequence = plant.hub.send_command(MQTT, "open")
    note("a command is on its way to the MQTT device while the arrival callback waits")
    # It is with the daemon, or was already given back in time, before anything is settled.
    taken = eventually(lambda: _delivered(plant, sequence), "the command reaches the gateway")
    note(f"the hub has it as {taken['state']}, delivered {taken['delivery_count']} times")
    expect(plant.gateway.status() is not None, "the gateway does not answer with a full spool")
    plant.hub.ask("withhold", on=False)
    note("the hub settles again")
    expect(done.wait(3 * SOON), "the command never reached the MQTT device")
    state = plant.hub.wait_outcome(MQTT, sequence, 3 * SOON)
    expect(state == "completed", f"the command ended as {state}")
    expect("open" in commands, f"the device was told {commands}")
    plant.wait_progress(10, 3 * SOON)
    plant.drain(5 * SOON)
    plant.check()
    watch.ended.set()
    watch.join()
    note(f"the spool took at most {watch.most} of {CAP} bytes in {watch.samples} samples, journal included")
    expect(watch.samples >= 10 * OVERLOAD, f"only {watch.samples} samples")
    expect(watch.most <= CAP, f"the spool took {watch.most} bytes of at most {CAP}")
    expect(plant.gateway.starts == 1 and plant.gateway.process.running(), "the gateway was restarted")


class DiskWatch(threading.Thread):
    """Looks at the spool's files every 100 ms."""

    def __init__(self, plant):
        super().__init__(daemon=True)
        self._plant = plant
        self.most = 0
        self.samples = 0
        self.ended = threading.Event()

    def run(self):
        while not self.ended.wait(0.1):
            self.most = max(self.most, _disk(self._plant))
            self.samples += 1


class Standstill:
    """True once the device could neither send nor was acknowledged for twenty looks in a row."""

    def __init__(self, device):
        self._device = device
        self._acknowledged = -1
        self._looks = 0

    def __call__(self):
        device = self._device
        if device.blocked and device.acknowledged == self._acknowledged:
            self._looks += 1
        else:
            self._looks = 0
        self._acknowledged = device.acknowledged
        return self._looks >= 20


def _delivered(plant, sequence):
    record = plant.hub.ask("command", device=MQTT, sequence=sequence)
    return record if record["delivery_count"] > 0 or record["state"] == "locked" else None


def _held(plant):
    """What the broker has acknowledged to the device and not yet had acknowledged by the gateway."""
    lines = plant.broker.process
    taken = lines.count_lines(r"Received PUBLISH from device-load-mqtt ")
    given = lines.count_lines(r"Received PUBACK from trunkline ")
    return taken - given if taken - given > 100 else 0


def _disk(plant):
    folder = os.path.join(plant.gateway.state, "spool")
    sizes = 0
    for name in os.listdir(folder):
        try:
            sizes += os.path.getsize(os.path.join(folder, name))
        except FileNotFoundError:
            pass  # a journal that has just ended
    return sizes


if __name__ == "__main__":
    main("50_full_spool", body)
