#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Bad TOML of every kind: one run names every problem as file:line:col and ends with 2, for `check` and for `run`."""

import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support", "e2e"))

from harness import expect, main, note  # noqa: E402

# "@@" marks the place that a message must name; it is not part of the file.
MAIN = """[hub]
host = "contoso.azure-devices.net"
token_lifetime = @@3600
adress = "127.0.0.1:5671"
ca_file = @@"/nonexistent/hub-ca.pem"

[spool]
directory = @@5

[mqtt]
broker = "mqtt://127.0.0.1:1883"

[coap]
listen = "127.0.0.1:5683"
"""
FILES = {
    "10-unknown-key.toml": """[[device]]
id = "boiler-1"
mqtt.telemetry = "plant/boiler1/state"
mqtt.@@telemetri = "plant/boiler1/state"
""",
    "20-duplicate.toml": """[[device]]
id = "scale-2"
tcp.listen = "127.0.0.1:4001"

[[device]]
id = @@"scale-2"
tcp.listen = "127.0.0.1:4002"
""",
    "30-dangling.toml": """[[device]]
id = "boiler-3"
mqtt.broker = @@"plant-b"
mqtt.telemetry = "plant/boiler3/state"
""",
    "40-syntax.toml": """[[device]]
id = "tank-3"
coap.telemetry = @@= "/t"
""",
    "50-missing-unit.toml": """[[device]]
id = "tank-5"
coap.telemetry = "/tank5"
expect_every = @@30
""",
}
# Each: the file, what the message must say besides its place.
WANTED = {
    "trunkline.toml": [
        r"token_lifetime.*(unit|\"\d+s\"|string)", r"directory.*string", r"/nonexistent/hub-ca\.pem.*No such file",
    ],
    "10-unknown-key.toml": [r"telemetri.*(did you mean|meant).*telemetry"],
    "20-duplicate.toml": [r"scale-2.*20-duplicate\.toml:2"],
    "30-dangling.toml": [r"plant-b"],
    "40-syntax.toml": [r"."],
    "50-missing-unit.toml": [r"expect_every.*(unit|\"\d+s\"|string)"],
}


def write(path, marked):
    """Writes the text without its marks; the marks' places as (line, column)."""
    places = []
    with open(path, "w", encoding="utf-8") as file:
        for number, line in enumerate(marked.split("\n"), 1):
            if "@@" in line:
                places.append((number, line.index("@@") + 1))
            file.write(line.replace("@@", "") + ("\n" if number < marked.count("\n") + 1 else ""))
    return places


def body(scenario):
    folder = os.path.join(scenario.folder, "etc")
    os.makedirs(os.path.join(folder, "devices.d"))
    config = os.path.join(folder, "trunkline.toml")
    places = {"trunkline.toml": write(config, MAIN)}
    for name, text in FILES.items():
        places[name] = write(os.path.join(folder, "devices.d", name), text)
    # Unreadable for everybody, root included.
    loop = os.path.join(folder, "devices.d", "60-unreadable.toml")
    os.symlink("60-unreadable.toml", loop)

    done = scenario.run([scenario.program("trunkline"), "check", "--config", config], expected=2)
    report = (done.stdout + done.stderr).splitlines()
    note("\n".join(line.replace(folder + "/", "") for line in report))
    for name, patterns in WANTED.items():
        lines = [line for line in report if re.match(rf".*{re.escape(name)}:\d+:\d+: ", line)]
        for line_number, column in places[name]:
            at = f"{name}:{line_number}:{column}: "
            expect(any(at in line for line in lines), f"no problem is named at {at!r}")
        for pattern in patterns:
            expect(any(re.search(pattern, line) for line in lines), f"no problem in {name} says {pattern!r}")
    expect(any("adress" in line and "address" in line for line in report), "adress is not answered with address")
    expect(
        any("60-unreadable.toml" in line and "symbolic links" in line for line in report),
        "the unreadable file is not named with its reason",
    )

    run = scenario.run([scenario.program("trunkline"), "run", "--config", config], expected=2)
    problems = [line for line in report if re.search(r"\.toml:\d+:\d+: ", line)]
    missing = [line for line in problems if line not in (run.stdout + run.stderr).splitlines()]
    expect(not missing, f"`trunkline run` does not name: {missing}")


if __name__ == "__main__":
    main("60_bad_toml", body)
