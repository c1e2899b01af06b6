// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

#include "adapters/coap/handshake_gate.h"

namespace trunkline::test {

// One input of the fuzzer: a datagram of a stranger, then of one who has a session, before any cookie was given out.
// Does everything that must hold hold?
inline bool hello_holds(std::string_view input) {
  using Kind = coap::HandshakeGate::Verdict::Kind;
  const auto within = [input](std::string_view part) {
    return part.empty() || (part.data() >= input.data() && part.data() + part.size() <= input.data() + input.size());
  };
  const auto hello = coap::ClientHello::parse(input);
  if (hello && !(within(hello->record_number) && within(hello->random) && within(hello->cookie))) return false;
  if (hello && (hello->record_number.size() != 6 || hello->random.size() != 32)) return false;
  coap::HandshakeGate gate(4, "secret");
  const coap::Peer peer{};
  const auto stranger = gate.on_datagram(peer, input, SteadyTime{});
  // Nobody can guess a cookie, and an answer is never longer than what asked for it.
  if (stranger.kind == Kind::pass || stranger.end != nullptr) return false;
  if ((stranger.kind == Kind::verify) != hello.has_value()) return false;
  if (stranger.answer.size() > input.size()) return false;
  int session = 0;
  gate.on_session(&session, peer, SteadyTime{});
  if (gate.on_datagram(peer, input, SteadyTime{}).end != nullptr) return false;
  gate.on_connected(&session, 24);
  const auto known = gate.on_datagram(peer, input, SteadyTime{});
  return known.end == nullptr && !(coap::ClientHello::begins(input) && known.kind == Kind::pass);
}

}  // namespace trunkline::test
