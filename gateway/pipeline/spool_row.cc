// SPDX-License-Identifier: Apache-2.0
#include "gateway/pipeline/spool_row.h"

#include <charconv>
#include <cstdint>

#include "gateway/pipeline/blob_text.h"

namespace trunkline {
namespace {

// Version 1 had no device time.
constexpr char kOldest = 1;
constexpr char kVersion = 2;

}  // namespace

std::string encode_head(const Telemetry& telemetry) {
  std::string out;
  append_head(out, telemetry);
  return out;
}

void append_head(std::string& out, const Telemetry& telemetry) {
  out += kVersion;
  put_text(out, telemetry.content_type);
  put_text(out, telemetry.content_encoding);
  put_text(out, telemetry.source_key);
  put_text(out,
           telemetry.device_time ? std::to_string(telemetry.device_time->time_since_epoch().count()) : std::string());
  for (const auto& property : telemetry.properties) {
    put_text(out, property.name);
    put_text(out, property.value);
  }
}

std::optional<Telemetry> decode_head(const DeviceId& device, std::string_view blob) {
  if (blob.empty() || blob.front() < kOldest || blob.front() > kVersion) return std::nullopt;
  const char version = blob.front();
  blob.remove_prefix(1);
  Telemetry out{device, {}, {}, {}, {}, {}, Source::mqtt};
  if (!get_text(blob, out.content_type) || !get_text(blob, out.content_encoding) || !get_text(blob, out.source_key))
    return std::nullopt;
  if (version > kOldest) {
    std::string time;
    if (!get_text(blob, time)) return std::nullopt;
    std::int64_t value = 0;
    const auto [end, failed] = std::from_chars(time.data(), time.data() + time.size(), value);
    if (!time.empty() && (failed != std::errc{} || end != time.data() + time.size())) return std::nullopt;
    if (!time.empty()) out.device_time = WallTime(Milliseconds(value));
  }
  while (!blob.empty()) {
    Property property;
    if (!get_text(blob, property.name) || !get_text(blob, property.value)) return std::nullopt;
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
