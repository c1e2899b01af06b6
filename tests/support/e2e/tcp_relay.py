# SPDX-License-Identifier: Apache-2.0
"""A stretch of wire between the gateway and a server, that is cut when certain bytes go over it."""

import contextlib
import socket
import threading

from harness import SOON


class TcpRelay:
    """Listens on `port` for what wants to go to the loopback port `target`; both ends of a connection are closed when
    `poison` comes from the client within one read."""

    def __init__(self, scenario, target, poison):
        self.port = scenario.ports.take()
        self.cuts = 0
        self._target, self._poison = target, poison
        self._listener = socket.create_server(("127.0.0.1", self.port))
        scenario.on_exit(self._listener.close)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                try:
                    server = socket.create_connection(("127.0.0.1", self._target), timeout=SOON)
                except OSError:
                    client.close()
                    continue
                for link in (client, server):
                    link.settimeout(None)
                    link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                threading.Thread(target=self._carry, args=(client, server, True), daemon=True).start()
                threading.Thread(target=self._carry, args=(server, client, False), daemon=True).start()

    def _carry(self, source, sink, from_client):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if from_client and self._poison in data:
                    self.cuts += 1
                    break
                sink.sendall(data)
        for link in (source, sink):
            with contextlib.suppress(OSError):
                link.shutdown(socket.SHUT_RDWR)
