# SPDX-License-Identifier: Apache-2.0
"""What systemd does for a unit of Type=notify, as far as a test without systemd can: the lines of the unit file decide.

Owns NOTIFY_SOCKET and counts what comes there, hands over credentials, ends a service that does not feed its watchdog, and
starts it again by exit status. It does not sandbox; what needs a live systemd stays untried here.
"""

import contextlib
import os
import shutil
import signal
import socket
import threading
import time

from harness import SOON, Failure, expect

_UNITS = {"ms": 0.001, "s": 1, "min": 60, "h": 3600}


def read_unit(path):
    """Each section's keys with all their values, in order."""
    sections, keys = {}, None
    with open(path, encoding="utf-8") as file:
        for line in file:
            line = line.strip()
            if not line or line[0] in "#;":
                continue
            if line[0] == "[":
                keys = sections.setdefault(line[1:-1], {})
            else:
                name, _, value = line.partition("=")
                keys.setdefault(name, []).append(value)
    return sections


def seconds(text):
    digits = text.rstrip("mshin")
    return float(digits) * _UNITS[text[len(digits):] or "s"]


class Supervisor:
    """Runs one unit. `rewrite` maps paths of the unit file to those of a test; `watchdog` replaces WatchdogSec, in seconds."""

    def __init__(self, scenario, unit_file, rewrite=None, credentials=None, watchdog=None, pause=None, user=None,
                 folder="service"):
        self.scenario = scenario
        self.service = read_unit(unit_file)["Service"]
        expect(self._one("Type") == "notify", f"{unit_file}: Type is {self._one('Type')}, this supervises notify")
        self._rewrite = rewrite or {}
        self._user = user
        self._name = folder
        self._watchdog = watchdog or seconds(self._one("WatchdogSec"))
        self._pause = seconds(self._one("RestartSec")) if pause is None else pause
        self._never_again = {int(status) for status in self._one("RestartPreventExitStatus").split()}
        self._folder = os.path.join(scenario.folder, folder)
        os.makedirs(self._folder)
        os.chmod(scenario.folder, 0o755)
        os.chmod(self._folder, 0o755)
        self._take_credentials(credentials or {})
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(os.path.join(self._folder, "notify"))
        os.chmod(os.path.join(self._folder, "notify"), 0o666)
        self._changed = threading.Condition()
        self._ending = False
        self.process = None
        self.starts = self.ready = self.fed = self.stopping = self.cores = 0
        self.status = None       # exit status of the last run
        self.gave_up = False     # the exit status said: never again
        self._last_fed = None
        threading.Thread(target=self._listen, daemon=True).start()
        self._runner = threading.Thread(target=self._run, daemon=True)
        self._runner.start()
        scenario.on_exit(self.stop)

    def _one(self, name):
        return self.service[name][-1]

    def _take_credentials(self, given):
        """LoadCredential=: each named file, copied to where only the service looks."""
        folder = os.path.join(self._folder, "credentials")
        os.makedirs(folder)
        for line in self.service.get("LoadCredential", []):
            name, _, path = line.partition(":")
            path = given.get(name, path)
            expect(os.path.exists(path), f"LoadCredential={line}: {path} is not there; systemd would not start this unit")
            shutil.copy(path, os.path.join(folder, name))
            os.chmod(os.path.join(folder, name), 0o400)
            if self._user:
                shutil.chown(os.path.join(folder, name), self._user)
        self._credentials = folder

    def _command(self, line):
        words = [self._rewrite.get(word, word) for word in line.split()]
        words = [part for word in words for part in word.split()]
        return (["setpriv", "--reuid", self._user, "--regid", self._user, "--init-groups"] if self._user else []) + words

    def _environment(self):
        return {
            **os.environ,
            "NOTIFY_SOCKET": os.path.join(self._folder, "notify"),
            "WATCHDOG_USEC": str(int(self._watchdog * 1e6)),
            "CREDENTIALS_DIRECTORY": self._credentials,
        }

    def _listen(self):
        while True:
            try:
                text = self._socket.recv(65536).decode()
            except OSError:
                return
            with self._changed:
                for line in text.splitlines():
                    if line == "READY=1":
                        self.ready += 1
                        self._last_fed = time.monotonic()
                    elif line == "WATCHDOG=1":
                        self.fed += 1
                        self._last_fed = time.monotonic()
                    elif line == "STOPPING=1":
                        self.stopping += 1
                        self._last_fed = None
                self._changed.notify_all()

    def _run(self):
        while not self._ending:
            for line in self.service.get("ExecStartPre", []):
                name = f"{self._name}-{self.starts + 1}-before"
                before = self.scenario.start(name, self._command(line.lstrip("-")), env=self._environment())
                if before.wait() != 0 and not line.startswith("-"):
                    raise Failure(f"ExecStartPre={line} failed; systemd would try again for ever")
            with self._changed:
                if self._ending:
                    return
                self.starts += 1
                self._last_fed = None
                self.process = self.scenario.start(
                    f"{self._name}-{self.starts}", self._command(self._one("ExecStart")), env=self._environment()
                )
                self._changed.notify_all()
            end = None
            while end is None:
                with self._changed:
                    self._changed.wait(0.05)
                    late = self._last_fed and time.monotonic() - self._last_fed > self._watchdog
                    self._last_fed = None if late else self._last_fed
                if late:
                    os.kill(self.process.pid, signal.SIGABRT)
                    os.kill(self.process.pid, signal.SIGCONT)
                # Looks and leaves the status to the process's owner.
                end = os.waitid(os.P_PID, self.process.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG)
            with self._changed:
                self.cores += end.si_code == os.CLD_DUMPED
                self.status = self.process.wait()
                self.gave_up = self.status in self._never_again
                self._changed.notify_all()
                if self._ending or self.gave_up:
                    return
                self._changed.wait_for(lambda: self._ending, self._pause)

    def rewrites(self):
        return self._rewrite

    def wait(self, question, what, limit=SOON):
        """Until `question(self)` is true."""
        with self._changed:
            if not self._changed.wait_for(lambda: question(self), limit):
                raise Failure(f"not within {limit:.0f} s: {what} (starts {self.starts}, ready {self.ready}, fed {self.fed}, "
                              f"last exit status {self.status})")

    def stop(self):
        """As `systemctl stop` does."""
        with self._changed:
            self._ending = True
            self._changed.notify_all()
            if self.process and self._runner.is_alive():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self.process.pid, signal.SIGTERM)
        self._runner.join(SOON)
