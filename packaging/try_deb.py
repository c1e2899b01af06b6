#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Lives through the packages as an operator would. Called by packaging/try-deb, as root, on a machine to throw away.

systemd is process 1 on none of these machines. A small supervisor starts the unit as systemd would: its user, its credential,
its watchdog, its rules for starting again. Where the machine lets us, a systemd of our own around it then tries the unit as it
is: sandbox, credential, journal, reload, watchdog; elsewhere that is said.
"""

import glob
import grp
import json
import os
import pwd
import re
import stat
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "support", "e2e"))

from gateway import new_key  # noqa: E402
from harness import eventually, expect, main, note  # noqa: E402
from hub import Hub  # noqa: E402
from live_systemd import LiveSystemd, Unavailable  # noqa: E402
from supervisor import Supervisor  # noqa: E402
from tcp_client import TcpLoad  # noqa: E402

os.environ["TRUNKLINE_PREFIX"] = "/usr"
PACKAGES = os.path.abspath(sys.argv[1])
CONFIG = "/etc/trunkline/trunkline.toml"
STATE = "/var/lib/trunkline"
DEVICE = "scale-2"
SECOND = "scale-3"
UNIT = "trunkline.service"


def one(pattern):
    found = glob.glob(os.path.join(PACKAGES, pattern))
    expect(len(found) == 1, f"{len(found)} packages like {pattern} in {PACKAGES}, expected one")
    return found[0]


def run(*command, expected=0, stdin=None):
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False,
                          env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"})
    expect(expected is None or done.returncode == expected,
           f"{' '.join(command)}\nended with {done.returncode} instead of {expected}\n{done.stdout}{done.stderr}")
    return done.stdout + done.stderr


def apt(*arguments):
    return run("apt-get", "-y", "--no-install-recommends", "-o", "Dpkg::Options::=--force-confold", *arguments)


def mode(path):
    found = os.stat(path)
    return f"{stat.S_IMODE(found.st_mode):o} {pwd.getpwuid(found.st_uid).pw_name}:{grp.getgrgid(found.st_gid).gr_name}"


def unit_file():
    for folder in ("/usr/lib/systemd/system", "/lib/systemd/system"):
        if os.path.exists(os.path.join(folder, "trunkline.service")):
            return os.path.join(folder, "trunkline.service")
    expect(False, "the package has no trunkline.service")


def start(scenario, name):
    # RuntimeDirectory= is systemd's to make.
    os.makedirs("/run/trunkline", mode=0o750, exist_ok=True)
    os.chmod("/run/trunkline", 0o750)
    os.chown("/run/trunkline", pwd.getpwnam("trunkline").pw_uid, grp.getgrnam("trunkline").gr_gid)
    unit = Supervisor(scenario, unit_file(), user="trunkline", folder=name, pause=0.5)
    unit.wait(lambda u: u.ready == 1, "READY=1")
    return unit


def check_installed():
    for path, expected in {
        CONFIG: "644 root:root",
        "/etc/trunkline/devices.d": "755 root:root",
        "/etc/trunkline/sealing.key": "600 root:root",
        STATE: "750 trunkline:trunkline",
    }.items():
        expect(mode(path) == expected, f"{path} is {mode(path)}, not {expected}")
    for page in ("trunkline.8", "trunkline.toml.5", "trunkline-hubsim.1"):
        found = glob.glob(f"/usr/share/man/man{page[-1]}/{page}.gz")
        # Minimal roots leave documentation out when they unpack.
        if found:
            run("man", "--warnings", "-l", found[0])
    user = pwd.getpwnam("trunkline")
    expect("nologin" in user.pw_shell, f"the gateway's user has the shell {user.pw_shell}")
    note(run("systemd-analyze", "verify", unit_file(), expected=None).strip() or "systemd-analyze verify: nothing to say")
    exposure = run("systemd-analyze", "security", "--offline=true", "--no-pager", unit_file())
    level = float(re.search(r"exposure level for trunkline.service: ([\d.]+)", exposure).group(1))
    note(f"systemd-analyze security: {level}")
    expect(level <= 2.0, f"the sandbox has an exposure of {level}")


def first_start(scenario):
    """As shipped: idle, well, and it says what to do next."""
    run("trunkline", "check")
    unit = start(scenario, "first")
    text = run("trunkline", "status")
    note("first start: " + text.splitlines()[0])
    expect(text.startswith("ok"), "the first start is not well")
    expect("devices.d" in text and "identity add" in text, "the first start does not say what to do next")
    fed = unit.fed
    unit.wait(lambda u: u.fed > fed, "the watchdog being fed")
    unit.stop()
    expect(unit.status == 0, f"stopping ended with {unit.status}")


def first_device(scenario, hub, key):
    """What the README says, step by step."""
    port = scenario.ports.take()
    with open(CONFIG, encoding="utf-8") as file:
        text = file.read()
    text = text.replace('host = "contoso.azure-devices.net"',
                        f'host = "{hub.host}"\naddress = "127.0.0.1:{hub.port}"\nca_file = "/etc/trunkline/hub-ca.pem"')
    # Small, so that it is soon full.
    text = text.replace('#max_bytes = "1GiB"', 'max_bytes = "1MiB"').replace('#device_share = "10%"', 'device_share = "100%"')
    expect('max_bytes = "1MiB"\n' in text and 'device_share = "100%"\n' in text, "trunkline.toml shows other defaults")
    with open(CONFIG, "w", encoding="utf-8") as file:
        file.write(text)
    run("install", "-m", "644", hub.ca_file, "/etc/trunkline/hub-ca.pem")
    with open("/etc/trunkline/devices.d/scale.toml", "w", encoding="utf-8") as file:
        file.write(f'[[device]]\nid = "{DEVICE}"\ntcp.listen = "127.0.0.1:{port}"\ntcp.ack = "OK\\n"\n')
    run("trunkline", "identity", "add", DEVICE, "--key-file", "-", stdin=key + "\n")
    expect(mode(f"{STATE}/identity.db") == "600 trunkline:trunkline", "root made the store and kept it for itself")
    unit = start(scenario, "second")
    # Big messages, so that spool and sockets are full soon.
    load = TcpLoad(DEVICE, port, rate=100, padding=2000)
    load.start()
    load.wait_acknowledged(50)
    hub.wait_arrivals(DEVICE, 50)
    note("first device: " + run("trunkline", "status").splitlines()[0])
    return unit, load


def missing(scenario, load):
    """How many of the acknowledged readings no hub has seen, in this life or an earlier one."""
    with open(os.path.join(scenario.folder, "events"), encoding="utf-8") as file:
        # The last line may be on its way.
        seen = {json.loads(json.loads(line)["body"])["n"] for line in file if line.endswith("\n")}
    return load.acknowledged - len(seen & set(range(1, load.acknowledged + 1)))


def spool_full():
    """What `trunkline status` says, once it says that."""
    said = run("trunkline", "status", expected=None)
    return said if "the spool is full" in said else None


def upgrade(scenario, hub, unit, load):
    """The next version over a spool that is full, with a device that waits."""
    hub.process.terminate()
    full = eventually(spool_full, "status says that the spool is full")
    eventually(lambda: load.sent - load.acknowledged == load.window, "the device waits for acknowledgements")
    note("hub away: " + full.splitlines()[0])
    spool = json.loads(run("trunkline", "spool", "--json", expected=None))
    note(f"spool: {spool['waiting']} messages, {spool['disk_bytes']} bytes on disk of {spool['cap_bytes']}")
    expect(spool["disk_bytes"] <= spool["cap_bytes"], "the spool is larger than its cap")
    unit.stop()
    tree = os.path.join(scenario.folder, "next")
    run("dpkg-deb", "--raw-extract", one("trunkline_*.deb"), tree)
    run("sed", "-i", "s/^Version: .*/&+next/", f"{tree}/DEBIAN/control")
    newer = os.path.join(scenario.folder, "trunkline-next.deb")
    run("dpkg-deb", "--build", "--root-owner-group", tree, newer)
    sealed = open("/etc/trunkline/sealing.key", "rb").read()
    apt("install", newer)
    expect("+next" in run("dpkg-query", "-W", "trunkline"), "the upgrade did not happen")
    expect(open("/etc/trunkline/sealing.key", "rb").read() == sealed, "the upgrade made another sealing key")
    expect(hub.host in open(CONFIG, encoding="utf-8").read(), "the upgrade took the operator's configuration away")
    hub.start()
    unit = start(scenario, "third")
    load.finish()
    eventually(lambda: missing(scenario, load) == 0, "every acknowledged reading at the hub")
    eventually(lambda: run("trunkline", "status", expected=None).startswith("ok"), "status is well after the upgrade")
    note(f"upgraded with a full spool: all {load.sent} readings are at the hub")
    unit.stop()


def live(scenario, hub, key):
    """The unit under a systemd: what no imitation of it can show."""
    try:
        systemd = LiveSystemd(scenario)
    except Unavailable as why:
        note(f"a live systemd: NOT tried on this machine: {why}")
        return
    note("a live systemd: " + systemd.run("systemctl", "--version").splitlines()[0])
    systemd.run("systemctl", "start", UNIT)  # returns with READY=1
    check_confined(systemd)
    eventually(lambda: systemd.run("trunkline", "status", expected=None).startswith("ok"), "status is well under systemd")
    reload(scenario, systemd, hub, key)
    end_and_begin(systemd)
    systemd.run("systemctl", "stop", UNIT)
    expect(systemd.show(UNIT, "Result") == "success", f"stopping ended with {systemd.show(UNIT, 'Result')}")
    said = systemd.run("journalctl", "--output=cat", "--unit", UNIT)
    for event in ("gateway_started", "reload_done", "gateway_stopped"):
        expect(event in said, f"the journal has no {event}\n{said}")
    for result in ("signal", "watchdog"):
        expect(f"Failed with result '{result}'" in said, f"systemd ended nothing by {result}\n{said}")
    serious = systemd.run("journalctl", "--output=cat", "--unit", UNIT, "--priority=warning")
    expect("gateway_started" not in serious and "broken.toml" in serious, f"the journal's priorities are wrong:\n{serious}")
    systemd.stop()


def check_confined(systemd):
    """What /proc says of the daemon, not what the unit file asks for."""
    pid = systemd.show(UNIT, "MainPID")
    status = dict(line.split(":", 1) for line in systemd.run("cat", f"/proc/{pid}/status").splitlines() if ":" in line)
    user = pwd.getpwnam("trunkline").pw_uid
    expect(status["Uid"].split() == [str(user)] * 4, f"the daemon's users are {status['Uid']}")
    for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        expect(int(status[name], 16) == 0, f"the daemon has capabilities: {name} {status[name]}")
    expect(status["NoNewPrivs"].strip() == "1" and status["Seccomp"].strip() == "2", "the daemon has no system call filter")
    mounts = systemd.run("cat", f"/proc/{pid}/mountinfo").splitlines()
    writable = {line.split()[4] for line in mounts if line.split()[5].startswith("rw")}
    expect("/" not in writable and STATE in writable, f"the daemon may write to {writable}")
    core = systemd.run("cat", f"/proc/{pid}/limits")
    expect(re.search(r"Max core file size +0 +0 ", core), "the daemon may leave a core")
    filters = status["Seccomp_filters"].strip()
    note(f"confined: user {user}, no capabilities, {filters} system call filters, of the disk only {STATE} is writable")


def reload(scenario, systemd, hub, key):
    """A new device with the gateway running; then a map that is wrong."""
    port = scenario.ports.take()
    hub.ask("add_device", device=SECOND, key=key)
    systemd.run("trunkline", "identity", "add", SECOND, "--key-file", "-", stdin=key + "\n")
    with open("/etc/trunkline/devices.d/second.toml", "w", encoding="utf-8") as file:
        file.write(f'[[device]]\nid = "{SECOND}"\ntcp.listen = "127.0.0.1:{port}"\ntcp.ack = "OK\\n"\n')
    pid = systemd.show(UNIT, "MainPID")
    systemd.run("systemctl", "reload", UNIT)
    load = TcpLoad(SECOND, port)
    load.start()
    load.wait_acknowledged(100)
    load.finish()
    hub.wait_arrivals(SECOND, load.sent)
    broken = "/etc/trunkline/devices.d/broken.toml"
    with open(broken, "w", encoding="utf-8") as file:
        file.write('[[device]]\nid = "x"\ntcp.lissten = "127.0.0.1:1"\n')
    systemd.run("systemctl", "reload", UNIT, expected=1)
    expect(systemd.show(UNIT, "MainPID") == pid, "a reload started another process")
    expect(systemd.show(UNIT, "ActiveState") == "active", "a refused reload ended the gateway")
    # A refused configuration is not tried again for ever.
    systemd.run("systemctl", "restart", UNIT, expected=1)
    state = [systemd.show(UNIT, name) for name in ("ActiveState", "SubState", "ExecMainStatus", "NRestarts")]
    expect(state == ["failed", "failed", "2", "0"], f"a refused configuration leaves the unit {state}")
    os.unlink(broken)
    systemd.run("systemctl", "start", UNIT)
    note(f"systemctl reload: {SECOND} is heard in the same process; a wrong map is refused; a start with it ends with 2, once")


def end_and_begin(systemd):
    """Killed, and stuck: systemd brings it back."""
    systemd.run("mkdir", "-p", f"/run/systemd/system/{UNIT}.d")
    systemd.run("sh", "-c", f"printf '[Service]\\nWatchdogSec=2\\nRestartSec=100ms\\n' >/run/systemd/system/{UNIT}.d/trial.conf")
    systemd.run("systemctl", "daemon-reload")
    systemd.run("systemctl", "restart", UNIT)
    for number, signal in enumerate(("KILL", "STOP"), 1):
        pid = systemd.show(UNIT, "MainPID")
        systemd.run("systemctl", "kill", "--kill-whom=main", f"--signal={signal}", UNIT)
        eventually(lambda: systemd.show(UNIT, "NRestarts") == str(number) and systemd.show(UNIT, "ActiveState") == "active",
                   f"systemd starts it again after {signal}")
        expect(systemd.show(UNIT, "MainPID") != pid, "the process is the same")
        note(f"SIG{signal}: systemd starts it again")


def body(scenario):
    note(apt("install", one("trunkline_*.deb"), one("trunkline-hubsim_*.deb")).splitlines()[-1])
    check_installed()
    first_start(scenario)
    key = new_key()
    hub = Hub(scenario, {DEVICE: key}, arguments=("--events", os.path.join(scenario.folder, "events")))
    unit, load = first_device(scenario, hub, key)
    upgrade(scenario, hub, unit, load)
    live(scenario, hub, key)

    said = apt("remove", "trunkline")
    expect("stay in /var/lib/trunkline" in said, "remove does not say where the messages are")
    for path in (CONFIG, "/etc/trunkline/sealing.key", f"{STATE}/identity.db", f"{STATE}/spool"):
        expect(os.path.exists(path), f"remove took {path} away")
    expect(not os.path.exists("/usr/bin/trunkline"), "remove left the program")
    apt("purge", "trunkline", "trunkline-hubsim")
    for path in ("/etc/trunkline", STATE):
        expect(not os.path.exists(path), f"purge left {path}")
    note("removed: configuration and messages stayed; purged: nothing is left")


if __name__ == "__main__":
    main("try_deb", body)
