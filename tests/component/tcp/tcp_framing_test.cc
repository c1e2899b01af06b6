// SPDX-License-Identifier: Apache-2.0
#include <string>
#include <vector>

#include "adapters/tcp/framing/write.h"
#include "tests/component/tcp/tcp_rig.h"
#include "tests/support/frame_corpus.h"

using namespace trunkline;
using namespace trunkline::test;
using namespace std::chrono_literals;

TEST_CASE("over a socket every framing kind delivers the messages of its corpus, damage between them",
          "[D-01] [R-01]") {
  for (const auto& file : read_frame_corpus(FRAME_CORPUS)) {
    INFO(file.name);
    auto map = tcp_map("scale-2");
    map.tcp->framing = file.framing;
    // Silence is real time here: long enough for a slow machine, short enough for a test.
    if (file.silence || file.delivered) map.tcp->framing.timeout = 200ms;
    map.tcp->ack = "K";
    map.tcp->command.reset();
    TcpRig rig({map});
    rig.ingress.answer_by([](const Telemetry& /*telemetry*/) { return Admission::safe(); });
    auto peer = rig.connect("scale-2");
    std::size_t delivered = 0;
    for (const auto& frame : file.frames) {
      if (!file.damaged.empty() && !file.silence && !file.delivered) REQUIRE(peer.send(file.damaged.front()));
      REQUIRE(peer.send(frame));
      // Its acknowledgement says that it was cut out as a frame of its own.
      if (!frame.empty()) ++delivered;
      if (file.delivered || delivered == file.frames.size())
        REQUIRE(peer.receive(file.delivered ? 1 : delivered).size() >= 1);
    }
    REQUIRE(rig.ingress.wait_count(file.messages.size()));
    CHECK(rig.ingress.bodies() == file.messages);
  }
}

TEST_CASE("a command passes the codec of its device over a socket, both ways", "[C-01]") {
  for (const auto& framing : std::vector<Framing>{
           {.kind = FramingKind::slip},
           {.kind = FramingKind::cobs},
           {.kind = FramingKind::length, .width = 4},
           {.kind = FramingKind::octets},
           {.end = "\x03", .kind = FramingKind::marks, .start = "\x02", .stuffed = true, .check = FrameCheck::crc16}}) {
    auto map = tcp_map("scale-2");
    map.tcp->framing = framing;
    map.tcp->command = TcpCommand{"CMD {id} {payload}", "DONE {id}"};
    Awaited<Outcome> outcome;
    TcpRig rig({map});
    auto peer = rig.connect("scale-2");
    const std::string body("a\x02\x03\x10\xC0\xDB\0\n", 8);
    rig.adapter.deliver(make_command("scale-2", 5, body, rig.clock.steady() + 30s), outcome.completion());
    FrameFeeder device(framing);
    while (device.messages.empty()) {
      const auto bytes = peer.receive(1);
      REQUIRE_FALSE(bytes.empty());
      device.feed(bytes);
    }
    CHECK(device.messages.front() == "CMD 5 " + body);
    const auto reply = tcp::write_frame(framing, "DONE 5");
    REQUIRE(reply);
    REQUIRE(peer.send(*reply));
    CHECK(outcome.wait()->kind == Outcome::Kind::accepted);
  }
}
