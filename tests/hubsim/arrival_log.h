// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <cstdio>
#include <deque>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "gateway/base/result.h"
#include "tests/hubsim/hub_server.h"
#include "tests/hubsim/message.h"

namespace trunkline::hubsim {

// Everything that devices sent and the hub took, in memory and, if asked, as JSON lines in a file. One thread. Grows
// with what it records; without bodies it only counts.
class ArrivalLog {
 public:
  // Fails if the file cannot be opened for appending.
  static Result<ArrivalLog> open(bool record, const std::string& events_file);

  [[nodiscard]] bool recording() const { return record_; }
  // `sequence` is the device's own count.
  void add(const std::string& device, std::uint64_t sequence, std::uint64_t connection, WallTime now, Message message);
  void count() { ++total_; }
  // Writes what waits for the file.
  void flush();
  void clear();

  [[nodiscard]] std::uint64_t total() const { return total_; }
  // Arrivals with an index above `after`, at most `limit`; device empty means all.
  [[nodiscard]] std::vector<const Arrival*> find(const std::string& device, std::uint64_t after,
                                                 std::size_t limit) const;

 private:
  struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  bool record_ = true;
  bool dirty_ = false;
  std::uint64_t total_ = 0;
  std::deque<Arrival> arrivals_;
  std::unordered_map<std::string, std::vector<const Arrival*>> by_device_;
  std::unique_ptr<std::FILE, Close> file_;
};

// The body as text if it is UTF-8, else as base64, for JSON.
std::string arrival_json(const Arrival& arrival);

}  // namespace trunkline::hubsim
