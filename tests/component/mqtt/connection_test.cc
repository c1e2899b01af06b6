// SPDX-License-Identifier: Apache-2.0
#include "tests/component/mqtt/bench.h"
#include "tests/support/catch.h"
#include "tests/support/eventually.h"

using namespace trunkline;
using namespace trunkline::test;
using namespace std::chrono_literals;

namespace {

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

void run_program(std::vector<std::string> arguments) {
  Child child(std::move(arguments));
  if (child.wait_exit() != 0) throw std::runtime_error(child.output());
}

// A certificate for 127.0.0.1 that is its own CA.
void make_certificate(const ScratchDirectory& directory, const std::string& name) {
  run_program({"openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
               "-days", "2", "-subj", "/CN=" + name, "-addext", "subjectAltName=IP:127.0.0.1", "-keyout",
               directory.file(name + ".key"), "-out", directory.file(name + ".pem")});
}

}  // namespace

TEST_CASE("a wrong password is shown and tried again, and a corrected file is enough", "[R-01]") {
  ScratchDirectory secrets;
  run_program({"mosquitto_passwd", "-b", "-c", secrets.file("users"), "gateway", "right"});
  Bench bench({mqtt_device("boiler")}, "allow_anonymous false\npassword_file " + secrets.file("users") + "\n");
  bench.settings.user = "gateway";
  bench.settings.password_file = secrets.write("password", "wrong\n");
  bench.run(false);
  REQUIRE(bench.broker.log().wait_line("Sending CONNACK to", 2));
  const auto status = bench.adapter->status();
  CHECK_FALSE(status.healthy);
  CHECK(contains(status.detail, "Not authorized"));
  CHECK_FALSE(contains(status.detail, "wrong"));

  secrets.write("password", "right\n");
  REQUIRE(bench.ingress.wait_presence(device_id("boiler"), Presence::reachable));
  CHECK(bench.adapter->status().healthy);
}

TEST_CASE("a command that the broker's rules forbid is rejected with its reason", "[C-01]") {
  ScratchDirectory rules;
  Bench bench({mqtt_device("boiler")},
              "allow_anonymous true\nacl_file " + rules.write("acl", "topic read plant/boiler/#\n") + "\n");
  bench.run();
  const auto outcome = bench.deliver(Bench::command("boiler", 1, 60s)).wait();
  REQUIRE(outcome);
  CHECK(outcome->kind == Outcome::Kind::rejected);
  CHECK(outcome->condition == "amqp:unauthorized-access");
  // The broker may end the connection over it; then the adapter comes back by itself.
  REQUIRE(bench.ingress.wait_presence(device_id("boiler"), Presence::reachable));
}

TEST_CASE("a broker that is not there is no failure of the start", "[R-01]") {
  Bench bench;
  bench.broker.stop();
  bench.run(false);
  bench.broker.start();
  REQUIRE(bench.ingress.wait_presence(device_id("boiler"), Presence::reachable));
  CHECK(bench.adapter->status().healthy);
}

TEST_CASE("an unreadable password file and a shared topic are failures of the start") {
  Bench bench;
  SECTION("password file") {
    bench.settings.password_file = bench.broker.directory().file("none");
    MqttAdapter adapter(bench.settings, bench.devices, bench.clock, bench.metrics);
    const auto started = adapter.start(bench.ingress);
    REQUIRE_FALSE(started);
    CHECK(contains(started.error().message, "password file"));
  }
  SECTION("topic") {
    auto other = mqtt_device("pump");
    other.mqtt->telemetry = bench.devices.front().mqtt->telemetry;
    MqttAdapter adapter(bench.settings, {bench.devices.front(), other}, bench.clock, bench.metrics);
    CHECK_FALSE(adapter.start(bench.ingress));
  }
}

TEST_CASE("a broker that asks for our certificate gets it, and its name decides who we are", "[S-01]") {
  ScratchDirectory keys;
  make_certificate(keys, "broker");
  make_certificate(keys, "gateway");
  Bench bench({mqtt_device("boiler")}, "certfile " + keys.file("broker.pem") + "\nkeyfile " + keys.file("broker.key") +
                                           "\ncafile " + keys.file("gateway.pem") +
                                           "\nrequire_certificate true\nuse_identity_as_username true\n");
  bench.settings.tls = true;
  bench.settings.ca_file = keys.file("broker.pem");
  bench.ingress.answer_by([](const Telemetry&) { return Admission::safe(); });
  bench.run(false);
  // Without ours the broker ends the handshake.
  REQUIRE(bench.broker.log().wait_line("OpenSSL Error"));
  CHECK(bench.broker.log().lines_with("New client connected") == 0);
  bench.settings.cert = keys.file("gateway.pem");
  bench.settings.key = keys.file("gateway.key");
  bench.run();
  CHECK(bench.broker.log().wait_line("as trunkline (p5"));
}

