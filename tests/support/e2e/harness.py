# SPDX-License-Identifier: Apache-2.0
"""Processes, ports and deadlines for the end-to-end scenarios and the demo.

A Scenario owns a temporary folder and every process started in it, ends them by their ids, and keeps the folder with
all logs when the scenario fails. Waiting is always for an event, up to a generous deadline; time itself is never a
verdict.
"""

import contextlib
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

# One generous limit for everything that should happen soon; a slow machine may multiply it.
PATIENCE = float(os.environ.get("TRUNKLINE_PATIENCE", "1"))
SOON = 60 * PATIENCE


class Failure(Exception):
    """What a scenario expected and did not see, in a sentence."""


def expect(condition, sentence):
    if not condition:
        raise Failure(sentence)


def eventually(question, what, seconds=SOON, pause=0.05):
    """Asks until the answer is true and returns it; for states that announce themselves in no other way."""
    deadline = time.monotonic() + seconds
    while True:
        answer = question()
        if answer:
            return answer
        if time.monotonic() >= deadline:
            raise Failure(f"not within {seconds:.0f} s: {what}")
        time.sleep(pause)


class Process:
    """A child process whose output goes to a log file and can be waited for line by line."""

    def __init__(self, name, command, log_folder, stdin=False, env=None, echo=None):
        self.name = name
        self.log_path = os.path.join(log_folder, name + ".log")
        self.lines = []
        self._echo = echo
        self._changed = threading.Condition()
        self._log = open(self.log_path, "a", encoding="utf-8")
        self._popen = subprocess.Popen(
            command,
            stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=env,
            start_new_session=True,  # an interrupt at the terminal is ours to handle
        )
        self.pid = self._popen.pid
        self._reader = threading.Thread(target=self._read, name=f"log of {name}", daemon=True)
        self._reader.start()

    def _read(self):
        for raw in self._popen.stdout:
            line = raw.decode("utf-8", "replace").rstrip("\r\n")
            self._log.write(line + "\n")
            self._log.flush()
            with self._changed:
                self.lines.append(line)
                self._changed.notify_all()
            if self._echo:
                self._echo(line)
        with self._changed:
            self.ended = True
            self._changed.notify_all()
        self._log.close()

    ended = False
    before_end = None  # called when it is about to be told to end while it runs

    def running(self):
        return self._popen.poll() is None

    def wait_line(self, pattern, seconds=SOON, start=0):
        """The first match of `pattern` in a line from number `start` on, and that line's number."""
        expression = re.compile(pattern)
        deadline = time.monotonic() + seconds
        with self._changed:
            number = start
            while True:
                while number < len(self.lines):
                    found = expression.search(self.lines[number])
                    if found:
                        return found, number
                    number += 1
                if self.ended:
                    raise Failure(f"{self.name} ended without a line like {pattern!r}; see {self.log_path}")
                left = deadline - time.monotonic()
                if left <= 0:
                    raise Failure(f"{self.name} said nothing like {pattern!r} in {seconds:.0f} s; see {self.log_path}")
                self._changed.wait(left)

    def count_lines(self, pattern, start=0):
        expression = re.compile(pattern)
        with self._changed:
            return sum(1 for line in self.lines[start:] if expression.search(line))

    def write(self, data):
        self._popen.stdin.write(data)
        self._popen.stdin.flush()

    def close_stdin(self):
        with contextlib.suppress(OSError):
            self._popen.stdin.close()

    def kill(self):
        """As a power cut would: no chance to say goodbye."""
        self._popen.kill()
        self._popen.wait()
        self._reader.join()

    def wait(self, seconds=SOON):
        try:
            status = self._popen.wait(seconds)
        except subprocess.TimeoutExpired:
            raise Failure(f"{self.name} did not end within {seconds:.0f} s; see {self.log_path}") from None
        self._reader.join()
        return status

    def terminate(self, seconds=SOON):
        if self.running():
            if self.before_end:
                self.before_end()
            self._popen.send_signal(signal.SIGTERM)
        return self.wait(seconds)

    def discard(self):
        """At the end of a scenario, whatever happened before."""
        if self.running():
            self._popen.send_signal(signal.SIGTERM)
            try:
                self._popen.wait(10)
            except subprocess.TimeoutExpired:
                self._popen.kill()
                self._popen.wait()
        # What it started and left behind would keep its output open, and this waiting for it.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._reader.join()


