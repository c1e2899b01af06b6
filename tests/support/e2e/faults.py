# SPDX-License-Identifier: Apache-2.0
"""A bad day of the machine under the installed daemon: the preloaded shim, and real file systems where root may mount them."""

import errno
import os
import struct
import subprocess

from harness import expect


class Shim:
    """tests/support/fault_shim.cc in the daemon: `env` goes to its process, the rest takes effect at once."""

    def __init__(self, scenario, folder):
        library = os.environ.get("TRUNKLINE_FAULT_SHIM")
        expect(library, "say where the fault shim is: TRUNKLINE_FAULT_SHIM")
        self._path = os.path.join(scenario.folder, "faults")
        self._state = [0, -1, 0]
        self._write()
        self.env = {
            **os.environ,
            "LD_PRELOAD": library,
            "TRUNKLINE_FAULT_CONTROL": self._path,
            "TRUNKLINE_FAULT_FOLDER": folder,
            # A sanitized build insists on being the first library otherwise.
            "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0",
        }

    def _write(self):
        data = struct.pack("=qii", *self._state)
        with open(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644), "r+b", buffering=0) as file:
            file.write(data)

    def clock(self, seconds, trusted=True):
        """The wall clock is wrong by so much from now on, and the kernel says whether something disciplines it."""
        self._state[:2] = [int(seconds * 1000), int(trusted)]
        self._write()

    def disk(self, name=None):
        """Every write and sync below the folder fails with that error ("EIO"), or works again."""
        self._state[2] = getattr(errno, name) if name else 0
        self._write()


class LoopDisk:
    """A small ext4 of its own on a loop device; None from `make` where that cannot be had."""

    @classmethod
    def make(cls, scenario, megabytes):
        disk = cls()
        disk.folder = os.path.join(scenario.folder, "disk")
        disk.image = os.path.join(scenario.folder, "disk.img")
        os.mkdir(disk.folder)
        if os.geteuid() != 0:
            return None
        with open(disk.image, "wb") as file:
            file.truncate(megabytes << 20)
        try:
            made = subprocess.run(["mkfs.ext4", "-q", "-m0", disk.image], capture_output=True, check=False)
        except FileNotFoundError:
            return None
        if made.returncode != 0 or not disk.mount():
            return None
        scenario.on_exit(disk.leave)
        return disk

    def mount(self):
        done = subprocess.run(["mount", "-o", "loop,errors=remount-ro", self.image, self.folder], capture_output=True, check=False)
        return done.returncode == 0

    def unmount(self):
        subprocess.run(["umount", self.folder], capture_output=True, check=False)

    def leave(self):
        """At the end, while the daemon may still have files open: the kernel takes it away with the last of them."""
        subprocess.run(["umount", "--lazy", self.folder], capture_output=True, check=False)

    def fill(self):
        """Takes every free byte."""
        with open(os.path.join(self.folder, "filler"), "wb", buffering=0) as file:
            for size in (1 << 16, 1 << 12, 1 << 9):
                while True:
                    try:
                        file.write(b"\0" * size)
                    except OSError as full:
                        expect(full.errno == errno.ENOSPC, f"filling the disk: {full}")
                        break

    def empty(self):
        os.unlink(os.path.join(self.folder, "filler"))

    def turn_read_only(self):
        """As the kernel does after an error in the file system: with every descriptor still open. False: this kernel cannot."""
        source = subprocess.run(["findmnt", "-no", "SOURCE", self.folder], capture_output=True, text=True, check=False)
        trigger = f"/sys/fs/ext4/{os.path.basename(source.stdout.strip())}/trigger_fs_error"
        try:
            with open(trigger, "w", encoding="ascii") as file:
                file.write("test")
        except OSError:
            return False
        return True
