// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "adapters/coap/coap_adapter.h"
#include "gateway/base/clock.h"
#include "gateway/base/metrics.h"
#include "tests/support/catch.h"
#include "tests/support/coap_peer.h"
#include "tests/support/eventually.h"
#include "tests/support/fake_ingress.h"
#include "tests/support/make_command.h"

namespace trunkline::test {

inline DeviceId coap_id(const std::string& text) {
  return *DeviceId::parse(text);
}

inline DeviceMap coap_map(const std::string& id, const std::string& prefix) {
  DeviceMap map{.id = coap_id(id)};
  map.coap = CoapMap{{}, prefix + "/t", prefix + "/cmd", prefix + "/done"};
  return map;
}

inline CoapMessage post(const std::string& path, std::uint16_t id, std::string payload,
                        CoapMessage::Type type = CoapMessage::con) {
  CoapMessage out;
  out.type = type;
  out.code = 2;
  out.id = id;
  out.token = "tk" + std::to_string(id);
  out.path(path);
  out.payload = std::move(payload);
  return out;
}

inline CoapMessage get(const std::string& path, std::uint16_t id) {
  auto out = post(path, id, {});
  out.code = 1;
  return out;
}

// The real adapter on loopback in front of a fake ingress.
struct CoapRig {
  static config::Coap plain() {
    config::Coap out;
    out.listen = "127.0.0.1:0";
    return out;
  }
  explicit CoapRig(std::vector<DeviceMap> maps, const config::Coap& settings = plain())
      : adapter(settings, maps, clock, metrics) {
    const auto started = adapter.start(ingress);
    INFO((started ? std::string() : started.error().message));
    REQUIRE(started);
  }
  ~CoapRig() { stop(std::chrono::milliseconds(50)); }

  void stop(std::chrono::milliseconds patience = std::chrono::seconds(5)) {
    if (!std::exchange(stopped, true)) adapter.stop(clock.steady() + patience);
  }
  std::uint64_t metric(std::string_view name) { return metrics.metric(name, "").value(); }

  SystemClock clock;
  Metrics metrics;
  FakeIngress ingress;
  CoapAdapter adapter;
  bool stopped = false;
};

// Registers as an observer of `path` with `token`; returns what the resource shows.
inline CoapMessage observe(CoapPeer& peer, const std::string& path, std::uint16_t id, const std::string& token) {
  auto request = get(path, id);
  request.token = token;
  request.option(6, "");
  peer.send(request);
  const auto answer = peer.receive();
  REQUIRE(answer);
  REQUIRE(answer->code == 205);
  REQUIRE(answer->find(6));
  return *answer;
}

}  // namespace trunkline::test
