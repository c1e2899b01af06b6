# SPDX-License-Identifier: Apache-2.0
"""A systemd of our own around the present root: a unit is tried as it will live, with its sandbox, credential, watchdog and journal.

It is process 1 of namespaces of its own (mounts, processes, cgroup, IPC, host name), so nothing of it is left behind; files and
network are those of the machine, which should be one to throw away. Needs root and the package systemd.
"""

import contextlib
import os
import signal
import tempfile

from harness import Failure, eventually, expect

# In namespaces of its own it first leaves a chroot, if it is in one: user namespaces (PrivateUsers=) are refused there.
_LEAVE = """
import os, sys
root = os.open("/", os.O_RDONLY | os.O_DIRECTORY)
os.chroot(sys.argv[1])
os.fchdir(root)
for _ in range(64):
    os.chdir("..")
os.chroot(".")
place = os.readlink(f"/proc/self/fd/{root}").rstrip("/")
os.execv("/bin/bash", ["bash", "-c", sys.argv[2], "enter", place, place + sys.argv[1], sys.argv[3]])
"""

# What a container has read-only is read-only here, too: systemd's own units then leave the kernel's settings alone.
_ENTER = """
set -eu
mount --make-rprivate /
mount --bind "$1/" "$2"
mount -t sysfs -o ro sysfs "$2/sys"
mount -t cgroup2 cgroup2 "$2/sys/fs/cgroup"
group=$2/sys/fs/cgroup/trunkline-trial-$$
mkdir "$group"
echo $$ >"$group/cgroup.procs"
unshare --mount --cgroup --pid --fork --ipc --uts --propagation unchanged -- bash -c "$3" boot "$2" &
child=$!
# Its first process takes all others with it, and unshare ends when they are gone.
trap 'read -r first <"/proc/$child/task/$child/children" || true; kill -KILL $first' TERM INT
wait $child || true
wait $child || true
echo $$ >"$2/sys/fs/cgroup/cgroup.procs"
find "$group" -depth -type d -exec rmdir {} +
"""

_BOOT = """
set -eu
cd "$1"
umount sys/fs/cgroup
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t proc proc proc
mount --bind proc/sys proc/sys
mount -o remount,bind,ro proc/sys
mount -t tmpfs -o mode=755 tmpfs run
mount -t tmpfs -o mode=1777 tmpfs tmp
mount -t tmpfs -o mode=755 tmpfs dev
for name in null zero full random urandom tty; do
  : >"dev/$name"
  mount --bind "/dev/$name" "dev/$name"
done
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts dev/pts
mount -t tmpfs -o mode=1777 tmpfs dev/shm
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
mkdir -p run/systemd/system run/outside
cat >run/systemd/system/trial.target <<'UNIT'
[Unit]
Description=Only what is asked for
Requires=sysinit.target
AllowIsolate=yes
UNIT
pivot_root . run/outside
umount -l /run/outside
mount --make-rshared /
exec /usr/bin/env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin container=other \
  /lib/systemd/systemd --unit=trial.target --show-status=0
"""


class Unavailable(Exception):
    """This machine lets nobody have a systemd of his own; why."""


class LiveSystemd:
    """Boots at once; ends with the scenario, or by stop()."""

    def __init__(self, scenario):
        self.scenario = scenario
        if os.geteuid() != 0:
            raise Unavailable("only root may")
        self._place = tempfile.mkdtemp(prefix="trunkline-root-", dir="/mnt")
        scenario.on_exit(self.stop)
        self.process = scenario.start(
            "systemd",
            ["unshare", "--mount", "--propagation", "unchanged", "python3", "-c", _LEAVE, self._place, _ENTER, _BOOT],
        )
        try:
            self.pid = eventually(self._find, "systemd as process 1 of its own")
            eventually(self._is_up, "systemd is up")
        except Failure as failure:
            self.stop()
            raise Unavailable(f"{failure}: {' / '.join(self.process.lines[-3:])}") from failure

    def _is_up(self):
        expect(self.process.running(), "it ended")
        return self.run("systemctl", "is-system-running", expected=None).strip() in ("running", "degraded")

    def _find(self):
        """Our child's child, once it has become systemd."""
        expect(self.process.running(), "it ended")
        pid = str(self.process.pid)
        with contextlib.suppress(OSError, IndexError):
            for _ in range(2):
                with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
                    pid = file.read().split()[0]
            with open(f"/proc/{pid}/comm", encoding="ascii") as file:
                return int(pid) if file.read().strip() == "systemd" else None
        return None

    def run(self, *command, expected=0, stdin=None):
        """What the command said; inside, as root."""
        inside = ["nsenter", "--target", str(self.pid), "--all", "--root", "--wd"]
        done = self.scenario.run([*inside, *command], expected=expected, stdin=stdin)
        return done.stdout + done.stderr

    def show(self, unit, name):
        return self.run("systemctl", "show", "--value", "--property", name, unit).strip()

    def stop(self):
        if self.process.running():
            os.kill(self.process.pid, signal.SIGTERM)
            self.process.wait()
        if os.path.isdir(self._place):
            os.rmdir(self._place)
