// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdlib>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "gateway/base/encoding.h"
#include "identity/directory.h"
#include "tests/hubsim/hub_server.h"
#include "tests/support/catch.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/trunk_driver.h"

namespace trunkline::test {

// Many times longer than wanted where a test may take its time: TRUNKLINE_LONG=1 runs faults at their full length.
inline bool long_form() {
  return std::getenv("TRUNKLINE_LONG") != nullptr;
}

// The simulator in process and devices that are registered there, with keys of their own.
class TrunkRig {
 public:
  explicit TrunkRig(unsigned devices) {
    hubsim::HubOptions options;
    options.state_directory = folder_.path("hub");
    options.hub_name = "contoso.example.net";
    options.also_listen = {"127.0.0.1:0"};
    auto started = hubsim::HubServer::start(options);
    REQUIRE(started);
    hub = std::move(*started);
    std::vector<identity::Identity> identities;
    for (unsigned i = 0; i < devices; ++i) {
      names.push_back("device-" + std::to_string(i));
      const auto key = hub->add_device(names.back());
      identities.push_back({*DeviceId::parse(names.back()), Secret(*base64_decode(key)), {}, {}, true, {}});
    }
    directory.replace(std::move(identities));
  }

  [[nodiscard]] hub::HubLink::Options link() const {
    hub::HubLink::Options out;
    out.host = hub->host();
    out.address = {"127.0.0.1", hub->port()};
    out.ca_file = hub->ca_file();
    out.gateway_id = "gateway-1";
    out.spool_uuid = "00112233445566778899aabbccddeeff";
    return out;
  }
  static Multiplexer::Options multiplexer() {
    Multiplexer::Options out;
    out.attach_rate = 0;
    out.trunk.reconnect = {Milliseconds(50), Milliseconds(100), Milliseconds(500)};
    return out;
  }
  // The answer of a control operation that must succeed.
  std::string ask(const std::string& request) {
    auto answer = hub->control(request);
    INFO(request << " -> " << answer);
    REQUIRE(answer.find("\"ok\":true") != std::string::npos);
    return answer;
  }
  // Every message reached the hub, and those of a device in order by first occurrence (D-02, D-03). Bodies are numbers
  // that rise per device.
  void check_arrivals(const TrunkDriver& driver) {
    std::map<std::string, std::uint64_t> last;
    std::map<std::string, std::uint64_t> distinct;
    for (const auto& arrival : hub->arrivals()) {
      const auto number = std::stoull(arrival.body);
      auto& before = last[arrival.device];
      if (number <= before) continue;  // a repeat
      INFO(arrival.device);
      REQUIRE(number == before + 1);
      before = number;
    }
    for (std::size_t i = 0; i < driver.size(); ++i) {
      const DeviceSlot slot{static_cast<std::uint32_t>(i)};
      INFO(driver.name(slot));
      REQUIRE(last[driver.name(slot)] == driver.said(slot));
    }
  }

  std::unique_ptr<hubsim::HubServer> hub;
  std::vector<std::string> names;
  identity::Directory directory{"contoso.example.net", Milliseconds(3'600'000)};

 private:
  TemporaryFolder folder_;
};

}  // namespace trunkline::test
