// SPDX-License-Identifier: Apache-2.0
#include "gateway/pipeline/books.h"

#include "gateway/base/clock.h"

namespace trunkline {

LedgerReport report(const Books& books, const std::string& device, std::optional<std::int64_t> since) {
  LedgerReport out;
  out.total.name = "total";
  std::map<std::string, LedgerReport::Device> devices;
  const auto wanted = [&device](const std::string& name) { return device.empty() || name == device; };
  for (const auto& [day, tallies] : books.days) {
    const bool before = since && day < *since;
    LedgerLine line{day == 0 ? "earlier" : day_text(day), out.total.carried_out(), {}};
    bool any = false;
    for (const auto& [name, tally] : tallies) {
      if (!wanted(name)) continue;
      any = true;
      auto& own = devices[name];
      if (before) {
        own.carried_in += tally.carried();
        out.total.carried_in += tally.carried();
      } else {
        own.tally += tally;
        line.tally += tally;
      }
    }
    out.total.tally += line.tally;
    if (any && !before) out.days.push_back(std::move(line));
  }
  for (const auto& [name, held] : books.held) {
    if (!wanted(name)) continue;
    devices[name].held = held;
    out.total.held.waiting += held.waiting;
    out.total.held.dead_lettered += held.dead_lettered;
  }
  for (auto& [name, own] : devices) {
    own.name = name;
    out.devices.push_back(std::move(own));
  }
  return out;
}

}  // namespace trunkline
