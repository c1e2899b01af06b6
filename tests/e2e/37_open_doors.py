#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The two doors of the operator, control socket and status listener, and people who mean no good: connections that say
nothing, that say everything at once, that never take an answer, hundreds of them. The operator always gets in, devices notice
nothing, and who is neither trunkline nor root does not get in [S-01 I-01]."""

import contextlib
import json
import os
import socket
import stat
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support", "e2e"))

from gateway import Gateway, new_key  # noqa: E402
from harness import SOON, expect, main, note  # noqa: E402
from hub import Hub  # noqa: E402
from tcp_client import TcpLoad  # noqa: E402

NOBODY = 65534
CROWD = 300


def pour(link, data, most):
    """How much of it the other side takes before it ends the connection or stops reading."""
    link.settimeout(2)
    taken = 0
    with contextlib.suppress(OSError):
        while taken < most:
            taken += link.send(data)
    return taken


def error_of_nobody(path):
    """With which error a stranger's connection to the socket fails; 0 if it does not."""
    child = os.fork()
    if child == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as link:
            os._exit(link.connect_ex(path))
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def body(scenario):
    keys = {"scale-2": new_key()}
    hub = Hub(scenario, keys)
    port = scenario.ports.take()
    maps = {"scale-2": f'[[device]]\nid = "scale-2"\ntcp.listen = "127.0.0.1:{port}"\ntcp.ack = "OK\\n"\n'}
    gateway = Gateway(scenario, hub, maps, keys)
    gateway.start()
    scale = TcpLoad("scale-2", port, rate=50)
    scale.start()
    scale.wait_acknowledged(5)

    def control():
        link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        link.connect(gateway.control)
        link.settimeout(SOON)
        return link

    def http():
        return socket.create_connection(("127.0.0.1", gateway.status_port), timeout=SOON)

    def operator(what):
        """Gets in, several times in a row, and the device goes on."""
        for _ in range(3):
            expect(gateway.status() is not None, f"{what}: trunkline status gets no answer")
            expect(gateway.get("/healthz") == (200, "ok\n"), f"{what}: /healthz does not say ok")
        scale.wait_acknowledged(scale.acknowledged + 5)
        note(f"{what}: the operator gets in")

    mode = stat.S_IMODE(os.stat(gateway.control).st_mode)
    expect(mode == 0o660, f"the control socket has mode {mode:o}")
    if os.geteuid() == 0:
        os.chmod(scenario.folder, 0o755)
        os.chmod(os.path.join(scenario.folder, "gateway"), 0o755)
        expect(error_of_nobody(gateway.control) == 13, "a stranger can connect to the control socket")
        note("a stranger cannot connect")

    with contextlib.ExitStack() as held:
        for door, begin in ((control, b'{"op":"st'), (http, b"GET /healthz HTTP/1.1\r\nHost: gate")):
            for number in range(CROWD):
                link = held.enter_context(door())
                if number % 2:
                    with contextlib.suppress(OSError):  # its place may have been given away
                        link.sendall(begin)
            operator(f"{CROWD} that say nothing or half a request, at the {door.__name__} door")

        # More answers than a socket holds, and none of them taken.
        pour(held.enter_context(control()), b'{"op":"status"}\n' * 1000, 1 << 20)
        for _ in range(40):
            link = held.enter_context(control())
            with contextlib.suppress(OSError):
                link.sendall(b'{"op":"metrics"}\n' * 50)
        for _ in range(40):
            link = held.enter_context(http())
            with contextlib.suppress(OSError):
                link.sendall(b"GET /metrics HTTP/1.1\r\nHost: gateway\r\n\r\n" * 50)
        operator("those who take no answer")

    # What is too large ends early, and never has a place in memory.
    with control() as link:
        taken = pour(link, b"x" * 65536, 64 << 20)
        expect(taken < 4 << 20, f"a request of {taken} bytes was taken")
    with control() as link:
        link.sendall(b"x" * 65536)
        answer = json.loads(link.makefile("rb").readline())
        expect("64 KiB" in answer["error"], f"a large request gave {answer}")
    with http() as link:
        taken = pour(link, b"X-Filler: " + b"x" * 65000 + b"\r\n", 64 << 20)
        expect(taken < 8 << 20, f"a header of {taken} bytes was taken")
    with http() as link:
        link.sendall(b"POST / HTTP/1.1\r\nHost: gateway\r\nContent-Length: 9999999999\r\n\r\n")
        expect(not link.recv(1 << 16).startswith(b"HTTP/1.1 200"), "an endless body was taken")
    for nonsense in (b"\0" * 1000, b"\xff\xfe{}\n", b"[" * 60000 + b"\n", b'{"op":null}\n', b"{}\n", b'"op"\n', b"\n"):
        with control() as link:
            link.sendall(nonsense if nonsense.endswith(b"\n") else nonsense + b"\n")
            answer = json.loads(link.makefile("rb").readline())
            expect("error" in answer, f"{nonsense[:20]!r} gave {answer}")
        with http() as link, contextlib.suppress(OSError):
            link.sendall(nonsense + b"\r\n\r\n")
            link.shutdown(socket.SHUT_WR)
            expect(b" 200 " not in link.recv(1 << 16), f"{nonsense[:20]!r} was taken for a request")
    operator("what is too large or no request")

    scale.finish()
    hub.wait_arrivals("scale-2", scale.sent)
    expect(scale.connects == 1, "the device lost its connection")
    expect(gateway.process.terminate() == 0, "the gateway did not end with 0 at SIGTERM")


if __name__ == "__main__":
    main("37_open_doors", body)
