// SPDX-License-Identifier: Apache-2.0
#include <sys/resource.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

#include "tests/component/tcp/tcp_rig.h"

using namespace trunkline;
using namespace trunkline::test;
using namespace std::chrono_literals;

namespace {

bool long_form() {
  return std::getenv("TRUNKLINE_LONG") != nullptr;
}

std::size_t resident_kib() {
  std::ifstream status("/proc/self/status");
  std::string word;
  while (status >> word) {
    std::size_t out = 0;
    if (word == "VmRSS:" && status >> out) return out;
  }
  return 0;
}

// As many sockets as this process may have, both ends being here.
std::size_t most_connections(std::size_t wanted) {
  rlimit files{};
  ::getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &files);
  return std::min<std::size_t>(wanted, files.rlim_cur / 2 - 100);
}

struct Crowd : TcpRig {
  explicit Crowd(std::size_t count) : TcpRig(maps_for(count)) {
    ingress.answer_by([](const Telemetry& /*telemetry*/) { return Admission::safe(); });
    address = adapter.listening(tcp_id("device-0"));
  }
  static std::vector<DeviceMap> maps_for(std::size_t count) {
    std::vector<DeviceMap> maps;
    for (std::size_t i = 0; i < count; ++i) {
      auto map = tcp_map("device-" + std::to_string(i));
      map.tcp->line.identify.by = TcpIdentify::By::registration;
      map.tcp->line.identify.field = {.from = FrameField::From::match, .pattern = *Pattern::parse("^REG (.*)$")};
      map.tcp->line.identify.answer = "HELLO\n";
      map.tcp->line.heartbeats = {{*Pattern::parse("^ping$"), std::string(4095, 'p') + "\n"}};
      map.tcp->command.reset();
      maps.push_back(std::move(map));
    }
    return maps;
  }
  SocketPeer enter(std::size_t i) {
    SocketPeer out(address);
    REQUIRE(out.ok());
    REQUIRE(out.send("REG device-" + std::to_string(i) + "\n"));
    return out;
  }
  std::string address;
};

}  // namespace

TEST_CASE("thousands of connections are idle and then all talk, and each gets its acknowledgement", "[I-01] [D-01]") {
  const auto count = most_connections(long_form() ? 10'000 : 1'000);
  Crowd rig(count);
  std::vector<SocketPeer> peers;
  const auto before = resident_kib();
  for (std::size_t i = 0; i < count; ++i) peers.push_back(rig.enter(i));
  for (auto& peer : peers) REQUIRE(peer.receive_line() == "HELLO");
  const auto idle = resident_kib();
  CHECK(rig.metric("tcp_connections") == count);
  for (auto& peer : peers) REQUIRE(peer.send(std::string(200, 'x') + "\n"));
  for (auto& peer : peers) REQUIRE(peer.receive_line() == "ACK");
  CHECK(rig.ingress.count() == count);
  WARN(count << " connections, " << (idle - before) / std::max<std::size_t>(count, 1) << " KiB each in this build");
  // Twenty times what a release build needs, for the sanitizer's sake.
  CHECK(idle - before < count * 64);
}

TEST_CASE("a storm of reconnects leaves nothing behind", "[R-01] [I-01]") {
  const std::size_t storms = long_form() ? 5'000 : 1'000;
  Crowd rig(100);
  auto calm = rig.enter(0);
  CHECK(calm.receive_line() == "HELLO");
  for (std::size_t i = 0; i < storms; ++i) {
    const auto peer = rig.enter(1 + i % 99);
    if (i % 500 == 0) {
      REQUIRE(calm.send("still here\n"));
      REQUIRE(calm.receive_line() == "ACK");
    }
  }
  CHECK(eventually([&] { return rig.metric("tcp_connections") == 1; }));
  auto last = rig.enter(5);
  CHECK(last.receive_line() == "HELLO");
}

TEST_CASE("endless bytes without an end, a peer that never reads and one that dawdles hurt nobody else",
          "[I-01] [D-06]") {
  Crowd rig(4);
  auto endless = rig.enter(0);
  auto deaf = rig.enter(1);
  auto slow = rig.enter(2);
  auto good = rig.enter(3);
  CHECK(good.receive_line() == "HELLO");
  REQUIRE(slow.send("1"));
  const auto before = resident_kib();
  const std::size_t total = long_form() ? 1024U << 20U : 64U << 20U;
  const std::string block(1U << 20U, 'x');
  std::string lines;
  for (int i = 0; i < 10'000; ++i) lines += "ping\n";
  std::size_t deaf_sent = 0;
  for (std::size_t sent = 0; sent < total; sent += block.size()) {
    REQUIRE(endless.send(block));
    // What it is answered fills our queue for it, and then it is not read any more.
    deaf_sent += deaf.send_some(lines);
    if ((sent >> 20U) % 16 == 0) {
      REQUIRE(good.send("reading\n"));
      REQUIRE(good.receive_line() == "ACK");
    }
  }
  CHECK(rig.metric("tcp_overlong_lines_total") == 1);
  const auto grown = resident_kib() - std::min(before, resident_kib());
  WARN("grown by " << grown << " KiB while " << (total >> 20U) << " MiB and " << deaf_sent << " bytes of lines came");
  CHECK(grown < 200'000);
  // It still is a device: the end of the endless line, and what follows is read.
  REQUIRE(endless.send("\nafter all\n"));
  CHECK(endless.receive_line() == "HELLO");
  CHECK(endless.receive_line() == "ACK");
  REQUIRE(slow.send("2\n"));
  CHECK(slow.receive_line() == "HELLO");
  CHECK(slow.receive_line() == "ACK");
}
