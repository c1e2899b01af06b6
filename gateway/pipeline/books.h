// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "gateway/core/device_id.h"
#include "gateway/pipeline/note.h"
#include "gateway/pipeline/tally.h"

namespace trunkline {

// The ledger as it is stored, with what is there beside it: what a report is made of. A value.
struct Books {
  struct Held {
    std::uint64_t waiting = 0;        // counted from rows
    std::uint64_t dead_lettered = 0;  // counted from rows
  };
  std::map<std::int64_t, std::map<std::string, Tally>> days;  // by day, then device
  std::map<std::string, Held> held;                           // by device
  std::map<std::string, CommandBook> commands;                // by device, those with any

  void book(std::int64_t day, const Tallies& tallies) {
    for (const auto& [device, tally] : tallies) days[day][device.text()] += tally;
  }
};

// A stretch of time, of one device or of all of them: carried in + received = accepted + dropped + expired + carried
// out, and at the end carried out = waiting + dead-lettered (D-05).
struct LedgerLine {
  std::string name;             // a day or a device
  std::int64_t carried_in = 0;  // waiting and dead letters together
  Tally tally;
  [[nodiscard]] std::int64_t carried_out() const { return carried_in + tally.carried(); }
};
struct LedgerReport {
  struct Device : LedgerLine {
    Books::Held held;
    [[nodiscard]] std::int64_t unaccounted() const {
      return carried_out() - static_cast<std::int64_t>(held.waiting + held.dead_lettered);
    }
  };
  std::vector<LedgerLine> days;  // the totals of the devices below
  std::vector<Device> devices;
  Device total;
};

// Pure. device: empty for all; since: the first day of the report, what was before is carried in.
LedgerReport report(const Books& books, const std::string& device, std::optional<std::int64_t> since);

}  // namespace trunkline
