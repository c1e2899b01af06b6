// SPDX-License-Identifier: Apache-2.0
#include "config/framing.h"

#include <array>
#include <utility>

#include "config/suggest.h"
#include "gateway/mapping/byte_text.h"

namespace trunkline::config {
namespace {

constexpr Milliseconds kPatience{10'000};  // a retransmission over a bad link takes that long

constexpr std::array kChecks{std::pair{"none", FrameCheck::none}, std::pair{"bcc", FrameCheck::bcc},
                             std::pair{"lrc", FrameCheck::lrc}, std::pair{"sum", FrameCheck::sum},
                             std::pair{"crc16", FrameCheck::crc16}};

// A mark or pattern of 1 to 16 bytes.
void read_mark(TableReader& reader, std::string_view key, std::string& out) {
  const auto found = read_bytes(reader, key, 16);
  if (found) out = found->value;
}

void read_flag(TableReader& reader, std::string_view key, bool& out) {
  const auto* entry = reader.find(key);
  if (entry == nullptr) return;
  if (const auto* value = std::get_if<bool>(&entry->value.value)) {
    out = *value;
  } else {
    reader.findings().problem(entry->value.mark, reader.name_of(key) + " is " + std::string(entry->value.type_name()) +
                                                     "; write true or false, without quotes");
  }
}

void read_policy(TableReader& reader, Framing& framing) {
  if (const auto policy = reader.choice("on_bad_check", {"drop", "flag", "pass"})) {
    framing.policy = policy->value == "drop"   ? CheckPolicy::drop
                     : policy->value == "flag" ? CheckPolicy::flag
                                               : CheckPolicy::pass;
  }
}

void read_check(TableReader& reader, Framing& framing) {
  if (const auto check = reader.choice("check", {"none", "bcc", "lrc", "sum", "crc16"})) {
    for (const auto& [name, value] : kChecks) {
      if (check->value == name) framing.check = value;
    }
  }
  read_policy(reader, framing);
}

// A number that has no default.
void read_number(TableReader& reader, std::string_view key, std::int64_t low, std::int64_t high, std::size_t& out) {
  if (reader.require(key) == nullptr) return;
  if (const auto value = reader.integer(key, low, high)) out = static_cast<std::size_t>(*value);
}

void read_marks(TableReader& reader, Framing& framing) {
  framing.start = "\x02";
  framing.end = "\x03";
  read_mark(reader, "start", framing.start);
  read_mark(reader, "end", framing.end);
  read_flag(reader, "stuffed", framing.stuffed);
  read_check(reader, framing);
  if (const auto form = reader.choice("check_form", {"byte", "hex"})) framing.check_hex = form->value == "hex";
  if (const auto at = reader.choice("check_at", {"after_end", "before_end"})) {
    framing.check_inside = at->value == "before_end";
  }
  read_flag(reader, "check_start", framing.check_start);
  read_flag(reader, "keep", framing.keep);
  if (framing.stuffed && (framing.start.find('\x10') != std::string::npos ||
                          framing.end.find('\x10') != std::string::npos || framing.start == framing.end)) {
    reader.findings().problem(reader.mark(),
                              "tcp.framing.stuffed puts DLE before each mark by itself; write different marks without "
                              "it");
  }
}

void read_fixed(TableReader& reader, Framing& framing) {
  read_number(reader, "size", 1, 65'536, framing.size);
  read_mark(reader, "sync", framing.magic);
  read_check(reader, framing);
  const auto check = framing.check == FrameCheck::none ? 0U : framing.check == FrameCheck::crc16 ? 2U : 1U;
  if (framing.size != 0 && framing.size <= framing.magic.size() + check) {
    reader.findings().problem(
        reader.find("size")->value.mark,
        "tcp.framing.size leaves no byte beside sync and check; write the size of the whole frame");
  }
  framing.timeout = kPatience;
}

void read_length(TableReader& reader, Framing& framing) {
  framing.keep = true;
  if (const auto offset = reader.integer("offset", 0, 64)) framing.offset = static_cast<std::size_t>(*offset);
  if (const auto width = reader.integer("width", 1, 4)) framing.width = static_cast<std::size_t>(*width);
  if (const auto order = reader.choice("endian", {"big", "little"})) framing.little_endian = order->value == "little";
  if (const auto adjust = reader.integer("adjust", -65'536, 65'536)) framing.adjust = *adjust;
  read_mark(reader, "magic", framing.magic);
  read_check(reader, framing);
  read_flag(reader, "keep", framing.keep);
  framing.timeout = kPatience;
}

void warn_if_lost_for_good(TableReader& reader, const Framing& framing) {
  const bool sized =
      framing.kind == FramingKind::fixed || framing.kind == FramingKind::length || framing.kind == FramingKind::octets;
  if (!sized || !framing.magic.empty() || framing.check != FrameCheck::none) return;
  const auto* pattern = framing.kind == FramingKind::fixed ? "sync" : "magic";
  reader.findings().warning(reader.mark(), std::string("tcp.framing has neither ") + pattern +
                                               " nor check: after a lost byte frames are found again only when the "
                                               "device is silent for framing.timeout");
}

struct Kind {
  std::string_view name;
  FramingKind kind;
  void (*read)(TableReader&, Framing&);
};

void read_no_more(TableReader& /*reader*/, Framing& /*framing*/) {}

constexpr std::array<Kind, 15> kKinds{{
    {"line", FramingKind::line,
     [](TableReader& reader, Framing& framing) {
       read_mark(reader, "end", framing.end);
       if (framing.end == "any") framing.end.clear();
       read_flag(reader, "keep", framing.keep);
     }},
    {"end", FramingKind::end,
     [](TableReader& reader, Framing& framing) {
       framing.end = std::string(1, '\0');
       read_mark(reader, "end", framing.end);
       read_flag(reader, "keep", framing.keep);
     }},
    {"marks", FramingKind::marks, read_marks},
    {"fixed", FramingKind::fixed, read_fixed},
    {"length", FramingKind::length, read_length},
    {"nmea", FramingKind::nmea,
     [](TableReader& reader, Framing& framing) {
       read_flag(reader, "require_check", framing.require_check);
       read_policy(reader, framing);
     }},
    {"modbus_tcp", FramingKind::modbus_tcp,
     [](TableReader& /*reader*/, Framing& framing) { framing.timeout = kPatience; }},
    {"modbus_rtu", FramingKind::modbus_rtu,
     [](TableReader& reader, Framing& framing) {
       if (const auto side = reader.choice("side", {"responses", "requests", "both"})) {
         framing.side = side->value == "responses"  ? ModbusSide::responses
                        : side->value == "requests" ? ModbusSide::requests
                                                    : ModbusSide::both;
       }
       framing.timeout = kPatience;
     }},
    {"modbus_ascii", FramingKind::modbus_ascii, read_policy},
    {"mbus", FramingKind::mbus,
     [](TableReader& reader, Framing& framing) {
       read_policy(reader, framing);
       framing.timeout = kPatience;
     }},
    {"idle", FramingKind::idle, [](TableReader& /*reader*/, Framing& framing) { framing.timeout = Milliseconds(50); }},
    {"json", FramingKind::json, read_no_more},
    {"slip", FramingKind::slip, read_no_more},
    {"cobs", FramingKind::cobs, read_no_more},
    {"octets", FramingKind::octets,
     [](TableReader& reader, Framing& framing) {
       read_mark(reader, "magic", framing.magic);
       read_flag(reader, "keep", framing.keep);
       framing.timeout = kPatience;
     }},
}};

const Kind* read_kind(TableReader& reader) {
  const auto named = reader.text("kind");
  if (!named) return kKinds.data();
  std::vector<std::string_view> names;
  for (const auto& kind : kKinds) {
    if (kind.name == named->value) return &kind;
    names.push_back(kind.name);
  }
  std::string message = "tcp.framing.kind is " + in_quotes(named->value) + "; write one of";
  for (const auto name : names) message += (name == names.front() ? " " : ", ") + in_quotes(name);
  if (const auto meant = nearest(named->value, names)) message += " (did you mean " + in_quotes(*meant) + "?)";
  reader.findings().problem(named->mark, std::move(message));
  return nullptr;
}

}  // namespace

std::optional<Found<std::string>> read_bytes(TableReader& reader, std::string_view key, std::size_t most) {
  auto found = reader.text(key);
  if (!found) return std::nullopt;
  auto bytes = parse_byte_text(found->value);
  if (!bytes) {
    reader.findings().problem(found->mark, reader.name_of(key) + ": " + bytes.error().message);
    return std::nullopt;
  }
  if (bytes->size() > most) {
    reader.findings().problem(found->mark, reader.name_of(key) + " has " + std::to_string(bytes->size()) +
                                               " bytes; write at most " + std::to_string(most));
    return std::nullopt;
  }
  found->value = std::move(*bytes);
  return found;
}

void read_framing(const Entry& entry, Findings& findings, Framing& framing) {
  TableReader reader(*entry.value.table(), entry.value.mark, "tcp.framing", findings);
  const auto* kind = read_kind(reader);
  if (kind == nullptr) return;  // which options it may have is unknown
  framing.kind = kind->kind;
  kind->read(reader, framing);
  if (const auto most = reader.size("max", 1, 256 * 1024)) framing.max_length = *most;
  if (framing.size > framing.max_length) framing.max_length = framing.size;
  if (const auto timeout = reader.duration("timeout", Milliseconds(1), Milliseconds(3'600'000))) {
    framing.timeout = *timeout;
  }
  warn_if_lost_for_good(reader, framing);
  reader.finish();
}

}  // namespace trunkline::config
