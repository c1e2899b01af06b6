// SPDX-License-Identifier: Apache-2.0
#include "adapters/coap/body_table.h"

#include <algorithm>
#include <utility>

namespace trunkline::coap {

BodyTable::Taken BodyTable::take(const Speaker& speaker, std::size_t device, const Request& request, SteadyTime now) {
  const auto say = [](Code code) { return Taken{false, code, {}}; };
  const bool claims_too_much = request.size1 && *request.size1 > limits_.body;
  if (claims_too_much || request.payload.size() > limits_.body) return say(Code::too_large);
  if (!request.block1) return {true, Code::none, std::string(request.payload)};
  const auto& block = *request.block1;
  if (block.number == 0 && !block.more) return {true, Code::none, std::string(request.payload)};
  // Only the last one may be short (section 2.3).
  if (block.more && request.payload.size() != block.size()) return say(Code::bad_request);

  Key key{speaker.peer, speaker.secure, device, request.path};
  auto found = bodies_.find(key);
  if (block.number == 0 && found != bodies_.end()) {
    drop(found);
    found = bodies_.end();
  }
  if (block.number != 0 && (found == bodies_.end() || found->second.bytes.size() != block.offset())) {
    if (found != bodies_.end()) drop(found);
    return say(Code::incomplete);
  }
  if (block.offset() + request.payload.size() > limits_.body) {
    if (found != bodies_.end()) drop(found);
    return say(Code::too_large);
  }
  if (found == bodies_.end()) found = bodies_.emplace(key, Body{}).first;
  auto& body = found->second;
  body.bytes.append(request.payload);
  body.touched = now;
  bytes_ += request.payload.size();
  if (block.more) {
    make_room(key, now);
    return say(Code::next_part);
  }
  Taken out{true, Code::none, std::move(body.bytes)};
  bytes_ -= out.body.size();
  bodies_.erase(found);
  return out;
}

void BodyTable::drop(std::map<Key, Body>::iterator body) {
  bytes_ -= body->second.bytes.size();
  bodies_.erase(body);
}

void BodyTable::make_room(const Key& keep, SteadyTime now) {
  while (bodies_.size() > 1) {
    const auto oldest = std::min_element(bodies_.begin(), bodies_.end(), [&keep](const auto& a, const auto& b) {
      // The one that has just grown is the last choice.
      return std::pair(a.first == keep, a.second.touched) < std::pair(b.first == keep, b.second.touched);
    });
    const bool crowded = bytes_ > limits_.total || bodies_.size() > limits_.count;
    if (!crowded && now - oldest->second.touched < kPatience) return;
    drop(oldest);
  }
}

}  // namespace trunkline::coap
