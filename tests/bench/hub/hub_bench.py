#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The hub thread alone beside raw Proton: CPU per message at the sender, and their ratio, for 1, 100 and 1000 devices.

Each round runs both senders one after the other against the same kind of receiver in a process of its own (raw Proton over
TLS, 1000 credits a link, everything accepted); the ratio is the median of the rounds' ratios. Numbers are never a verdict.

With --yardstick PROGRAM the limit is that program's sender (`client tls … codec=1`) instead of this repository's own raw_proton.

What devices cost that only are there: tests/bench/trunk/trunk_bench.py attach.

  TRUNKLINE_BENCH=build/release/tests/bench tests/bench/hub/hub_bench.py
"""

import argparse
import json
import os
import re
import socket
import statistics
import subprocess
import tempfile
import time


def certificate(folder):
    """A self-signed certificate for localhost that is its own authority."""
    key, cert = os.path.join(folder, "key.pem"), os.path.join(folder, "cert.pem")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", cert, "-days", "1", "-subj",
                    "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"], check=True, stderr=subprocess.DEVNULL)
    return key, cert


def raw(tools, key, cert, devices, options):
    done = subprocess.run([os.path.join(tools, "gateway", "trunkline-bench-raw-proton"), "--cert", cert, "--key", key, "--ca", cert,
                           "--links", str(devices), "--messages", str(options.messages), "--size", str(options.size)],
                          check=True, stdout=subprocess.PIPE, timeout=600)
    return json.loads(done.stdout)


def yardstick(program, devices, options):
    """The sender of a yardstick program that serves and connects by `tls port= links= codec=1` and prints `us/msg=`."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = f"port={probe.getsockname()[1]}"
    where = os.path.dirname(os.path.abspath(program))
    with subprocess.Popen([program, "server", "tls", "once=1", port, "credit=1000"], cwd=where, stdout=subprocess.DEVNULL) as server:
        try:
            for _ in range(100):
                done = subprocess.run([program, "client", "tls", port, f"links={devices}", f"sessions={min(devices, 10)}", "ob=65536",
                                       "inflight=1000", f"msgs={options.messages}", f"size={options.size}", "codec=1"], cwd=where,
                                      stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=600, check=False)
                found = re.search(rb"us/msg=([0-9.]+)", done.stdout)
                if found:
                    return {"cpu_us_per_message": float(found.group(1))}
                time.sleep(0.05)  # it does not listen yet
        finally:
            server.kill()
    raise RuntimeError("the yardstick gave no figure")


def hub_link(tools, key, cert, devices, options):
    with subprocess.Popen([os.path.join(tools, "gateway", "trunkline-bench-raw-proton"), "--serve", "--cert", cert, "--key", key],
                          stdout=subprocess.PIPE) as receiver:
        try:
            port = receiver.stdout.read().decode()
            done = subprocess.run([os.path.join(tools, "hub", "trunkline-bench-hub-send"), "--port", port, "--ca", cert, "--devices",
                                   str(devices), "--messages", str(options.messages), "--size", str(options.size)],
                                  check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=600)
        finally:
            receiver.kill()
    return json.loads(done.stdout)


def main():
    parser = argparse.ArgumentParser(description="hub link benchmark")
    parser.add_argument("--messages", type=int, default=300_000)
    parser.add_argument("--size", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--devices", default="1,100,1000")
    parser.add_argument("--yardstick", help="the yardstick's program")
    options = parser.parse_args()
    tools = os.environ["TRUNKLINE_BENCH"]
    print(f"{options.messages} messages of {options.size} B, {options.rounds} rounds")
    print(f"{'devices':>8} {'hub us/msg':>11} {'raw us/msg':>11} {'ratio':>6} {'hub msgs/s':>11}")
    with tempfile.TemporaryDirectory() as folder:
        key, cert = certificate(folder)
        for devices in map(int, options.devices.split(",")):
            pairs = [(hub_link(tools, key, cert, devices, options), yardstick(options.yardstick, devices, options) if options.yardstick
                      else raw(tools, key, cert, devices, options))
                     for _ in range(options.rounds)]
            cost = [[run["cpu_us_per_message"] for run in side] for side in zip(*pairs)]
            ratio = statistics.median(ours / limit for ours, limit in zip(*cost))
            rate = statistics.median(ours["messages_per_s"] for ours, _ in pairs)
            print(f"{devices:>8} {statistics.median(cost[0]):>11.2f} {statistics.median(cost[1]):>11.2f} {ratio:>6.2f} {rate:>11.0f}",
                  flush=True)


if __name__ == "__main__":
    main()
