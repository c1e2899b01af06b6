// SPDX-License-Identifier: Apache-2.0
#include "tests/support/catch.h"
#include "tests/unit/config/config_text.h"

namespace trunkline::config {

TEST_CASE("a host alone is a whole configuration", "[config]") {
  const auto loaded = load_strings(kHub);
  CHECK(report(loaded.problems).empty());
  CHECK(loaded.settings.hub.address.text() == "h.example.net:5671");
  CHECK(loaded.settings.file == "/c/trunkline.toml");
  CHECK(!loaded.settings.coap);
  CHECK(report(loaded.warnings) ==
        "trunkline.toml: no devices; add a file with a [[device]] to the folder devices.d\n");
}

TEST_CASE("every option of trunkline.toml is read", "[config]") {
  const auto loaded = load_strings(R"(
[hub]
host = "h.example.net"
address = "[::1]:5672"
ca_file = "/ca.pem"
token_lifetime = "5m"
attach_rate = "off"
max_devices_per_connection = 10
transport = "amqps"
send_rate = "2000/s"
attach = "start"
[identity]
store = "/s.db"
key_file = "/k"
[spool]
directory = "/spool"
durability = "process"
max_bytes = "2MiB"
max_messages = 5
commit_delay = "250ms"
max_age = "2d"
device_share = "25%"
ledger_flush = "1s"
[status]
listen = "127.0.0.1:0"
control = "/c.sock"
[mqtt]
broker = "mqtts://b.example.net"
user = "u"
password_file = "/pw"
ca_file = "/bca"
client_id = "me"
keep_alive = "10s"
[coap]
listen = "127.0.0.1:5683"
[log]
level = "debug"
)");
  CHECK(report(loaded.problems).empty());
  const auto& s = loaded.settings;
  CHECK(s.hub.address.text() == "[::1]:5672");
  CHECK(s.hub.ca_file == "/ca.pem");
  CHECK(s.hub.token_lifetime == Milliseconds(300'000));
  CHECK(s.hub.attach_rate == 0.0);
  CHECK(s.hub.max_devices_per_connection == 10);
  CHECK(s.hub.send_rate == 2000);
  CHECK(s.hub.attach == Attach::start);
  CHECK(s.identity.store == "/s.db");
  CHECK(s.identity.key_file == "/k");
  CHECK(s.spool.directory == "/spool");
  CHECK(s.spool.durability == Durability::process);
  CHECK(s.spool.max_bytes == 2ULL << 20);
  CHECK(s.spool.max_messages == 5);
  CHECK(s.spool.commit_delay == Milliseconds(250));
  CHECK(s.spool.max_age == std::chrono::hours(48));
  CHECK(s.spool.device_share == 25);
  CHECK(s.spool.ledger_flush == Milliseconds(1000));
  CHECK(s.status.listen == "127.0.0.1:0");
  CHECK(s.status.control == "/c.sock");
  REQUIRE(s.mqtt.size() == 1);
  CHECK(s.mqtt[0].name == "default");
  CHECK(s.mqtt[0].tls);
  CHECK(s.mqtt[0].broker.text() == "b.example.net:8883");
  CHECK(s.mqtt[0].user == "u");
  CHECK(s.mqtt[0].password_file == "/pw");
  CHECK(s.mqtt[0].ca_file == "/bca");
  CHECK(s.mqtt[0].client_id == "me");
  CHECK(s.mqtt[0].keep_alive == Milliseconds(10'000));
  REQUIRE(s.coap);
  CHECK(s.coap->listen == "127.0.0.1:5683");
  CHECK(s.log_level == "debug");
}

TEST_CASE("each check of a broker's certificate can be switched off, and that is said", "[config][S-01]") {
  const auto loaded = load_strings(kHub + R"([[mqtt]]
name = "bench"
broker = "mqtts://10.0.0.1"
verify_certificate = false
verify_host = false
[[mqtt]]
name = "plain"
broker = "mqtt://127.0.0.1"
verify_host = false
)");
  REQUIRE(loaded.problems.empty());
  CHECK_FALSE(loaded.settings.mqtt[0].verify_certificate);
  CHECK_FALSE(loaded.settings.mqtt[0].verify_host);
  CHECK(loaded.settings.mqtt[1].verify_certificate);
  const auto warnings = report(loaded.warnings);
  INFO(warnings);
  for (const auto* said : {"trunkline.toml:6:22: mqtt.verify_certificate is off: ", "mqtt.verify_host is off: ",
                           "mqtt.verify_host has no effect with mqtt://"}) {
    INFO(said);
    CHECK(warnings.find(said) != std::string::npos);
  }
}

TEST_CASE("every problem of trunkline.toml is reported in one run, at its place", "[config]") {
  const auto loaded = load_strings(R"([hub]
adress = "127.0.0.1:5671"
token_lifetime = 30
attach_rate = "100"
max_devices_per_connection = "many"
proxy = "http://p:1"
transport = "websocket"
[spool]
max_bytes = "1KiB"
durability = "pwoer"
max_age = "7"
directory = "spool"
[identity]
store = 7
[status]
listen = "localhost:9464"
colour = 1
[sppol]
[coap]
[mqtt]
broker = "tcp://127.0.0.1:1883"
cert = "/c"
keep_alive = "1500ms"
[[device]]
id = "d"
)");
  CHECK(report(loaded.problems) ==
        R"(trunkline.toml:1:1: hub.host is missing; add it to this table
trunkline.toml:2:1: unknown key "adress" in hub; did you mean "address"?
trunkline.toml:3:18: hub.token_lifetime is a bare number, its unit is missing; write a string such as "30s"
trunkline.toml:4:15: hub.attach_rate is "100": write a rate such as "100/s", or "off"
trunkline.toml:5:30: hub.max_devices_per_connection is a string; write a whole number without quotes
trunkline.toml:6:1: hub.proxy is not supported yet in this version; remove it
trunkline.toml:7:13: hub.transport other than "amqps" is not supported yet in this version; remove it
trunkline.toml:9:13: spool.max_bytes is "1KiB"; write a size from "1MiB" to "1024GiB"
trunkline.toml:10:14: spool.durability is "pwoer"; write one of "power", "process" (did you mean "power"?)
trunkline.toml:11:11: spool.max_age is "7": the unit is missing; write a duration such as "30s" (units: ms, s, m, h, d)
trunkline.toml:12:13: spool.directory is "spool"; write a whole path, from "/" on
trunkline.toml:14:9: identity.store is an integer; write a string in quotes
trunkline.toml:16:10: status.listen is "localhost:9464"; write an IP address and a port, such as "127.0.0.1:9464"
trunkline.toml:17:1: unknown key "colour" in status; remove it
trunkline.toml:18:2: unknown key "sppol"; did you mean "spool"?
trunkline.toml:19:1: coap.listen is missing; add it to this table
trunkline.toml:21:10: mqtt.broker is "tcp://127.0.0.1:1883"; write "mqtt://host:1883", or "mqtts://host:8883" for TLS
trunkline.toml:22:8: mqtt.cert and mqtt.key belong together; give both
trunkline.toml:23:14: mqtt.keep_alive must be whole seconds
trunkline.toml:24:3: [[device]] belongs in a file of the folder devices.d beside this one; move it there
)");
  CHECK(!loaded.paths_usable);
}

TEST_CASE("a host that is no host name is refused", "[config]") {
  for (const auto* wrong :
       {"", "https://h.example.net", "h.example.net:5671", "h example", "h..net", "-h", "h/devices"}) {
    INFO(wrong);
    const auto loaded = load_strings("[hub]\nhost = \"" + std::string(wrong) + "\"\n");
    REQUIRE(loaded.problems.size() == 1);
    CHECK(loaded.problems[0].place.line == 2);
    CHECK(loaded.problems[0].place.column == 8);
  }
  CHECK(load_strings("").problems.size() == 1);
  CHECK(load_strings("hub = 1").problems.size() == 1);
}

TEST_CASE("a secret in the wrong place is not repeated in the report", "[config][S-01]") {
  const auto loaded = load_strings(
      "[hub]\nhost = \"HostName=h;DeviceId=d;SharedAccessKey=c2VjcmV0\"\n[mqtt]\nbroker = "
      "\"tcp://user:c2VjcmV0@127.0.0.1\"\npassword = \"c2VjcmV0\"\n");
  CHECK(loaded.problems.size() == 3);
  CHECK(report(loaded.problems).find("c2VjcmV0") == std::string::npos);
  CHECK(report(loaded.problems).find("did you mean \"password_file\"?") != std::string::npos);
}

TEST_CASE("several brokers are told apart by name and session", "[config]") {
  const auto loaded = load_strings(kHub + R"([[mqtt]]
broker = "mqtt://127.0.0.1:1883"
[[mqtt]]
broker = "mqtt://10.0.0.1"
client_id = "second"
[[mqtt]]
name = "third"
broker = "mqtt://10.0.0.1:1883"
client_id = "second"
)");
  CHECK(
      report(loaded.problems) ==
      R"(trunkline.toml:5:1: the broker name "default" is taken by the table at /c/trunkline.toml:3:1; give each [[mqtt]] its own name = "…"
trunkline.toml:8:1: the same broker and client_id as the table at /c/trunkline.toml:5:1: each would end the other's session; give it its own client_id
)");
}

TEST_CASE("what works but opens a door is warned about", "[config]") {
  const auto loaded = load_strings(kHub + R"([coap]
listen = "0.0.0.0:5683"
[status]
listen = "10.0.0.1:9464"
[mqtt]
broker = "mqtt://10.0.0.1:1883"
user = "u"
password_file = "/pw"
ca_file = "/ca"
)");
  CHECK(report(loaded.problems).empty());
  REQUIRE(loaded.warnings.size() == 5);
  CHECK(loaded.warnings[1].place.line == 4);
  CHECK(loaded.warnings[2].place.line == 6);
  CHECK(loaded.warnings[3].place.line == 10);
  CHECK(loaded.warnings[4].place.line == 11);
}

TEST_CASE("the path of the control socket fits a socket address", "[config]") {
  const auto with = [](std::size_t length) {
    return load_strings(kHub + "[status]\ncontrol = \"/" + std::string(length - 1, 'x') + "\"\n").problems.size();
  };
  CHECK(with(107) == 0);
  CHECK(with(108) == 1);
}

TEST_CASE("identity and status stay usable while the hub is wrong", "[config]") {
  const auto loaded = load_strings("[identity]\nstore = \"/s\"\n[hub]\nhots = \"x\"\n");
  CHECK(loaded.problems.size() == 2);
  CHECK(loaded.paths_usable);
  CHECK(loaded.settings.identity.store == "/s");
  CHECK(!load_strings("[hub\n").paths_usable);
}

TEST_CASE("a plain CoAP listener that others can reach is warned about", "[config][I-02]") {
  const auto warned = [](const std::string& listen) {
    return report(load_strings(kHub + "[coap]\nlisten = \"" + listen + "\"\n").warnings);
  };
  for (const auto* here : {"127.0.0.1:5683", "127.9.0.1:5683", "[::1]:5683"})
    CHECK(warned(here).find("no proof") == std::string::npos);
  for (const auto* open : {"0.0.0.0:5683", "10.0.0.1:5683", "[::]:5683"}) {
    CHECK(warned(open).find("no proof of who speaks") != std::string::npos);
  }
}

}  // namespace trunkline::config