TEST_CASE("over TLS the broker must have a certificate of the CA and for its name", "[S-01]") {
  ScratchDirectory keys;
  make_certificate(keys, "broker");
  make_certificate(keys, "other");
  Bench bench({mqtt_device("boiler")}, "certfile " + keys.file("broker.pem") + "\nkeyfile " + keys.file("broker.key") +
                                           "\nallow_anonymous true\n");
  bench.settings.tls = true;
  SECTION("right CA") {
    bench.settings.ca_file = keys.file("broker.pem");
    bench.ingress.answer_by([](const Telemetry&) { return Admission::safe(); });
    bench.run();
    Child device({"mosquitto_pub", "-h", "127.0.0.1", "-p", std::to_string(bench.broker.port()), "--cafile",
                  keys.file("broker.pem"), "-q", "1", "-t", "plant/boiler/state", "-m", "secret"});
    REQUIRE(device.wait_exit() == 0);
    REQUIRE(bench.ingress.wait_count(1));
    CHECK(bench.broker.log().wait_line("Received PUBACK from trunkline"));
  }
  SECTION("right CA, and a message held at the stop") {
    bench.settings.ca_file = keys.file("broker.pem");
    bench.run();
    Child device({"mosquitto_pub", "-h", "127.0.0.1", "-p", std::to_string(bench.broker.port()), "--cafile",
                  keys.file("broker.pem"), "-q", "1", "-t", "plant/boiler/state", "-m", "secret"});
    REQUIRE(bench.ingress.wait_held(1));
    bench.adapter->stop(in(50ms));
    CHECK(bench.broker.log().lines_with("Received PUBACK from trunkline") == 0);
    bench.run(false);
    REQUIRE(bench.ingress.wait_held(2));
    bench.ingress.answer_all(Admission::safe());
    CHECK(bench.broker.log().wait_line("Received PUBACK from trunkline"));
  }
  SECTION("another CA") {
    bench.settings.ca_file = keys.file("other.pem");
    bench.run(false);
    REQUIRE(bench.broker.log().wait_line("OpenSSL Error", 2));
    const auto status = bench.adapter->status();
    CHECK_FALSE(status.healthy);
    CHECK(contains(status.detail, "TLS certificate: "));
    CHECK(contains(status.detail, "its authority is not among those that we trust"));
    CHECK(bench.ingress.presence_of(device_id("boiler")) == Presence::away);
  }
  SECTION("right CA, other name") {
    bench.settings.ca_file = keys.file("broker.pem");
    bench.settings.broker.host = "localhost";
    bench.run(false);
    REQUIRE(bench.broker.log().wait_line("New connection", 2));
    CHECK_FALSE(bench.adapter->status().healthy);
    CHECK(bench.broker.log().lines_with("New client connected") == 0);
    CHECK(contains(bench.adapter->status().detail, "it is not for 'localhost'"));
    CHECK_FALSE(contains(bench.adapter->status().detail, "INSECURE"));
  }
  SECTION("other name, and the name is not checked") {
    bench.settings.ca_file = keys.file("broker.pem");
    bench.settings.broker.host = "localhost";
    bench.settings.verify_host = false;
    bench.run();
    CHECK(contains(bench.adapter->status().detail, "INSECURE: verify_host is off"));
  }
  SECTION("another CA, and the certificate is not checked") {
    bench.settings.ca_file = keys.file("other.pem");
    bench.settings.verify_certificate = false;
    bench.run();
    CHECK(contains(bench.adapter->status().detail, "INSECURE: verify_certificate is off"));
  }
  SECTION("another CA, and only the name is not checked") {
    bench.settings.ca_file = keys.file("other.pem");
    bench.settings.verify_host = false;
    bench.run(false);
    REQUIRE(bench.broker.log().wait_line("OpenSSL Error", 2));
    CHECK(bench.broker.log().lines_with("New client connected") == 0);
  }
  SECTION("neither is checked") {
    bench.settings.ca_file = keys.file("other.pem");
    bench.settings.broker.host = "localhost";
    bench.settings.verify_certificate = false;
    bench.settings.verify_host = false;
    bench.run();
    CHECK(contains(bench.adapter->status().detail, "verify_certificate and verify_host"));
  }
}

TEST_CASE("commands that a PUBACK proves go over TLS with the same proofs and checks", "[S-01][C-01]") {
  ScratchDirectory keys;
  make_certificate(keys, "broker");
  make_certificate(keys, "gateway");
  make_certificate(keys, "other");
  run_program({"mosquitto_passwd", "-b", "-c", keys.file("users"), "gateway", "right"});
  const auto tls = "certfile " + keys.file("broker.pem") + "\nkeyfile " + keys.file("broker.key") + "\n";
  const bool by_certificate = GENERATE(true, false);
  Bench bench({mqtt_device("boiler", CommandDone::acknowledged)},
              by_certificate ? tls + "cafile " + keys.file("gateway.pem") +
                                   "\nrequire_certificate true\nuse_identity_as_username true\n"
                             : tls + "allow_anonymous false\npassword_file " + keys.file("users") + "\n");
  bench.settings.tls = true;
  bench.settings.ca_file = keys.file("broker.pem");
  if (by_certificate) {
    bench.settings.cert = keys.file("gateway.pem");
    bench.settings.key = keys.file("gateway.key");
  } else {
    bench.settings.user = "gateway";
    bench.settings.password_file = keys.write("password", "right\n");
    bench.settings.ca_file = keys.file("other.pem");
    bench.settings.verify_certificate = false;
  }
  if (by_certificate) {
    bench.settings.broker.host = "localhost";
    bench.settings.verify_host = false;
  }
  bench.run();
  CHECK(bench.broker.log().wait_line("as trunkline-commands (p5, c1, k30, u'gateway')"));
  const auto outcome = bench.deliver(Bench::command("boiler", 1, 60s)).wait();
  REQUIRE(outcome);
  CHECK(contains(outcome->description, "nobody listens"));
}

TEST_CASE("a port that does not speak MQTT is named as such", "[R-01]") {
  ScratchDirectory keys;
  make_certificate(keys, "broker");
  Bench bench({mqtt_device("boiler")}, "certfile " + keys.file("broker.pem") + "\nkeyfile " + keys.file("broker.key") +
                                           "\nallow_anonymous true\n");
  bench.run(false);
  REQUIRE(bench.broker.log().wait_line("OpenSSL Error", 2));
  CHECK(contains(bench.adapter->status().detail, "mqtts:// is with TLS"));
  bench.broker.stop();
  REQUIRE(eventually([&] { return contains(bench.adapter->status().detail, "nobody listens there"); }));
}
