// SPDX-License-Identifier: Apache-2.0
#include "adapters/coap/exchange_table.h"

#include <algorithm>
#include <functional>

namespace trunkline::coap {

ExchangeTable::Seen ExchangeTable::see(const Peer& peer, const Request& request, SteadyTime now) {
  expire(now);
  auto& of_peer = by_peer_[peer];
  const auto hash = std::hash<std::string_view>{}(request.payload) * 31 + std::hash<std::string>{}(request.path);
  for (auto named = of_peer.rbegin(); named != of_peer.rend(); ++named) {
    if (named->message_id != request.message_id) continue;
    const auto& exchange = by_id_.at(named->id);
    if (exchange.token != request.token || exchange.hash != hash) continue;
    if (!exchange.answered) return {Seen::Kind::pending, named->id, {}};
    return {Seen::Kind::answered, named->id, exchange.reply};
  }
  if (!make_room(of_peer)) {
    if (of_peer.empty()) by_peer_.erase(peer);
    return {Seen::Kind::busy, 0, {}};
  }
  const auto id = ++last_id_;
  by_id_.emplace_hint(by_id_.end(), id, Exchange{peer, request.token, hash, now, false, {}});
  by_peer_[peer].push_back({id, request.message_id});
  return {Seen::Kind::fresh, id, {}};
}

void ExchangeTable::answer(std::uint64_t id, Reply reply) {
  const auto found = by_id_.find(id);
  if (found == by_id_.end()) return;
  found->second.answered = true;
  found->second.reply = reply;
}

bool ExchangeTable::make_room(std::deque<Named>& of_peer) {
  if (of_peer.size() >= limits_.per_peer) {
    const auto oldest = std::find_if(of_peer.begin(), of_peer.end(),
                                     [this](const Named& named) { return by_id_.at(named.id).answered; });
    if (oldest == of_peer.end()) return false;
    by_id_.erase(oldest->id);
    of_peer.erase(oldest);
  }
  if (by_id_.size() < limits_.total) return true;
  const auto oldest =
      std::find_if(by_id_.begin(), by_id_.end(), [](const auto& entry) { return entry.second.answered; });
  if (oldest == by_id_.end()) return false;
  forget(oldest);
  return true;
}

void ExchangeTable::forget(std::map<std::uint64_t, Exchange>::iterator exchange) {
  const auto peer = by_peer_.find(exchange->second.peer);
  std::erase_if(peer->second, [&exchange](const Named& named) { return named.id == exchange->first; });
  if (peer->second.empty()) by_peer_.erase(peer);
  by_id_.erase(exchange);
}

void ExchangeTable::expire(SteadyTime now) {
  // One that still waits holds up the expiry of those behind it; what waits is bounded and ends.
  while (!by_id_.empty() && by_id_.begin()->second.answered && by_id_.begin()->second.since + kLifetime <= now) {
    forget(by_id_.begin());
  }
}

}  // namespace trunkline::coap
