// SPDX-License-Identifier: Apache-2.0
#include <map>

#include "adapters/mqtt/broker_proof.h"
#include "tests/component/mqtt/broker.h"
#include "tests/support/catch.h"

using namespace trunkline;
using namespace trunkline::test;
using Verdict = mqtt::BrokerProof::Verdict;

namespace {

config::Mqtt settings_for(const Broker& broker) {
  config::Mqtt out;
  out.broker = net::Endpoint{"127.0.0.1", broker.port()};
  return out;
}

std::map<std::string, Verdict> prove(const config::Mqtt& settings) {
  std::map<std::string, Verdict> out;
  for (const auto& proof : mqtt::prove_broker(settings)) {
    INFO(proof.what << ": " << proof.detail);
    out[proof.what] = proof.verdict;
  }
  return out;
}

}  // namespace

TEST_CASE("a broker that keeps what it acknowledges proves it, and nothing is left behind", "[D-02]") {
  const std::string version = GENERATE("5", "3.1.1");
  Broker broker;
  broker.start();
  auto settings = settings_for(broker);
  settings.version = version;
  auto proofs = prove(settings);
  CHECK(proofs["the broker lets us in"] == Verdict::proven);
  CHECK(proofs["our session survives a lost connection"] == Verdict::proven);
  CHECK(proofs["2000 messages wait for us while we are away"] == Verdict::proven);
  CHECK(proofs["a stranger cannot publish"] == Verdict::failed);
  CHECK(proofs["how much it keeps at most (max_queued_bytes)"] == Verdict::unknown);
}

TEST_CASE("a broker with its own defaults is found out", "[D-02]") {
  Broker broker("allow_anonymous true\nmax_queued_messages 1000\n");
  broker.unlimited = false;
  broker.start();
  CHECK(prove(settings_for(broker))["2000 messages wait for us while we are away"] == Verdict::failed);
}

TEST_CASE("a broker that refuses us or strangers says so", "[D-02]") {
  ScratchDirectory files;
  Child made({"mosquitto_passwd", "-b", "-c", files.file("passwd"), "gateway", "right"});
  REQUIRE(made.wait_exit() == 0);
  Broker broker("allow_anonymous false\npassword_file " + files.file("passwd") + "\n");
  broker.start();
  auto settings = settings_for(broker);
  settings.user = "gateway";
  settings.password_file = files.write("password", "wrong");
  CHECK(prove(settings)["the broker lets us in"] == Verdict::failed);
  settings.password_file = files.write("password", "right");
  auto proofs = prove(settings);
  CHECK(proofs["2000 messages wait for us while we are away"] == Verdict::proven);
  CHECK(proofs["a stranger cannot publish"] == Verdict::proven);
}
