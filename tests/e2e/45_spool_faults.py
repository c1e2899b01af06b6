#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The spool's disk on a bad day: full, failing, read-only, locked by another program, not ours; and a second gateway. Each time
devices are held back in their protocol's words, health and status say why and what to do, work resumes alone when the cause is
gone (or after the start that the text asks for), and nothing acknowledged is lost [D-01 D-02 D-05 D-06].

The disk is an ext4 on a loop device where root may have one; TRUNKLINE_LONG=1 plays every error by the shim, too. What then stands in gateway-*.log is in packaging/OPERATIONS.md.
"""

import os
import re
import sqlite3
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support", "e2e"))

from faults import LoopDisk, Shim  # noqa: E402
from harness import SOON, eventually, expect, main, note  # noqa: E402
from plant import Plant  # noqa: E402

LONG = os.environ.get("TRUNKLINE_LONG") == "1"


def body(scenario):
    os.chmod(scenario.folder, 0o755)  # for the gateway that runs as another user
    disk = LoopDisk.make(scenario, 24)
    spool = os.path.join(disk.folder if disk else scenario.folder, "spool")
    shim = Shim(scenario, spool)
    plant = Plant(
        scenario, rates=(100, 50, 100), padding=200, spool='max_bytes = "16MiB"\ndevice_share = "100%"\n', spool_directory=spool, env=shim.env
    )
    plant.start_load()
    plant.wait_progress(5)
    ends = 0

    second_gateway(plant)
    locked_while_running(plant)
    if disk:
        full(plant, disk)
    else:
        note("not run here: a full and a read-only file system (needs root, mkfs.ext4 and a loop device)")
    failures = [("EROFS", "Read-only file system")]
    if LONG or not disk:
        failures += [("EIO", "Input/output error"), ("ENOSPC", "full")]
    for error, words in failures:
        failing(plant, shim, error, words)
    if disk and read_only(plant, disk):
        ends += 1
    plant.gateway.process.terminate()
    ends += 1
    told_ends(plant)
    locked_at_start(plant)
    not_ours(plant)
    plant.gateway.start()
    plant.wait_progress(5)
    plant.drain()
    plant.check(kills=ends)
    plant.check_ledger()


def told_ends(plant):
    for device in plant.devices:
        device.gateway_died()


def second_gateway(plant):
    status, text = plant.gateway.start_in_vain()
    note(f"a second gateway: exit status {status}: {text}")
    expect(status == 1 and "another trunkline uses this spool" in text, "the second gateway does not say why it ends")
    plant.wait_progress(5)


def locked_while_running(plant):
    """The gateway holds the file for itself, so another program is refused."""
    other = sqlite3.connect(os.path.join(plant.gateway.spool, "spool.db"), timeout=0.2)
    try:
        other.execute("BEGIN EXCLUSIVE")
        refused = ""
    except sqlite3.OperationalError as error:
        refused = str(error)
    finally:
        other.close()
    expect("locked" in refused, f"another program was let into the spool of a running gateway: {refused!r}")
    plant.wait_progress(5)


def full(plant, disk):
    plant.hub.ask("withhold", on=True)  # what waits must be written now
    log_from = len(plant.gateway.process.lines)
    disk.fill()
    held_back(plant, "a full file system", "full", log_from)
    log_from = len(plant.gateway.process.lines)
    disk.empty()
    plant.hub.ask("withhold", on=False)
    resumes(plant)
    found, _ = plant.gateway.process.wait_line("spool_commit_recovered .*", start=log_from)
    note(f"a full file system: log: {found.group(0)}")


def failing(plant, shim, error, words):
    plant.hub.ask("withhold", on=True)
    log_from = len(plant.gateway.process.lines)
    shim.disk(error)
    held_back(plant, error, words, log_from)
    shim.disk()
    plant.hub.ask("withhold", on=False)
    resumes(plant)


def read_only(plant, disk):
    """True if the gateway had to be started anew for it: its descriptors stand in the way of the repair."""
    plant.hub.ask("withhold", on=True)
    log_from = len(plant.gateway.process.lines)
    if not disk.turn_read_only():
        plant.hub.ask("withhold", on=False)
        note("not run here: a file system that the kernel makes read-only (no trigger_fs_error)")
        return False
    held_back(plant, "a file system that the kernel made read-only", "Read-only file system", log_from)
    plant.hub.ask("withhold", on=False)
    plant.gateway.process.terminate()
    told_ends(plant)
    disk.unmount()
    expect(disk.mount(), "the repaired disk cannot be mounted")
    plant.gateway.start()
    resumes(plant)
    return True


def held_back(plant, what, words, log_from):
    """Until status, readiness and the log (from that line on) say it; then nothing is acknowledged any more."""
    gateway = plant.gateway

    def told():
        status = gateway.status()
        return status if status["verdict"] == "failed" else None

    status = eventually(told, f"{what}: status says failed")
    expect("the spool cannot be written" in status["reason"], f"{what}: the reason is {status['reason']!r}")
    expect(words in status["reason"], f"{what}: {words!r} is not in {status['reason']!r}")
    expect(gateway.spool in status["action"], f"{what}: the action {status['action']!r} does not name the place")
    found, _ = gateway.process.wait_line("spool_commit_failed .*", start=log_from)
    code, text = gateway.get("/readyz")
    expect(code == 503 and "spool cannot be written" in text, f"{what}: /readyz answers {code}: {text}")
    code, _ = gateway.get("/healthz")
    expect(code == 200, f"{what}: a restart is no cure, and /healthz answers {code}")
    refused = plant.coap.refusals
    eventually(lambda: plant.coap.refusals > refused, f"{what}: CoAP 5.03")
    before = [plant.coap.acknowledged, plant.tcp.acknowledged, broker_acknowledged(plant)]
    eventually(lambda: plant.coap.refusals > refused + 1, f"{what}: CoAP 5.03 again", 2 * SOON)
    expect(
        [plant.coap.acknowledged, plant.tcp.acknowledged, broker_acknowledged(plant)] == before,
        f"{what}: something was acknowledged meanwhile",
    )
    note(f"{what}: status: {status['verdict']}: {status['reason']}; {status['action']}")
    note(f"{what}: log: {found.group(0)}")
    noisy = gateway.process.count_lines("spool_commit_failed", log_from)
    expect(noisy <= 3, f"{what}: {noisy} lines for one fault")


def broker_acknowledged(plant):
    return plant.broker.process.count_lines(r"Received PUBACK from trunkline ")


def resumes(plant):
    eventually(lambda: (plant.gateway.status() or {}).get("verdict") != "failed", "status is well again")
    plant.wait_progress(5, 2 * SOON)


def locked_at_start(plant):
    other = sqlite3.connect(os.path.join(plant.gateway.spool, "spool.db"))
    other.execute("BEGIN EXCLUSIVE")
    status, text = plant.gateway.start_in_vain()
    other.close()
    note(f"locked by another program at start: exit status {status}: {text}")
    expect(status == 1 and re.search("spool.*locked", text), "a locked file is not told")


def not_ours(plant):
    spool = plant.gateway.spool
    if os.geteuid() != 0:
        mode = os.stat(spool).st_mode
        os.chmod(spool, 0o500)
        status, text = plant.gateway.start_in_vain()
        os.chmod(spool, mode)
    else:
        # The identity store is readable for that user, so that the spool is what stands in its way.
        for folder, _, names in os.walk(plant.gateway.state):
            os.chown(folder, 65534, 65534)
            for name in names:
                os.chown(os.path.join(folder, name), 65534, 65534)
        os.chown(os.path.dirname(plant.gateway.control), 65534, 65534)
        status, text = plant.gateway.start_in_vain("setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups")
        for folder, _, names in os.walk(plant.gateway.state):
            os.chown(folder, 0, 0)
            for name in names:
                os.chown(os.path.join(folder, name), 0, 0)
    note(f"a spool of another user: exit status {status}: {text}")
    expect(status == 1 and spool in text and "denied" in text.lower(), "missing permissions are not told")


if __name__ == "__main__":
    main("45_spool_faults", body)
