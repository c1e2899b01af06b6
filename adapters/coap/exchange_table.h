// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <unordered_map>

#include "adapters/coap/request.h"
#include "gateway/base/clock.h"

namespace trunkline::coap {

// Recognises the retransmission of a request (RFC 7252 section 4.2): libcoap 4.3.1 does not. Pure; one per listener. A
// request is the same one if peer, message id, token and bytes are equal within EXCHANGE_LIFETIME; the bytes count,
// because a device that restarts often begins with the same message id again. Bounded per peer and in all; the oldest
// answered exchange makes room, one that waits for its answer never does.
class ExchangeTable {
 public:
  static constexpr Milliseconds kLifetime{247'000};
  struct Limits {
    std::size_t per_peer = 64;
    std::size_t total = 32 * 1024;
  };

  struct Reply {
    Code code = Code::none;
    std::uint32_t max_age = 0;  // seconds, for Code::unavailable
    friend bool operator==(const Reply&, const Reply&) = default;
  };
  struct Seen {
    enum class Kind {
      fresh,     // remembered; answer(id) is owed
      pending,   // its first copy is not answered yet: say nothing more
      answered,  // say `reply` again
      busy,      // too many wait for their answer: not remembered
    };
    Kind kind;
    std::uint64_t id = 0;
    Reply reply;
  };

  ExchangeTable() : ExchangeTable(Limits{}) {}
  explicit ExchangeTable(Limits limits) : limits_(limits) {}

  Seen see(const Peer& peer, const Request& request, SteadyTime now);
  void answer(std::uint64_t id, Reply reply);

  [[nodiscard]] std::size_t size() const { return by_id_.size(); }

 private:
  struct Exchange {
    Peer peer;
    Token token;
    std::size_t hash;
    SteadyTime since;
    bool answered = false;
    Reply reply;
  };
  // The message id beside the name, so that the many that differ are told without looking each up.
  struct Named {
    std::uint64_t id;
    std::uint16_t message_id;
  };
  void forget(std::map<std::uint64_t, Exchange>::iterator exchange);
  void expire(SteadyTime now);
  bool make_room(std::deque<Named>& of_peer);

  Limits limits_;
  std::uint64_t last_id_ = 0;
  std::map<std::uint64_t, Exchange> by_id_;  // ids grow with time, so this is the order of expiry
  std::map<Peer, std::deque<Named>> by_peer_;
};

}  // namespace trunkline::coap
