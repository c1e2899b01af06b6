// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "gateway/base/result.h"
#include "gateway/pipeline/books.h"
#include "gateway/pipeline/dead_letter.h"

namespace trunkline {

// `trunkline spool`.
struct SpoolSummary {
  std::uint64_t waiting = 0;
  std::uint64_t waiting_bytes = 0;
  std::uint64_t dead_letters = 0;
  std::uint64_t dead_letter_bytes = 0;
  std::uint64_t cap_bytes = 0;   // spool.max_bytes
  std::uint64_t room_bytes = 0;  // of it, for messages
  std::uint64_t disk_bytes = 0;  // database and journal as they are
  std::optional<Milliseconds> oldest_age{};
  std::optional<std::chrono::microseconds> sync_time{};
  std::optional<double> inflow{};  // bytes a second, lately; known while the gateway runs
  std::string fault{};
  std::string set_aside{};
};

// What an operator's questions are answered from: the running store, or a file that no gateway uses. Where requeue and
// purge are empty, nothing can be changed.
struct Kept {
  std::function<Result<Books>()> books;
  std::function<SpoolSummary()> summary;
  std::function<Result<std::vector<DeadLetter>>(const DeadLetterQuery&)> dead_letters;
  std::function<Result<std::uint64_t>(const std::vector<DeadLetter>&)> requeue{};
  std::function<Result<std::uint64_t>(const std::vector<DeadLetter>&)> purge{};
};

// One request of the control socket, and its answer: one JSON object in one line (gateway/ops/README.md: ledger, spool,
// deadletters). Never throws; a request that makes no sense is answered with {"error": …}.
std::string answer(const Kept& kept, const std::string& request);

}  // namespace trunkline
