// SPDX-License-Identifier: Apache-2.0
#include "adapters/tcp/framing/write.h"

#include "adapters/tcp/frame_reader.h"
#include "adapters/tcp/framing/checks.h"

namespace trunkline::tcp {

namespace {

constexpr char kDle = '\x10';

bool ends_with(std::string_view text, std::string_view end) {
  return text.size() >= end.size() && text.substr(text.size() - end.size()) == end;
}

std::string doubled(std::string_view text) {
  std::string out;
  for (const char c : text) out.append(c == kDle ? 2 : 1, c);
  return out;
}

std::string with_marks(const Framing& framing, std::string_view message) {
  if (framing.keep) return std::string(message);
  const auto covered_start = framing.check_start ? framing.start : std::string();
  const auto check = [&](const std::string& covered) {
    return check_value(framing.check, framing.check_hex, covered_start + covered);
  };
  std::string content(message);
  if (framing.check_inside) content += check(content);
  std::string out = framing.stuffed ? kDle + framing.start + doubled(content) + kDle + framing.end
                                    : framing.start + content + framing.end;
  if (!framing.check_inside) out += check(content + framing.end);
  return out;
}

Result<std::string> with_length(const Framing& framing, std::string_view message) {
  const auto header = framing.offset + framing.width;
  std::string out(message);
  if (!framing.keep) {
    std::string front = framing.magic;
    front.resize(header, '\0');
    out.insert(0, front);
  }
  if (out.size() < header) return fail(ErrorCode::invalid, "the command is shorter than the header of its frame");
  const auto total = out.size() + check_size(framing.check, false);
  const auto field = static_cast<std::int64_t>(total) - static_cast<std::int64_t>(header) - framing.adjust;
  if (field < 0 || static_cast<std::uint64_t>(field) >> (8 * framing.width) != 0) {
    return fail(ErrorCode::invalid, "the length of the command does not fit into the length field");
  }
  for (std::size_t i = 0; i < framing.width; ++i) {
    const auto place = framing.little_endian ? i : framing.width - 1 - i;
    out[framing.offset + i] = static_cast<char>(static_cast<std::uint64_t>(field) >> (8 * place));
  }
  return out + check_value(framing.check, false, out);
}

std::string slip(std::string_view message) {
  std::string out = "\xC0";
  for (const char c : message) {
    if (c == '\xC0') {
      out += "\xDB\xDC";
    } else if (c == '\xDB') {
      out += "\xDB\xDD";
    } else {
      out += c;
    }
  }
  return out + '\xC0';
}

std::string cobs(std::string_view message) {
  std::string out(1, '\0');
  std::size_t code = 0;
  for (const char c : message) {
    if (c != '\0') out += c;
    const auto run = out.size() - code;
    if (c == '\0' || run == 255) {
      out[code] = static_cast<char>(run);
      code = out.size();
      out += '\0';
    }
  }
  out[code] = static_cast<char>(out.size() - code);
  return out + '\0';
}

Result<std::string> mbus(std::string_view message) {
  if (message.size() < 2 || message.size() > 255) {
    return fail(ErrorCode::invalid, "an M-Bus message has 2 to 255 bytes: C, A and what follows");
  }
  std::string out = message.size() == 2 ? "\x10" : "\x68";
  if (message.size() > 2) {
    out.append(2, static_cast<char>(message.size()));
    out += '\x68';
  }
  out += message;
  out += static_cast<char>(sum_of(message));
  return out + '\x16';
}

Result<std::string> modbus_ascii(std::string_view message) {
  std::string bytes;
  const auto digits = message.substr(message.empty() ? 0 : 1);
  for (std::size_t i = 0; i < digits.size(); i += 2) {
    const auto byte = hex_byte(digits.substr(i, 2));
    if (!byte) return fail(ErrorCode::invalid, "a Modbus ASCII message is ':' and pairs of hexadecimal digits");
    bytes += static_cast<char>(*byte);
  }
  return std::string(message) + check_value(FrameCheck::lrc, true, bytes) + "\r\n";
}

Result<std::string> encode(const Framing& framing, std::string_view message) {
  std::string out(message);
  switch (framing.kind) {
    case FramingKind::line:
    case FramingKind::end: {
      const bool any = framing.end.empty();
      const bool ended = any ? ends_with(out, "\r") || ends_with(out, "\n") : ends_with(out, framing.end);
      return ended ? out : out + (any ? "\r\n" : framing.end);
    }
    case FramingKind::marks:
      return with_marks(framing, message);
    case FramingKind::fixed:
      return out + check_value(framing.check, false, message);
    case FramingKind::length:
      return with_length(framing, message);
    case FramingKind::nmea: {
      const auto last = out.find_last_not_of("\r\n");
      out.resize(last == std::string::npos ? 0 : last + 1);
      if (out.find('*') == std::string::npos && !out.empty()) {
        out += '*' + check_value(FrameCheck::bcc, true, std::string_view(out).substr(1));
      }
      return out + "\r\n";
    }
    case FramingKind::modbus_tcp:
      if (out.size() < 8) return fail(ErrorCode::invalid, "a Modbus TCP message has a header of 7 bytes and more");
      out[4] = static_cast<char>((out.size() - 6) >> 8U);
      out[5] = static_cast<char>(out.size() - 6);
      return out;
    case FramingKind::modbus_rtu:
      return out + check_value(FrameCheck::crc16, false, message);
    case FramingKind::modbus_ascii:
      return modbus_ascii(message);
    case FramingKind::mbus:
      return mbus(message);
    case FramingKind::idle:
    case FramingKind::json:
      return out;
    case FramingKind::slip:
      return slip(message);
    case FramingKind::cobs:
      return cobs(message);
    case FramingKind::octets:
      return framing.keep ? out : std::to_string(out.size()) + ' ' + out;
  }
  return fail(ErrorCode::internal, "a framing kind is one of the table");
}

// What the device's own reader would make of it: one frame, all of it.
bool reads_as_one(Framing framing, std::string_view wire) {
  framing.policy = CheckPolicy::drop;
  if (framing.side != ModbusSide::both) {
    framing.side = framing.side == ModbusSide::responses ? ModbusSide::requests : ModbusSide::responses;
  }
  FrameReader reader(framing);
  std::size_t frames = 0;
  feed(reader, wire, [&] {
    while (const auto frame = reader.next()) {
      // SLIP and COBS begin and end with their mark, so the one in front ends an empty frame.
      if (!frame->body.empty()) ++frames;
    }
  });
  const auto& counts = reader.counts();
  return frames == 1 && !reader.partial() && counts.noise_bytes == 0 && counts.overlong == 0 &&
         counts.check_failed == 0 && counts.malformed == 0;
}

}  // namespace

std::size_t ends_within(const Framing& framing, std::string_view text) {
  if (framing.kind != FramingKind::line && framing.kind != FramingKind::end) return 0;
  std::size_t count = 0;
  for (std::size_t at = 0; at < text.size();) {
    const auto found = framing.end.empty() ? text.find_first_of("\r\n", at) : text.find(framing.end, at);
    if (found == std::string_view::npos) break;
    at = found + (framing.end.empty() ? 1 : framing.end.size());
    if (framing.end.empty() && text.substr(found, 2) == "\r\n") ++at;
    if (at < text.size()) ++count;
  }
  return count;
}

Result<std::string> write_frame(const Framing& framing, std::string_view message, std::size_t ends) {
  auto wire = encode(framing, message);
  if (!wire) return wire;
  const bool ended = framing.kind == FramingKind::line || framing.kind == FramingKind::end;
  if (ended ? ends_within(framing, *wire) != ends
            : framing.kind != FramingKind::idle && !reads_as_one(framing, *wire)) {
    return fail(ErrorCode::invalid, ended ? "the body holds the line end of this device"
                                          : "the device would not read the command as one frame");
  }
  return wire;
}

}  // namespace trunkline::tcp
