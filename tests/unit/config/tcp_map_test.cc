// SPDX-License-Identifier: Apache-2.0

#include "tests/support/catch.h"
#include "tests/unit/config/config_text.h"

using namespace trunkline;
using namespace trunkline::config;
using namespace std::chrono_literals;

namespace {

Loaded load_map(const std::string& text) {
  return load_strings(kHub, {text});
}

std::string fault(const std::string& tcp) {
  return report(load_map("[[device]]\nid = \"d\"\n" + tcp).problems);
}

bool holds(const std::string& text, std::string_view part) {
  INFO(text);
  CHECK(text.find(part) != std::string::npos);
  return true;
}

}  // namespace

TEST_CASE("a TCP map with everything is read as it is written", "[config]") {
  const auto loaded = load_map(R"([[device]]
id = "meter-7"
[device.tcp]
connect = "10.0.0.9:4001"
framing = { kind = "modbus_rtu" }
ack = '\x06{sequence}'
sequence = { offset = 1, size = 2 }
cumulative = true
identify = { by = "frame", offset = 0, size = 1, as = "hex", is = "07" }
command = { send = '\x07{payload}', reply = '\x07{payload}', timeout = "1s", retries = 2, expire = "5s", framing = { kind = "slip" } }
poll = [{ send = '\x07\x03\x00\x00\x00\x01', every = "10s", timeout = "1s" }]
heartbeat = { match = '^ping', answer = 'pong' }
probe = { send = '\x00', every = "30s", timeout = "5s" }
silence = "2m"
dead_after = "20s"
gap = "50ms"
release = "5s"
retry = "1m"
bind = "10.0.0.1"
)");
  REQUIRE(report(loaded.problems).empty());
  const auto& tcp = *loaded.settings.devices.front().tcp;
  CHECK(tcp.connect == "10.0.0.9:4001");
  CHECK(tcp.line.identify.by == TcpIdentify::By::frame);
  CHECK(tcp.line.identify.field.hex);
  CHECK(tcp.is == "07");
  CHECK(tcp.line.sequence->offset == 1);
  CHECK(tcp.line.cumulative);
  CHECK(tcp.command->timeout == 1s);
  CHECK(tcp.command->retries == 2);
  CHECK(tcp.command->expire == 5s);
  CHECK(tcp.command->framing->kind == FramingKind::slip);
  REQUIRE(tcp.polls.size() == 1);
  CHECK(tcp.polls.front().send.size() == 6);
  CHECK(tcp.polls.front().every == 10s);
  REQUIRE(tcp.line.heartbeats.size() == 1);
  CHECK(tcp.line.heartbeats.front().answer == "pong");
  CHECK(tcp.line.probe->every == 30s);
  CHECK(tcp.line.silence == 2min);
  CHECK(tcp.line.dead_after == 20s);
  CHECK(tcp.line.gap == 50ms);
  CHECK(tcp.line.release == 5s);
  CHECK(tcp.line.retry == 1min);
  CHECK(tcp.line.bind == "10.0.0.1");
}

TEST_CASE("what is wrong in a TCP map is named where it stands", "[config]") {
  const std::string listen = "tcp.listen = \"127.0.0.1:1\"\n";
  CHECK(holds(fault("tcp.connect = \"10.0.0.9\""), "3:15: tcp.connect is \"10.0.0.9\"; write a host and a port"));
  CHECK(holds(fault(listen + "tcp.identify = { is = \"x\" }"), "4:16: tcp.identify.by is missing"));
  CHECK(holds(fault(listen + "tcp.identify = { by = \"fram\" }"), "did you mean \"frame\"?"));
  CHECK(holds(fault(listen + "tcp.identify = { by = \"frame\" }"), "needs one of match, pointer"));
  CHECK(holds(fault(listen + "tcp.identify = { by = \"frame\", match = '(' }"), "no regular expression"));
  CHECK(holds(fault(listen + "tcp.identify = { by = \"frame\", pointer = 'id' }"), "write a JSON pointer"));
  CHECK(holds(fault(listen + "tcp.identify = { by = \"psk\" }"), "needs tcp.tls = { psk = true }"));
  CHECK(holds(fault(listen + "tcp.identify = { by = \"certificate\" }"), "needs tcp.tls with cert, key and ca_file"));
  CHECK(holds(fault(listen + "tcp.tls = { cert = \"/c.pem\" }"), "belong together"));
  CHECK(holds(fault(listen + "tcp.release = \"5s\""), "unknown key \"release\""));
  CHECK(holds(fault(listen + "tcp.poll = \"x\""), "write a table, or an array of tables"));
  CHECK(holds(fault(listen + "tcp.poll = { send = \"{payload}\", every = \"1s\" }"), "unknown field {payload}"));
  CHECK(holds(fault(listen + "tcp.poll = { send = \"x\" }"), "tcp.poll.every is missing"));
  CHECK(holds(fault(listen + "tcp.command = { send = \"x\", retries = 2 }\ncommand_done = \"written\""),
              "retries without"));
  CHECK(holds(fault(listen + "tcp.ack = \"{number}\"\ntcp.sequence = { offset = 0, size = 1 }"),
              "unknown field {number}"));
  CHECK(holds(fault("tcp.connect = \"10.0.0.9:1\"\ntcp.identify = { by = \"address\", is = \"10.0.0.9\" }"),
              "who is dialled is known"));
  CHECK(holds(fault(listen + "tcp.identify = { by = \"address\" }"), "4:16: tcp.identify.is is missing"));
  CHECK(holds(fault(listen + "tcp.identify = { by = \"address\", is = \"scale\" }"),
              "4:39: tcp.identify.is: 'scale' is no address and no network"));
  CHECK(holds(fault(listen + "tcp.allow = [\"10.0.0.0/33\"]"), "4:14: tcp.allow: '10.0.0.0/33' is no address"));
  const std::string dial = "tcp.connect = \"10.0.0.9:1\"\n";
  CHECK(holds(fault(dial + "tcp.tls = { key = \"/k.pem\" }"), "belong together"));
  CHECK(holds(fault(dial + "tcp.tls = { psk = true, ca_file = \"/c.pem\" }"), "the key is the proof of both sides"));
  CHECK(holds(fault(dial + "tcp.tls = { identity = \"x\" }"), "4:24: tcp.tls.identity is who we are"));
  CHECK(holds(fault(dial + "tcp.allow = \"10.0.0.1\""), "unknown key \"allow\""));
}

