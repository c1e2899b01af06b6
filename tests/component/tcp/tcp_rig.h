// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "adapters/tcp/tcp_adapter.h"
#include "gateway/base/clock.h"
#include "gateway/base/metrics.h"
#include "tests/support/catch.h"
#include "tests/support/eventually.h"
#include "tests/support/fake_ingress.h"
#include "tests/support/make_command.h"
#include "tests/support/socket_peer.h"

namespace trunkline::test {

inline DeviceId tcp_id(const std::string& text) {
  return *DeviceId::parse(text);
}

inline DeviceMap tcp_map(const std::string& id) {
  DeviceMap map{.id = tcp_id(id)};
  map.tcp = TcpMap{"127.0.0.1:0", {"\n", 1024}, "ACK\n", TcpCommand{"CMD {id} {payload}\n", "DONE {id}"}};
  return map;
}

// The real adapter on loopback in front of a fake ingress.
struct TcpRig {
  // `prepare` is for what the adapter may ask as soon as it runs.
  explicit TcpRig(std::vector<DeviceMap> maps, const std::function<void(FakeIngress&)>& prepare = {})
      : adapter(maps, clock, metrics) {
    if (prepare) prepare(ingress);
    const auto started = adapter.start(ingress);
    INFO((started ? std::string() : started.error().message));
    REQUIRE(started);
  }
  ~TcpRig() { stop(std::chrono::milliseconds(50)); }

  void stop(std::chrono::milliseconds patience = std::chrono::seconds(5)) {
    if (!std::exchange(stopped, true)) adapter.stop(clock.steady() + patience);
  }
  SocketPeer connect(const std::string& id) {
    SocketPeer peer(adapter.listening(tcp_id(id)));
    REQUIRE(peer.ok());
    REQUIRE(ingress.wait_presence(tcp_id(id), Presence::reachable));
    return peer;
  }
  std::uint64_t metric(std::string_view name) { return metrics.metric(name, "").value(); }

  SystemClock clock;
  Metrics metrics;
  FakeIngress ingress;
  TcpAdapter adapter;
  bool stopped = false;
};

}  // namespace trunkline::test
