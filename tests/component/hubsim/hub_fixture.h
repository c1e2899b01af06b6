// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <string>

#include "gateway/base/crypto.h"
#include "gateway/base/encoding.h"
#include "gateway/base/json.h"
#include "tests/component/hubsim/raw_client.h"
#include "tests/hubsim/hub_server.h"
#include "tests/support/catch.h"

namespace trunkline::hubsim {

inline constexpr auto kKey = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
inline constexpr auto kUp = "/devices/d1/messages/events";
inline constexpr auto kDown = "/devices/d1/messages/devicebound";

// A hub with devices d1 and d2 in a directory of its own.
class HubFixture {
 public:
  explicit HubFixture(HubLimits limits = {}, std::vector<std::string> also_listen = {},
                      std::vector<NamedKey> policies = {})
      : directory_(std::filesystem::temp_directory_path() / ("hubsim-" + hex_encode(random_bytes(8)))) {
    HubOptions options;
    options.hub_name = "hub1";
    options.state_directory = directory_.string();
    options.devices = {{"d1", kKey}, {"d2", kKey}};
    options.limits = limits;
    options.also_listen = std::move(also_listen);
    options.policies = std::move(policies);
    options.https = "127.0.0.1:0";
    auto started = HubServer::start(std::move(options));
    REQUIRE(started);
    hub = std::move(*started);
  }
  ~HubFixture() {
    hub.reset();
    std::error_code ignored;
    std::filesystem::remove_all(directory_, ignored);
  }
  HubFixture(const HubFixture&) = delete;
  HubFixture& operator=(const HubFixture&) = delete;

  // The answer of an operation that must succeed.
  json::object ask(const std::string& request) {
    const auto answer = json::parse(hub->control(request)).get_object();
    CAPTURE(request, json::serialize(answer));
    REQUIRE(answer.at("ok").get_bool());
    return answer;
  }
  std::string owner_token() {
    const auto policies = hub->policies();
    return make_token(hub->host(), policies.front().key, std::chrono::hours(1), policies.front().name);
  }
  // Connected, with a token for d1, and its two links.
  void attach_d1(RawClient& client, int credit) {
    REQUIRE(client.connect());
    REQUIRE(client.put_device_token("d1", kKey) == 200);
    REQUIRE(client.attach_sender(kUp).empty());
    REQUIRE(client.attach_receiver(kDown, credit).empty());
  }

  std::unique_ptr<HubServer> hub;

 private:
  std::filesystem::path directory_;
};

inline proton::message telemetry(const std::string& id, const std::string& body) {
  proton::message message;
  message.id(id);
  message.inferred(true);
  message.body(proton::binary(body));
  return message;
}

}  // namespace trunkline::hubsim
