// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <utility>

#include "gateway/base/backoff.h"
#include "gateway/base/json.h"
#include "gateway/pipeline/twin_keeper.h"

namespace trunkline {

// What TwinKeeper knows of one device; only its own three files look at it.
struct TwinKeeper::Twin {
  static constexpr Backoff::Limits kRetry{Milliseconds(1'000), Milliseconds(2'000), Milliseconds(60'000)};

  Twin(DeviceSlot own, DeviceId name, bool is_written, std::uint64_t seed)
      : slot(own), device(std::move(name)), writes(is_written), retry(kRetry, seed), write_retry(kRetry, ~seed) {}

  DeviceSlot slot;
  DeviceId device;
  bool writes;
  bool touched = false;
  SteadyTime timer = kNever;

  // Towards the hub.
  bool attached = false;
  bool subscribed = false;
  bool loaded = false;  // both documents were fetched since the links came up
  std::optional<TwinRequest> request;
  json::object patch;  // of a report that is under way
  SteadyTime request_due{};
  SteadyTime ask_at{};
  Backoff retry;
  json::object mine;                   // everything the device reported, as one patch
  std::optional<json::object> theirs;  // the reported properties as the hub has them
  bool reported = false;               // something in `mine` may be news to the hub
  SteadyTime report_at{};

  // Towards the device.
  std::optional<json::object> desired;
  std::int64_t version = 0;
  std::uint64_t copy_bytes = 0;           // of its copy on the disk
  std::optional<json::object> confirmed;  // nothing: nobody knows what the device has
  std::int64_t confirmed_version = 0;
  std::int64_t hopeless = -1;  // the version that the device rejected
  std::uint64_t writing = 0;   // number of the write that is under way
  json::object target;
  std::int64_t target_version = 0;
  SteadyTime write_at{};
  Backoff write_retry;

  std::optional<Presence> presence;
  SteadyTime say_heard_at = kNever;
  std::string fault;
  json::object too_large;  // what did not fit, until the device says these members again and they do
};

}  // namespace trunkline
