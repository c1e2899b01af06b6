// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <tuple>

#include "adapters/coap/request.h"
#include "gateway/base/clock.h"

namespace trunkline::coap {

// Puts bodies together that come in blocks (RFC 7959 section 2.5). Pure; one per adapter. What a peer says of its
// body's size is a claim: it can only make us refuse sooner. Memory grows by the bytes that came, and is bounded per
// body and in all: the body that rests longest makes room, and its device begins anew after a 4.08.
class BodyTable {
 public:
  static constexpr Milliseconds kPatience{120'000};  // for the next block
  struct Limits {
    std::size_t body = 64 * 1024;         // bytes
    std::size_t total = 4 * 1024 * 1024;  // bytes of all unfinished bodies
    std::size_t count = 1024;             // of unfinished bodies
  };
  struct Taken {
    // `whole`: body is complete. else what to answer: next_part, incomplete, too_large, bad_request.
    bool whole = false;
    Code answer = Code::none;
    std::string body;
  };

  explicit BodyTable(Limits limits) : limits_(limits) {}

  // `device` and the path name the body among those of one peer.
  Taken take(const Speaker& speaker, std::size_t device, const Request& request, SteadyTime now);

  [[nodiscard]] const Limits& limits() const { return limits_; }
  [[nodiscard]] std::size_t bytes() const { return bytes_; }

 private:
  using Key = std::tuple<Peer, bool, std::size_t, std::string>;
  struct Body {
    std::string bytes;
    SteadyTime touched{};
  };
  void drop(std::map<Key, Body>::iterator body);
  void make_room(const Key& keep, SteadyTime now);

  Limits limits_;
  std::map<Key, Body> bodies_;
  std::size_t bytes_ = 0;
};

}  // namespace trunkline::coap
