#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The systemd unit's behaviour, under a small supervisor: ready, watchdog, credential, restarts, no core [R-01 S-01]."""

import os
import resource
import signal
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "support", "e2e"))

from gateway import Gateway, new_key  # noqa: E402
from harness import eventually, expect, main, note  # noqa: E402
from hub import Hub  # noqa: E402
from supervisor import Supervisor  # noqa: E402
from tcp_client import TcpLoad  # noqa: E402

UNIT = os.path.join(HERE, "..", "..", "packaging", "systemd", "trunkline.service")
DEVICE = "scale-2"


def leaves_core(scenario):
    """Does a process without measures of its own leave a core here?"""
    victim = subprocess.Popen(["sleep", "600"], cwd=scenario.folder)
    victim.send_signal(signal.SIGABRT)
    end = os.waitid(os.P_PID, victim.pid, os.WEXITED | os.WNOWAIT)
    victim.wait()
    return end.si_code == os.CLD_DUMPED


def body(scenario):
    key = new_key()
    port = scenario.ports.take()
    hub = Hub(scenario, {DEVICE: key})
    device_map = f'[[device]]\nid = "{DEVICE}"\ntcp.listen = "127.0.0.1:{port}"\ntcp.ack = "OK\\n"\n'
    gateway = Gateway(scenario, hub, {DEVICE: device_map}, {DEVICE: key})
    # The key goes where only systemd may read it; the service gets it as a credential.
    sealing = os.path.join(scenario.folder, "sealing.key")
    os.rename(os.path.join(gateway.state, "identity.db.key"), sealing)

    # Without our own measures every one of the crashes below would leave a core.
    resource.setrlimit(resource.RLIMIT_CORE, (resource.getrlimit(resource.RLIMIT_CORE)[1],) * 2)
    os.environ["ASAN_OPTIONS"] = os.environ.get("ASAN_OPTIONS", "") + ":handle_segv=0:handle_abort=0:disable_coredump=0"
    if not leaves_core(scenario):
        note("this machine leaves no core of anybody: what follows proves nothing about ours")
    unit = Supervisor(
        scenario, UNIT, credentials={"sealing-key": sealing}, watchdog=4, pause=0.2,
        rewrite={"/usr/bin/trunkline": gateway.program, "check": f"check --config={gateway.config}",
                 "run": f"run --config={gateway.config}"},
    )
    unit.wait(lambda u: u.ready == 1, "READY=1")
    load = TcpLoad(DEVICE, port, rate=20)
    load.start()
    load.wait_acknowledged(10)
    fed = unit.fed
    unit.wait(lambda u: u.fed >= fed + 3, "three more WATCHDOG=1")
    expect(not os.path.exists(os.path.join(gateway.state, "identity.db.key")), "it made a sealing key beside the store")
    note("ready, fed, and it works with the key from the credential alone")

    for number, cause in enumerate((signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT), 2):
        os.kill(unit.process.pid, cause)
        unit.wait(lambda u, n=number: u.ready == n, f"a new start after {cause.name}")
        expect(unit.cores == 0, f"{cause.name} left a core, and a core holds keys")
        load.wait_acknowledged(load.acknowledged + 10)
    note("SIGKILL, SIGSEGV, SIGABRT: started again each time, no core")

    # A process that stands still is ended by the watchdog.
    os.kill(unit.process.pid, signal.SIGSTOP)
    unit.wait(lambda u: u.ready == 5, "a new start after the process stood still")
    load.wait_acknowledged(load.acknowledged + 10)
    load.finish()
    hub.wait_arrivals(DEVICE, load.sent)
    note("stopped in its tracks: the watchdog starts it again, nothing acknowledged is missing")

    # A configuration that is refused is refused once, not every few seconds.
    with open(gateway.config, "a", encoding="utf-8") as file:
        file.write('\n[hib]\nhost = "x"\n')
    os.kill(unit.process.pid, signal.SIGKILL)
    unit.wait(lambda u: u.gave_up, "exit status 2 for the configuration")
    starts = unit.starts
    expect(unit.status == 2 and starts == 6, f"exit status {unit.status} after {starts} starts")
    unit.process.wait_line(r"trunkline\.toml:\d+:\d+: unknown key .hib.; did you mean .hub.")
    note("a wrong configuration: named by line, not started again")

    with open(gateway.config, encoding="utf-8") as file:
        text = file.read()
    with open(gateway.config, "w", encoding="utf-8") as file:
        file.write(text[: text.index("\n[hib]")])
    again = Supervisor(
        scenario, UNIT, credentials={"sealing-key": sealing}, rewrite=unit.rewrites(), folder="again",
    )
    again.wait(lambda u: u.ready == 1, "READY=1")
    again.stop()
    eventually(lambda: again.stopping == 1, "STOPPING=1")
    expect(again.process.wait() == 0, "SIGTERM does not end it with status 0")


if __name__ == "__main__":
    main("85_service", body)
