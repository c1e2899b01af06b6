// SPDX-License-Identifier: Apache-2.0
#include "gateway/pipeline/pack_codec.h"

#include <sqlite3.h>

#include "gateway/pipeline/spool_row.h"

namespace trunkline {
namespace {

constexpr char kVersion = 1;
constexpr std::size_t kFixed = 3 * 8 + 3 * 4 + 1;

void put(char*& at, std::uint64_t value, unsigned bytes) {
  for (unsigned i = 0; i < bytes; ++i) *at++ = static_cast<char>(value >> (8 * i));
}

std::uint64_t get(const char*& at, unsigned bytes) {
  std::uint64_t value = 0;
  for (unsigned i = 0; i < bytes; ++i) {
    value |= static_cast<std::uint64_t>(static_cast<unsigned char>(*at++)) << (8 * i);
  }
  return value;
}

[[noreturn]] void corrupt() {
  throw SQLite::Exception("a pack of messages is unreadable", SQLITE_CORRUPT);
}

}  // namespace

void begin_pack(std::string& blob) {
  blob.assign(1, kVersion);
}

void append_to_pack(std::string& blob, const Message& message, std::int64_t device) {
  const auto& body = message.telemetry.body;
  const auto begin = blob.size();
  blob.resize(begin + kFixed);
  append_head(blob, message.telemetry);
  const auto head = blob.size() - begin - kFixed;
  auto* at = &blob[begin];
  put(at, message.position.value, 8);
  put(at, static_cast<std::uint64_t>(device), 8);
  put(at, static_cast<std::uint64_t>(message.received.time_since_epoch().count()), 8);
  put(at, message.footprint(), 4);
  put(at, head, 4);
  put(at, body.size(), 4);
  put(at, static_cast<std::uint64_t>(message.telemetry.source), 1);
  blob += body;
}

std::vector<PackedMessage> read_pack(std::string_view blob) {
  std::vector<PackedMessage> out;
  if (blob.empty() || blob.front() != kVersion) corrupt();
  blob.remove_prefix(1);
  while (!blob.empty()) {
    if (blob.size() < kFixed) corrupt();
    const char* at = blob.data();
    PackedMessage one;
    one.position = get(at, 8);
    one.device = static_cast<std::int64_t>(get(at, 8));
    one.received = static_cast<std::int64_t>(get(at, 8));
    one.footprint = get(at, 4);
    const auto head = get(at, 4);
    const auto body = get(at, 4);
    one.source = static_cast<Source>(get(at, 1));
    blob.remove_prefix(kFixed);
    if (head + body > blob.size()) corrupt();
    one.head = blob.substr(0, head);
    one.body = blob.substr(head, body);
    blob.remove_prefix(head + body);
    out.push_back(one);
  }
  return out;
}

}  // namespace trunkline
