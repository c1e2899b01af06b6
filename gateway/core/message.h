// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <compare>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "gateway/base/clock.h"
#include "gateway/core/device_id.h"

namespace trunkline {

// Which adapter a message came through; stored in the spool, so numbers never change.
enum class Source : std::uint8_t { mqtt = 1, coap = 2, tcp = 3 };
std::string_view to_string(Source source);

// An application property: string to string, as the hub keeps only strings (hub-amqp-protocol.md 5.1).
struct Property {
  std::string name;
  std::string value;
  friend bool operator==(const Property&, const Property&) = default;
};

// What a device said. Adapters fill it and move it into Ingress::submit; a value, moved, never shared.
struct Telemetry {
  DeviceId device;
  std::string body;              // opaque bytes, untouched
  std::string content_type;      // media type, empty if not stated
  std::string content_encoding;  // such as "utf-8", empty if not stated
  std::vector<Property> properties;
  std::string source_key;  // repeat detection: what the source calls this message, empty if it has no name for it
  Source source = Source::mqtt;
  // The sender cannot send another message before this one is answered, so the answer must not be delayed
  // (spool.commit_delay).
  bool sender_waits = false;
  // in_line: the adapter offers further messages of the device before it has the answer to this one. What comes behind
  // a throttled one is throttled too then, until the adapter begins anew with the oldest, marked `again` (D-03).
  enum class Offer : std::uint8_t { alone, in_line, again };
  Offer offer = Offer::alone;
  std::optional<WallTime> device_time{};  // when the device says that it was, if it says so
  // For a device whose map shapes its messages, which uses them up: the address it spoke on (topic, path), and what
  // that address's named parts were.
  std::string channel{};
  std::vector<Property> captures{};
};

// The place of a message in everything that this gateway ever stamped: run number in the upper 24 bits, sequence within
// the run in the lower 40. Totally ordered across runs (architecture.md 3); also the spool's row id. 0 is before every
// message.
struct Position {
  std::uint64_t value = 0;

  static constexpr unsigned kSequenceBits = 40;
  static Position make(std::uint64_t run, std::uint64_t sequence) { return {run << kSequenceBits | sequence}; }
  [[nodiscard]] std::uint64_t run() const { return value >> kSequenceBits; }
  [[nodiscard]] std::uint64_t sequence() const { return value & ((1ULL << kSequenceBits) - 1); }
  friend auto operator<=>(const Position&, const Position&) = default;
};

// The hub's message-id of a position: "<spool uuid, 32 hex digits>-<run>-<sequence>". Neither a crash nor a recreated
// spool repeats one (D-03), and a resend carries the same.
std::string message_id(std::string_view spool_uuid, Position position);

// A telemetry message once stamped by intake. Immutable from then on, so threads share it.
struct Message {
  Position position;
  WallTime received;
  Telemetry telemetry;
  // What it costs on disk in bytes, page remainders included, and at most in memory; for limits.
  [[nodiscard]] std::size_t footprint() const;
};
using MessagePtr = std::shared_ptr<const Message>;

}  // namespace trunkline
