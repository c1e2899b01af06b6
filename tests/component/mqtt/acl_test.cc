// SPDX-License-Identifier: Apache-2.0
#include "tests/component/mqtt/bench.h"
#include "tests/support/catch.h"

using namespace trunkline;
using namespace trunkline::test;

namespace {

// A broker with the shipped rules, and a name and password each for trunkline and two plugs.
struct GuardedBench {
  GuardedBench() {
    const auto passwords = directory.file("passwd");
    for (const std::string name : {"trunkline", "kitchen", "hall"}) {
      std::vector<std::string> arguments{"mosquitto_passwd", "-b"};
      if (name == "trunkline") arguments.emplace_back("-c");
      arguments.insert(arguments.end(), {passwords, name, "secret-" + name});
      Child child(arguments);
      REQUIRE(child.wait_exit() == 0);
    }
    std::vector<DeviceMap> maps;
    for (const std::string name : {"kitchen", "hall"}) {
      auto map = mqtt_device("plug-" + name);
      map.mqtt = MqttMap{"default", "tele/" + name + "/SENSOR", "cmnd/" + name + "/POWER", "stat/" + name + "/RESULT"};
      map.mqtt->filters = {"tele/+/SENSOR", "stat/+/RESULT"};
      maps.push_back(std::move(map));
    }
    bench = std::make_unique<Bench>(std::move(maps), "allow_anonymous false\npassword_file " + passwords +
                                                         "\nacl_file " TRUNKLINE_SOURCE_DIR
                                                         "/packaging/mosquitto/trunkline.acl\n");
    bench->settings.user = "trunkline";
    bench->settings.password_file = directory.write("password", "secret-trunkline\n");
    bench->ingress.answer_by(always_safe);
  }
  ScratchDirectory directory;
  std::unique_ptr<Bench> bench;
};

}  // namespace

TEST_CASE("the shipped rules stop a device that speaks for another, and let it speak for itself", "[I-02]") {
  GuardedBench guarded;
  auto& bench = *guarded.bench;
  bench.run();
  // The broker answers 0x87 with MQTT 5; whether the client makes that its exit status is its own affair.
  Child thief(bench.broker.client("mosquitto_pub", "thief",
                                  {"-u", "kitchen", "-P", "secret-kitchen", "-t", "tele/hall/SENSOR", "-m", "stolen"}));
  thief.wait_exit();
  CHECK(bench.broker.log().wait_line("Denied PUBLISH from thief"));
  Child nobody(bench.broker.client("mosquitto_pub", "nobody", {"-t", "tele/hall/SENSOR", "-m", "stolen"}));
  CHECK(nobody.wait_exit() != 0);
  Child own(bench.broker.client("mosquitto_pub", "own",
                                {"-u", "kitchen", "-P", "secret-kitchen", "-t", "tele/kitchen/SENSOR", "-m", "mine"}));
  CHECK(own.wait_exit() == 0);
  REQUIRE(bench.ingress.wait_count(1));
  CHECK(bench.ingress.bodies() == std::vector<std::string>{"mine"});
  CHECK(bench.ingress.received().front().device == device_id("plug-kitchen"));
}
