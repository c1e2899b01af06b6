// SPDX-License-Identifier: Apache-2.0
#include "gateway/pipeline/spool_row.h"

#include <charconv>
#include <cstdint>

namespace trunkline {
namespace {

// Version 1 had no device time.
constexpr char kOldest = 1;
constexpr char kVersion = 2;

void put(std::string& out, std::string_view text) {
  const auto size = static_cast<std::uint32_t>(text.size());
  for (unsigned shift = 0; shift < 32; shift += 8) out += static_cast<char>(size >> shift & 0xFF);
  out += text;
}

bool get(std::string_view& in, std::string& text) {
  if (in.size() < 4) return false;
  std::uint32_t size = 0;
  for (unsigned i = 0; i < 4; ++i) size |= static_cast<std::uint32_t>(static_cast<unsigned char>(in[i])) << (8 * i);
  in.remove_prefix(4);
  if (in.size() < size) return false;
  text.assign(in.substr(0, size));
  in.remove_prefix(size);
  return true;
}

}  // namespace

std::string encode_head(const Telemetry& telemetry) {
  std::string out;
  append_head(out, telemetry);
  return out;
}

void append_head(std::string& out, const Telemetry& telemetry) {
  out += kVersion;
  put(out, telemetry.content_type);
  put(out, telemetry.content_encoding);
  put(out, telemetry.source_key);
  put(out, telemetry.device_time ? std::to_string(telemetry.device_time->time_since_epoch().count()) : std::string());
  for (const auto& property : telemetry.properties) {
    put(out, property.name);
    put(out, property.value);
  }
}

std::optional<Telemetry> decode_head(const DeviceId& device, std::string_view blob) {
  if (blob.empty() || blob.front() < kOldest || blob.front() > kVersion) return std::nullopt;
  const char version = blob.front();
  blob.remove_prefix(1);
  Telemetry out{device, {}, {}, {}, {}, {}, Source::mqtt};
  if (!get(blob, out.content_type) || !get(blob, out.content_encoding) || !get(blob, out.source_key))
    return std::nullopt;
  if (version > kOldest) {
    std::string time;
    if (!get(blob, time)) return std::nullopt;
    std::int64_t value = 0;
    const auto [end, failed] = std::from_chars(time.data(), time.data() + time.size(), value);
    if (!time.empty() && (failed != std::errc{} || end != time.data() + time.size())) return std::nullopt;
    if (!time.empty()) out.device_time = WallTime(Milliseconds(value));
  }
  while (!blob.empty()) {
    Property property;
    if (!get(blob, property.name) || !get(blob, property.value)) return std::nullopt;
    out.properties.push_back(std::move(property));
  }
  return out;
}

void bind_message(SQLite::Statement& statement, const Message& message, std::int64_t device) {
  const auto head = encode_head(message.telemetry);
  const auto& body = message.telemetry.body;
  statement.bind(1, static_cast<std::int64_t>(message.position.value));
  statement.bind(2, device);
  statement.bind(3, static_cast<std::int64_t>(message.received.time_since_epoch().count()));
  statement.bind(4, static_cast<int>(message.telemetry.source));
  statement.bind(5, static_cast<std::int64_t>(message.footprint()));
  statement.bind(6, head.data(), static_cast<int>(head.size()));
  statement.bindNoCopy(7, body.data(), static_cast<int>(body.size()));
}

std::optional<Telemetry> read_telemetry(const DeviceId& device, SQLite::Statement& row, int column) {
  const auto blob = row.getColumn(column + 1);
  auto telemetry =
      decode_head(device, {static_cast<const char*>(blob.getBlob()), static_cast<std::size_t>(blob.getBytes())});
  if (!telemetry) return std::nullopt;
  const auto body = row.getColumn(column + 2);
  telemetry->source = static_cast<Source>(row.getColumn(column).getInt());
  telemetry->body.assign(static_cast<const char*>(body.getBlob()), static_cast<std::size_t>(body.getBytes()));
  return telemetry;
}

}  // namespace trunkline
