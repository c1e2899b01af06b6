// SPDX-License-Identifier: Apache-2.0
// usage: codec_bench [SECONDS]       each framing kind alone over glued frames of 200 bytes, in reads of 16 KiB: GB/s,
// frames per second, nanoseconds per frame.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "adapters/tcp/frame_reader.h"
#include "adapters/tcp/framing/write.h"

using namespace trunkline;
using Steady = std::chrono::steady_clock;

namespace {

struct Case {
  const char* name;
  Framing framing;
  std::string message;
};

std::vector<Case> cases() {
  using Kind = FramingKind;
  const std::string text(200, 'x');
  std::string rtu("\x01\x03\xC8", 3);
  rtu.append(200, 'x');
  std::string mbap("\0\1\0\0\0\0\1\3\xC8", 9);
  mbap.append(200, 'x');
  std::string ascii = ":0103C8";
  for (int i = 0; i < 97; ++i) ascii += "5A";
  return {{"line", {}, text},
          {"line any", {.end = ""}, text},
          {"end", {.end = std::string(1, '\0'), .kind = Kind::end}, text},
          {"marks", {.end = "\x03", .kind = Kind::marks, .start = "\x02"}, text},
          {"marks bcc", {.end = "\x03", .kind = Kind::marks, .start = "\x02", .check = FrameCheck::bcc}, text},
          {"marks dle", {.end = "\x03", .kind = Kind::marks, .start = "\x02", .stuffed = true}, text},
          {"fixed", {.kind = Kind::fixed, .size = 200}, text},
          {"length", {.kind = Kind::length}, text},
          {"length crc", {.kind = Kind::length, .check = FrameCheck::crc16}, text},
          {"nmea", {.kind = Kind::nmea}, "$" + text},
          {"modbus_tcp", {.kind = Kind::modbus_tcp}, mbap},
          {"modbus_rtu", {.kind = Kind::modbus_rtu, .side = ModbusSide::requests}, rtu},
          {"modbus_ascii", {.kind = Kind::modbus_ascii}, ascii},
          {"mbus", {.kind = Kind::mbus}, text},
          {"json", {.kind = Kind::json}, "{\"v\":\"" + std::string(192, 'x') + "\"}"},
          {"slip", {.kind = Kind::slip}, text},
          {"cobs", {.kind = Kind::cobs}, text},
          {"octets", {.kind = Kind::octets}, text}};
}

void measure(Case one, double seconds) {
  // What we write is what the other side reads: of RTU that is the answer's side.
  const auto wire = tcp::write_frame(one.framing, one.message);
  if (one.framing.kind == FramingKind::modbus_rtu) one.framing.side = ModbusSide::responses;
  std::string stream;
  if (wire) {
    while (stream.size() < 64 * 1024) stream += *wire;
  } else {
    std::printf("%-13s %s\n", one.name, wire.error().message.c_str());
    return;
  }
  tcp::FrameReader reader(one.framing);
  std::size_t bytes = 0, frames = 0;
  const auto start = Steady::now();
  const auto end = start + std::chrono::duration<double>(seconds);
  while (Steady::now() < end) {
    for (std::string_view rest = stream; !rest.empty();) {
      const auto space = reader.space();
      const auto count = std::min({space.size(), rest.size(), std::size_t{16} * 1024});
      std::copy_n(rest.begin(), count, space.begin());
      reader.commit(count);
      rest.remove_prefix(count);
      bytes += count;
      while (const auto frame = reader.next()) frames += frame->body.empty() ? 0U : 1U;
    }
  }
  const std::chrono::duration<double> took = Steady::now() - start;
  std::printf("%-13s %6.2f GB/s %12.0f frames/s %8.1f ns/frame\n", one.name,
              static_cast<double>(bytes) / took.count() / 1e9, static_cast<double>(frames) / took.count(),
              took.count() * 1e9 / static_cast<double>(std::max<std::size_t>(frames, 1)));
}

}  // namespace

int main(int argc, char** argv) {
  const double seconds = argc > 1 ? std::atof(argv[1]) : 0.5;
  for (auto& one : cases()) measure(std::move(one), seconds);
}
