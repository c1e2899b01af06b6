#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Lives through the packages as an operator would. Called by packaging/try-deb, as root, on a machine to throw away.

systemd is process 1 on none of these machines, so a small supervisor starts the unit as systemd would: its user, its
credential, its watchdog, its rules for starting again. The sandbox is only looked at (systemd-analyze), not tried.
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
from supervisor import Supervisor  # noqa: E402
from tcp_client import TcpLoad  # noqa: E402

os.environ["TRUNKLINE_PREFIX"] = "/usr"
PACKAGES = os.path.abspath(sys.argv[1])
CONFIG = "/etc/trunkline/trunkline.toml"
STATE = "/var/lib/trunkline"
DEVICE = "scale-2"


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
    with open(CONFIG, "w", encoding="utf-8") as file:
        file.write(text)
    run("install", "-m", "644", hub.ca_file, "/etc/trunkline/hub-ca.pem")
    with open("/etc/trunkline/devices.d/scale.toml", "w", encoding="utf-8") as file:
        file.write(f'[[device]]\nid = "{DEVICE}"\ntcp.listen = "127.0.0.1:{port}"\ntcp.ack = "OK\\n"\n')
    run("trunkline", "identity", "add", DEVICE, "--key-file", "-", stdin=key + "\n")
    expect(mode(f"{STATE}/identity.db") == "600 trunkline:trunkline", "root made the store and kept it for itself")
    unit = start(scenario, "second")
    load = TcpLoad(DEVICE, port, rate=100)
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


def upgrade(scenario, hub, unit, load):
    """The next version over a spool that is not empty."""
    hub.process.terminate()
    load.wait_acknowledged(load.acknowledged + 500)
    waiting = run("trunkline", "status", expected=1).splitlines()[0]
    note("hub away: " + waiting)
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
    note(f"upgraded with messages in the spool: all {load.sent} readings are at the hub")
    unit.stop()


def body(scenario):
    note(apt("install", one("trunkline_*.deb"), one("trunkline-hubsim_*.deb")).splitlines()[-1])
    check_installed()
    first_start(scenario)
    key = new_key()
    hub = Hub(scenario, {DEVICE: key}, arguments=("--events", os.path.join(scenario.folder, "events")))
    unit, load = first_device(scenario, hub, key)
    upgrade(scenario, hub, unit, load)

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
