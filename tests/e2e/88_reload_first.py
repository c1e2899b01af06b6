#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A gateway that was installed and has no device gets its first ones by reload, the very first onto a port that is taken; a
device whose map is taken away while the hub is gone still gets rid of what it said [D-02 D-04].
"""

import os
import socket
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support", "e2e"))

from coap_client import CoapLoad  # noqa: E402
from gateway import Gateway, new_key  # noqa: E402
from harness import SOON, eventually, expect, main, note  # noqa: E402
from hub import Hub  # noqa: E402
from load import check_arrivals  # noqa: E402
from tcp_client import TcpLoad  # noqa: E402


def body(scenario):
    keys = {"scale-2": new_key(), "tank-3": new_key()}
    hub = Hub(scenario, keys)
    port, coap_port = scenario.ports.take(), scenario.ports.take()
    gateway = Gateway(scenario, hub, {}, keys)
    gateway.start()
    eventually(lambda: (gateway.status() or {}).get("verdict") == "ok", "idle is well")
    expect("trunkline reload" in gateway.status()["action"], "status does not say how to go on")

    def write(name, text):
        with open(os.path.join(gateway.folder, "devices.d", name + ".toml"), "w", encoding="utf-8") as file:
            file.write(text)

    with open(gateway.config, "a", encoding="utf-8") as file:
        file.write(f'\n[coap]\nlisten = "127.0.0.1:{coap_port}"\n')
    write("scale-2", f'[[device]]\nid = "scale-2"\ntcp.listen = "127.0.0.1:{port}"\ntcp.ack = "OK\\n"\n')
    write("tank-3", '[[device]]\nid = "tank-3"\ncoap.telemetry = "/t"\n')
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as squatter:
        squatter.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        squatter.bind(("127.0.0.1", port))
        squatter.listen()
        done = gateway.cli("reload", expected=1)
        expect("in use" in done.stderr and "what held before holds again" in done.stderr, f"reload says {done.stderr}")
    expect(not gateway.status()["devices"], "something was left of a reload that was taken back")
    done = gateway.cli("reload")
    expect("+ scale-2" in done.stdout and "+ tank-3" in done.stdout and "+ [coap]" in done.stdout, f"it says {done.stdout}")

    scale, tank = TcpLoad("scale-2", port, rate=50), CoapLoad("tank-3", coap_port, "/t", rate=20)
    for load in (scale, tank):
        load.start()
        load.wait_acknowledged(10)
    note("the first devices came by reload, both protocols with it")

    hub.ask("listen", mode="refuse")
    hub.ask("drop", how="rst")
    scale.wait_acknowledged(scale.acknowledged + 50)
    scale.finish()
    os.unlink(os.path.join(gateway.folder, "devices.d", "scale-2.toml"))
    done = gateway.cli("reload")
    expect("- scale-2" in done.stdout, f"it says {done.stdout}")
    left = gateway.device_status("scale-2")
    expect(left and left["waiting"] > 0 and left["mapped"] is False, f"what waits of it is not shown: {left}")
    hub.ask("listen", mode="accept")
    eventually(lambda: gateway.device_status("scale-2") is None, "it is gone once all of it was sent", 3 * SOON)
    tank.finish()
    eventually(lambda: gateway.status()["safety"]["waiting"] == 0, "nothing waits")
    check_arrivals("scale-2", hub.arrivals("scale-2"), scale.sent, 0)
    note(f"{scale.sent} messages, the last of them sent although the map was gone")

    # It comes back as if nothing had been.
    write("scale-2", f'[[device]]\nid = "scale-2"\ntcp.listen = "127.0.0.1:{port}"\ntcp.ack = "OK\\n"\n')
    gateway.cli("reload")
    again = TcpLoad("scale-2", port, rate=50)
    again.start()
    again.wait_acknowledged(10)
    again.finish()
    eventually(lambda: gateway.status()["safety"]["waiting"] == 0, "nothing waits")
    eventually(lambda: '"unaccounted":0' in gateway.cli("ledger", "--json").stdout.replace(" ", ""), "the ledger balances")
    check_arrivals("tank-3", hub.arrivals("tank-3"), tank.sent, 0)
    expect(gateway.process.terminate() == 0, "the gateway did not end with 0 at SIGTERM")


if __name__ == "__main__":
    main("88_reload_first", body)