class Ports:
    """Free loopback ports below the range from which the kernel takes outgoing ones, kept from other scenarios.

    The name of an abstract Unix socket is the lock: it lives where ports live and leaves nothing behind.
    """

    def __init__(self):
        self._locks = []

    def take(self):
        for port in random.sample(range(20000, 32000), 500):
            lock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                lock.bind(f"\0trunkline-e2e-port-{port}")
                for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                    with socket.socket(socket.AF_INET, kind) as probe:
                        probe.bind(("127.0.0.1", port))
            except OSError:
                lock.close()
                continue
            self._locks.append(lock)
            return port
        raise Failure("no free loopback port between 20000 and 32000")

    def release(self):
        for lock in self._locks:
            lock.close()
        self._locks.clear()


class Scenario:
    """One run: `with Scenario("10_main_way") as scenario: ...`."""

    def __init__(self, name, prefix=None):
        self.name = name
        prefix = prefix or os.environ.get("TRUNKLINE_PREFIX")
        expect(prefix, "say where the programs are installed: TRUNKLINE_PREFIX")
        self.bin = os.path.join(os.path.abspath(prefix), "bin")
        self.ports = Ports()
        self.processes = []
        self.cleanups = []
        self.checks = []
        # Short, because the path of a Unix socket may have 107 bytes only.
        self.folder = tempfile.mkdtemp(prefix="tl-", dir="/tmp")
        self.logs = os.path.join(self.folder, "log")
        os.mkdir(self.logs)

    def program(self, name):
        return os.path.join(self.bin, name)

    def start(self, name, command, **options):
        process = Process(name, command, self.logs, **options)
        self.processes.append(process)
        return process

    def on_exit(self, action):
        self.cleanups.append(action)

    def on_success(self, check):
        """Called when the scenario has passed, before anything is ended; it may still fail."""
        self.checks.append(check)

    def run(self, command, expected=0, stdin=None, seconds=SOON):
        """Runs a program to its end; its standard output and error, after checking the exit status."""
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=seconds, check=False)
        if expected is not None and done.returncode != expected:
            raise Failure(
                f"{' '.join(command)}\nended with {done.returncode} instead of {expected}\n{done.stdout}{done.stderr}"
            )
        return done

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        try:
            if kind is None:
                for check in self.checks:
                    check()
        except BaseException:
            kind = Failure
            raise
        finally:
            self._end(kind)
        return False

    def _end(self, kind):
        for action in reversed(self.cleanups):
            with contextlib.suppress(Exception):
                action()
        for process in reversed(self.processes):
            process.discard()
        self.ports.release()
        if kind is None:
            shutil.rmtree(self.folder, ignore_errors=True)
        else:
            print(f"{self.name}: the logs are kept in {self.logs}", file=sys.stderr, flush=True)

    def show_logs(self, lines=30):
        for process in self.processes:
            print(f"--- the end of {process.name}.log", file=sys.stderr)
            for line in process.lines[-lines:]:
                print("   " + line, file=sys.stderr)


def note(text):
    print(text, flush=True)


def main(name, body):
    """Runs `body(scenario)` as a test program: exit status 0 or 1, logs shown and kept on failure."""
    started = time.monotonic()
    try:
        with Scenario(name) as scenario:
            try:
                body(scenario)
            except BaseException:
                scenario.show_logs()
                raise
    except Failure as failure:
        print(f"{name}: FAILED: {failure}", file=sys.stderr, flush=True)
        sys.exit(1)
    note(f"{name}: passed in {time.monotonic() - started:.1f} s")
