# SPDX-License-Identifier: Apache-2.0
"""A device's DTLS session made by Mbed TLS: what is sent to its port goes on over DTLS (tests/e2e/dtls_relay.cc)."""

import os
import signal

from harness import expect


class Relay:
    """`proof` is ("psk", identity, key) or ("certificate", file, key file)."""

    def __init__(self, scenario, name, gateway_port, *proof):
        program = os.environ.get("TRUNKLINE_DTLS_RELAY")
        expect(program, "say where the relay is: TRUNKLINE_DTLS_RELAY")
        self.process = scenario.start(name, [program, "127.0.0.1", str(gateway_port), *proof])
        found, _ = self.process.wait_line(r"^listening (\d+)$")
        self.port = int(found.group(1))

    def restart(self):
        """The device forgets its session and makes another with its next datagram, from another port."""
        os.kill(self.process.pid, signal.SIGHUP)

    def sessions(self):
        return self.process.count_lines(r"^session ")

    def wait_refused(self):
        self.process.wait_line(r"^refused ")
