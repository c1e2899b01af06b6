# SPDX-License-Identifier: Apache-2.0
"""The raw socket of a TCP device that dials again whenever its connection is lost."""

import contextlib
import socket
import threading
import time

from harness import SOON, eventually


class Dialler:
    """`on_line` is called with each line that comes; `port()` is asked before each dialling."""

    def __init__(self, scenario, device, port, on_line):
        self._device, self._port, self._on_line = device, port, on_line
        self._link = None
        self._wanted = False
        scenario.on_exit(self.hang_up)

    def dial(self):
        self._wanted = True
        threading.Thread(target=self._live, daemon=True).start()
        eventually(lambda: self._link, f"{self._device} is connected")

    def hang_up(self):
        self._wanted = False
        link, self._link = self._link, None
        if link:
            with contextlib.suppress(OSError):
                link.shutdown(socket.SHUT_RDWR)

    def say(self, line):
        self._link.sendall(line.encode() + b"\n")

    def _live(self):
        while self._wanted:
            try:
                link = socket.create_connection(("127.0.0.1", self._port()), timeout=SOON)
            except OSError:
                time.sleep(0.05)  # nobody listens yet: a device dials again
                continue
            link.settimeout(None)
            self._link = link
            with contextlib.suppress(OSError), link, link.makefile("rb") as lines:
                for line in lines:
                    self._on_line(line.decode().rstrip("\n"))
            if self._link is link:
                self._link = None