TEST_CASE("a TLS device that is dialled is read as it is written", "[config]") {
  const auto tls_of = [](const std::string& text) {
    const auto loaded = load_map("[[device]]\nid = \"d\"\ntcp.connect = \"10.0.0.9:1\"\ntcp.tls = " + text);
    REQUIRE(report(loaded.problems).empty());
    return *loaded.settings.devices.front().tcp->line.tls;
  };
  const auto with = tls_of("{ ca_file = \"/ca.pem\", cert = \"/c.pem\", key = \"/k.pem\", name = \"plc\" }");
  CHECK(with.ca_file == "/ca.pem");
  CHECK(with.cert == "/c.pem");
  CHECK(with.key == "/k.pem");
  CHECK(with.name == "plc");
  const auto psk = tls_of("{ psk = true, identity = \"gateway-7\" }");
  CHECK(psk.psk);
  CHECK(psk.identity == "gateway-7");
  CHECK(tls_of("{}").ca_file.empty());
}

TEST_CASE("a plain listener that every network reaches is warned about once, and not when it is guarded",
          "[config] [I-02]") {
  const auto warnings = [](const std::string& text) { return report(load_map(text).warnings); };
  const auto device = [](const std::string& id, const std::string& tcp) {
    return "[[device]]\nid = \"" + id + "\"\n" + tcp + "\n";
  };
  const std::string open = "tcp.listen = \"0.0.0.0:4001\"\n";
  const std::string shared = open + "tcp.identify = { by = \"frame\", offset = 0, size = 1 }\n";
  const auto one = warnings(device("a", open));
  CHECK(holds(one, "devices.d/0.toml:3:14: tcp.listen is 0.0.0.0:4001 without tcp.tls"));
  CHECK(holds(one, "\"10.0.0.1:4001\""));
  CHECK(holds(warnings(device("a", "tcp.listen = \"[::]:4001\"")), "without tcp.tls"));
  const auto two = warnings(device("a", shared) + device("b", shared));
  CHECK(two.find("tcp.listen is") == two.rfind("tcp.listen is"));
  CHECK(warnings(device("a", open + "tcp.allow = \"10.0.0.0/8\"")).empty());
  CHECK(warnings(device("a", open + "tcp.tls = { psk = true }")).empty());
  CHECK(warnings(device("a", "tcp.listen = \"10.0.0.1:4001\"")).empty());
}

TEST_CASE("devices that share a TCP address must say the same of it, and be told apart", "[config] [I-02]") {
  const auto two = [](const std::string& one, const std::string& other) {
    return report(load_map("[[device]]\nid = \"a\"\n" + one + "\n[[device]]\nid = \"b\"\n" + other).problems);
  };
  const std::string frame =
      "tcp.listen = \"127.0.0.1:1\"\ntcp.identify = { by = \"frame\", offset = 0, size = 1, is = ";
  CHECK(two(frame + "\"1\" }", frame + "\"2\" }").empty());
  CHECK(holds(two(frame + "\"1\" }", frame + "\"1\" }"), "7:14: on 127.0.0.1:1 the device at"));
  CHECK(holds(two(frame + "\"1\" }", frame + "\"2\" }\ntcp.ack = \"OK\""), "they do not say the same"));
  CHECK(holds(two(frame + "\"1\" }", "tcp.listen = \"127.0.0.1:1\""), "collides"));
  CHECK(holds(two("tcp.connect = \"h:1\"", "tcp.connect = \"h:1\""), "is dialled already"));
}
