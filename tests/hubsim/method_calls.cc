// SPDX-License-Identifier: Apache-2.0
#include "tests/hubsim/method_calls.h"

#include <algorithm>
#include <vector>

#include "gateway/base/crypto.h"
#include "gateway/base/encoding.h"

namespace trunkline::hubsim {
namespace {

MethodAnswer not_online() {
  return {404, 404103, "Timed out waiting for device to connect.", 0, {}};
}

}  // namespace

void MethodCalls::begin(Call call, bool online, SteadyTime now, Done done) {
  if (calls_.size() >= kMaxInFlight) {
    return done({403, 403800, "Too many direct methods of this device are in flight.", 0, {}});
  }
  if (!online && call.connect_timeout <= Milliseconds(0)) return done(not_online());
  Entry entry;
  entry.connect_until = online ? now : now + call.connect_timeout;
  entry.answer_until = entry.connect_until + call.response_timeout;
  entry.call = std::move(call);
  entry.done = std::move(done);
  calls_.emplace(++last_, std::move(entry));
}

std::optional<MethodCalls::Request> MethodCalls::next(SteadyTime now) {
  const auto found =
      std::find_if(calls_.begin(), calls_.end(), [](const auto& entry) { return entry.second.id.empty(); });
  if (found == calls_.end()) return std::nullopt;
  auto& entry = found->second;
  // A proper version 4: the Node SDK takes no other text for a uuid, and would answer with a string.
  auto text = random_uuid();
  std::erase(text, '-');
  entry.id = hex_decode(text).value();
  entry.answer_until = std::min(entry.answer_until, now + entry.call.response_timeout);
  return Request{entry.id, entry.call.method, entry.call.payload};
}

bool MethodCalls::answer(const std::string& id, std::int32_t status, std::string payload) {
  const auto found = find(id);
  if (found == calls_.end()) return false;
  finish(found, {200, 0, {}, status, std::move(payload)});
  return true;
}

bool MethodCalls::spoil(const std::string& id, std::string why) {
  const auto found = find(id);
  if (found == calls_.end()) return false;
  finish(found, {500, 500001, std::move(why), 0, {}});
  return true;
}

void MethodCalls::link_lost() {
  std::vector<std::uint64_t> sent;
  for (const auto& [number, entry] : calls_) {
    if (!entry.id.empty()) sent.push_back(number);
  }
  for (const auto number : sent) {
    if (const auto found = calls_.find(number); found != calls_.end()) {
      finish(found, {404, 404104, "The device closed the connection.", 0, {}});
    }
  }
}

void MethodCalls::abandon() {
  while (!calls_.empty()) finish(calls_.begin(), {404, 404001, "Device not found", 0, {}});
}

void MethodCalls::tick(bool online, SteadyTime now) {
  std::vector<std::uint64_t> over;
  for (auto& [number, entry] : calls_) {
    if (entry.answer_until <= now || (!online && entry.id.empty() && entry.connect_until <= now)) {
      over.push_back(number);
    }
  }
  for (const auto number : over) {
    const auto found = calls_.find(number);
    if (found == calls_.end()) continue;
    const bool never_there = !online && found->second.id.empty();
    finish(found, never_there ? not_online()
                              : MethodAnswer{504, 504101, "Timed out waiting for the response from device.", 0, {}});
  }
}

SteadyTime MethodCalls::deadline(bool online) const {
  auto next = kNever;
  for (const auto& [number, entry] : calls_) {
    const bool absent = !online && entry.id.empty();
    next = std::min(next, absent ? std::min(entry.connect_until, entry.answer_until) : entry.answer_until);
  }
  return next;
}

bool MethodCalls::has_waiting() const {
  return std::any_of(calls_.begin(), calls_.end(), [](const auto& entry) { return entry.second.id.empty(); });
}

// Taken out first: the callee may begin another call.
void MethodCalls::finish(std::map<std::uint64_t, Entry>::iterator entry, const MethodAnswer& answer) {
  const auto node = calls_.extract(entry);
  node.mapped().done(answer);
}

std::map<std::uint64_t, MethodCalls::Entry>::iterator MethodCalls::find(const std::string& id) {
  return std::find_if(calls_.begin(), calls_.end(),
                      [&id](const auto& entry) { return !id.empty() && entry.second.id == id; });
}

}  // namespace trunkline::hubsim
