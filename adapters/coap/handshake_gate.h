// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "adapters/coap/request.h"
#include "gateway/base/clock.h"
#include "gateway/base/secret.h"

namespace trunkline::coap {

// The first message of a DTLS handshake, as far as it matters before there is any state (RFC 6347 section 4.2.2). Views
// live as long as the datagram.
struct ClientHello {
  std::string_view record_number;  // 6 bytes
  std::string_view random;         // 32 bytes, new for each attempt
  std::string_view cookie;         // empty in the very first

  // Nothing if it is none, or is not whole: a first message in fragments is refused by libcoap too.
  static std::optional<ClientHello> parse(std::string_view datagram);
  // Only by its first bytes; those of an established session are another epoch's.
  static bool begins(std::string_view datagram);
};

// Who may begin a DTLS handshake. libcoap 4.3.1 keeps state for every first message whatever source it claims, ignores
// everybody once max_handshakes of them are kept, and gives the first message of a device that restarted to its old
// session, which is deaf to it. So this answers first messages itself, without state (RFC 6347 section 4.2.1), lets
// only those pass that come back with the cookie, and tells which session must end for it: an older one of the same
// peer (section 4.2.8), or the oldest handshake of the address that has most when there are too many. Pure; sessions
// are only names here. A cookie is good for one to two minutes, for one peer and one attempt.
class HandshakeGate {
 public:
  static constexpr Milliseconds kPatience{5'000};  // what every handshake gets, however many wait
  static constexpr Milliseconds kWindow{60'000};
  static constexpr std::size_t kLeastRecord = 16;  // of any cipher: explicit nonce and check value of AES-CCM-8

  using Session = void*;
  struct Verdict {
    enum class Kind {
      pass,    // for libcoap; a handshake may begin
      drop,    // nothing is said
      verify,  // `answer` goes back to the peer
    };
    Kind kind = Kind::pass;
    std::string answer;
    Session end = nullptr;  // ends before the datagram is passed
  };

  // `most` is how many handshakes may be unfinished; one address may have half of them.
  HandshakeGate(std::size_t most, std::string secret) : most_(most), secret_(std::move(secret)) {}

  Verdict on_datagram(const Peer& peer, std::string_view datagram, SteadyTime now);
  // Was it with this cookie that the last one passed?
  [[nodiscard]] bool passed(std::string_view cookie) const { return !passed_.empty() && cookie == passed_; }

  void on_session(Session session, const Peer& peer, SteadyTime now);  // by the hello that passed
  // `least` is how many bytes a record of its cipher has at least.
  void on_connected(Session session, std::size_t least);
  void on_gone(Session session);

  [[nodiscard]] std::size_t handshakes() const { return unfinished_.size(); }

 private:
  using Random = std::array<char, 32>;
  struct Known {
    Peer peer;
    Random random{};
    std::optional<std::uint64_t> unfinished;
    std::size_t least = kLeastRecord;
  };
  struct Unfinished {
    Session session;
    Address address;
    SteadyTime since;
  };
  Verdict on_hello(const Peer& peer, std::string_view datagram, SteadyTime now);
  [[nodiscard]] std::string cookie(const Peer& peer, std::string_view random, std::int64_t window) const;
  [[nodiscard]] bool good(const ClientHello& hello, const Peer& peer, std::int64_t window) const;
  void finish(Known& known);
  // True: there is room, perhaps once `end` has ended.
  bool make_room(const Address& address, SteadyTime now, Session& end) const;

  std::size_t most_;
  Secret secret_;
  std::string passed_;
  Random random_{};  // of the hello that passed last
  std::unordered_map<Session, Known> known_;
  std::map<Peer, Session> by_peer_;
  std::uint64_t last_ = 0;
  std::map<std::uint64_t, Unfinished> unfinished_;  // oldest first
  std::map<Address, std::size_t> of_address_;       // how many of them
};

}  // namespace trunkline::coap
