// SPDX-License-Identifier: Apache-2.0
#include "tests/hubsim/arrival_log.h"

#include <algorithm>
#include <cerrno>

#include "gateway/base/encoding.h"
#include "gateway/base/json.h"

namespace trunkline::hubsim {

Result<ArrivalLog> ArrivalLog::open(bool record, const std::string& events_file) {
  ArrivalLog log;
  log.record_ = record;
  if (!events_file.empty()) {
    log.file_.reset(std::fopen(events_file.c_str(), "ae"));
    if (!log.file_) return fail(ErrorCode::unavailable, events_file + ": " + errno_text(errno));
  }
  return log;
}

void ArrivalLog::add(const std::string& device, std::uint64_t sequence, std::uint64_t connection, WallTime now,
                     Message message) {
  Arrival arrival;
  arrival.index = ++total_;
  arrival.sequence = sequence;
  arrival.device = device;
  arrival.message_id = std::move(message.message_id);
  arrival.correlation_id = std::move(message.correlation_id);
  arrival.content_type = std::move(message.content_type);
  arrival.content_encoding = std::move(message.content_encoding);
  arrival.properties = std::move(message.properties);
  arrival.body = std::move(message.body);
  arrival.enqueued = now;
  arrival.connection = connection;
  if (file_) {
    const auto line = arrival_json(arrival) + "\n";
    std::fwrite(line.data(), 1, line.size(), file_.get());
    dirty_ = true;
  }
  if (!record_) return;
  arrivals_.push_back(std::move(arrival));
  by_device_[device].push_back(&arrivals_.back());
}

void ArrivalLog::flush() {
  if (!dirty_) return;
  std::fflush(file_.get());
  dirty_ = false;
}

void ArrivalLog::clear() {
  by_device_.clear();
  arrivals_.clear();
}

std::vector<const Arrival*> ArrivalLog::find(const std::string& device, std::uint64_t after, std::size_t limit) const {
  std::vector<const Arrival*> found;
  if (device.empty()) {
    const auto above = [](std::uint64_t index, const Arrival& arrival) { return index < arrival.index; };
    auto at = std::upper_bound(arrivals_.begin(), arrivals_.end(), after, above);
    for (; at != arrivals_.end() && found.size() < limit; ++at) found.push_back(&*at);
    return found;
  }
  const auto list = by_device_.find(device);
  if (list == by_device_.end()) return found;
  const auto above = [](std::uint64_t index, const Arrival* arrival) { return index < arrival->index; };
  auto at = std::upper_bound(list->second.begin(), list->second.end(), after, above);
  for (; at != list->second.end() && found.size() < limit; ++at) found.push_back(*at);
  return found;
}

std::string arrival_json(const Arrival& arrival) {
  json::object properties;
  for (const auto& [name, text] : arrival.properties) properties[name] = text;
  json::object out{{"index", arrival.index},
                   {"device", arrival.device},
                   {"sequence", arrival.sequence},
                   {"message_id", arrival.message_id},
                   {"correlation_id", arrival.correlation_id},
                   {"content_type", arrival.content_type},
                   {"content_encoding", arrival.content_encoding},
                   {"properties", std::move(properties)},
                   {"enqueued", to_rfc3339(arrival.enqueued)},
                   {"connection", arrival.connection}};
  if (is_utf8(arrival.body)) {
    out["body"] = arrival.body;
  } else {
    out["body_base64"] = base64_encode(arrival.body);
  }
  return json::serialize(out);
}

}  // namespace trunkline::hubsim
