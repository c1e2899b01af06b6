// SPDX-License-Identifier: Apache-2.0
#include "gateway/pipeline/store.h"

#include <algorithm>
#include <utility>

#include "gateway/base/log.h"

namespace trunkline {

Store::Store(Spool& spool, Capacity& capacity, Metrics& metrics)
    : spool_(spool),
      capacity_(capacity),
      commits_(metrics.metric("spool_commits_total", "Transactions committed to the spool")),
      commit_failures_(metrics.metric("spool_commit_failures_total", "Transactions that the disk refused")),
      written_(metrics.metric("spool_written_total", "Messages written to the spool")),
      never_written_(
          metrics.metric("spool_never_written_total", "Messages accepted by the hub before their turn to be written")),
      dead_lettered_(metrics.metric("dead_lettered_total", "Messages moved to the dead letters")) {}

Store::Result Store::process(std::vector<StoreItem>& items, WallTime now) {
  Result result;
  std::vector<ReadRequest> reads;
  for (auto& item : items) {
    if (auto* arrival = std::get_if<Arrival>(&item)) {
      unwritten_.emplace(arrival->message->position.value, false);
      arrivals_.push_back(std::move(*arrival));
    } else if (auto* settlement = std::get_if<Settlement>(&item)) {
      take(std::move(*settlement));
    } else if (auto* request = std::get_if<ReadRequest>(&item)) {
      reads.push_back(std::move(*request));
    } else {
      records_.push_back(std::move(std::get<RecordRequest>(item)));
    }
  }
  items.clear();
  result.failed = !commit(now);
  for (const auto& request : reads) result.reads.push_back(read(request));
  return result;
}

void Store::take(Settlement settlement) {
  if (settlement.outcome.kind == Outcome::Kind::accepted) {
    if (const auto arrival = unwritten_.find(settlement.message->position.value); arrival != unwritten_.end()) {
      arrival->second = true;
      return;
    }
  }
  settlements_.push_back(std::move(settlement));
}

bool Store::commit(WallTime now) {
  if (arrivals_.empty() && settlements_.empty() && records_.empty()) return true;

  std::vector<MessagePtr> to_write;
  to_write.reserve(arrivals_.size());
  for (const auto& arrival : arrivals_) {
    if (!unwritten_.at(arrival.message->position.value)) to_write.push_back(arrival.message);
  }
  std::vector<CommandRecord> commands;
  commands.reserve(records_.size());
  for (const auto& request : records_) commands.push_back(request.record);

  if (!to_write.empty() || !settlements_.empty() || !commands.empty()) {
    const auto done = spool_.commit({to_write, settlements_, commands}, now);
    if (!done) {
      commit_failures_.add();
      if (fault_ != done.error().message) {
        log::error("spool_commit_failed", {{"error", done.error().message},
                                           {"pending", arrivals_.size()},
                                           {"do", "nothing is acknowledged until the disk works"}});
      }
      fault_ = done.error().message;
      // Whatever the hub accepted meanwhile is safe without the disk (D-01), as long as nothing older of its device
      // waits.
      std::unordered_set<DeviceId> waiting;
      std::deque<Arrival> keep;
      for (auto& arrival : arrivals_) {
        const auto& device = arrival.message->telemetry.device;
        if (unwritten_.at(arrival.message->position.value) && !waiting.contains(device)) {
          unwritten_.erase(arrival.message->position.value);
          capacity_.give_back(arrival.message->footprint());
          never_written_.add();
          arrival.done(Admission::safe());
        } else {
          waiting.insert(device);
          keep.push_back(std::move(arrival));
        }
      }
      arrivals_ = std::move(keep);
      return false;
    }
    commits_.add();
    written_.add(to_write.size());
  }
  if (!fault_.empty()) {
    log::info("spool_commit_recovered", {{"pending", arrivals_.size()}});
    fault_.clear();
  }
  for (const auto& settlement : settlements_) {
    if (settlement.outcome.kind == Outcome::Kind::accepted) {
      capacity_.give_back(settlement.message->footprint());
    } else {
      dead_lettered_.add();
    }
  }
  settlements_.clear();
  // In order of arrival, so that an acknowledgement vouches for everything older (D-01).
  for (auto& arrival : arrivals_) {
    if (unwritten_.at(arrival.message->position.value)) {
      capacity_.give_back(arrival.message->footprint());
      never_written_.add();
    }
    arrival.done(Admission::safe());
  }
  arrivals_.clear();
  unwritten_.clear();
  for (auto& request : records_) request.done(Recorded{true});
  records_.clear();
  return true;
}

ReadAnswer Store::read(const ReadRequest& request) {
  ReadAnswer answer;
  answer.slot = request.slot;
  auto rows = spool_.read(request.device, request.after, request.limit, request.max_bytes);
  if (!rows) {
    log::error("spool_read_failed", {{"device", request.device.text()}, {"error", rows.error().message}});
    answer.failed = true;
    answer.more = true;
    return answer;
  }
  answer.messages = std::move(*rows);
  const auto last = answer.messages.empty() ? request.after : answer.messages.back()->position;
  answer.more = spool_.has_after(request.device, last);
  if (answer.more) return answer;
  // Arrivals that could not be written yet are behind every row of their device.
  for (const auto& arrival : arrivals_) {
    if (arrival.message->telemetry.device != request.device || arrival.message->position <= last) continue;
    if (answer.messages.size() >= request.limit) {
      answer.more = true;
      break;
    }
    answer.messages.push_back(arrival.message);
  }
  return answer;
}

Store::Status Store::status() const {
  return {spool_.depth(), arrivals_.size(), spool_.devices(), fault_};
}

}  // namespace trunkline
