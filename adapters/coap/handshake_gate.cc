// SPDX-License-Identifier: Apache-2.0
#include "adapters/coap/handshake_gate.h"

#include <algorithm>

#include "gateway/base/crypto.h"

namespace trunkline::coap {

namespace {

constexpr std::size_t kRecordHeader = 13;
constexpr std::size_t kMessageHeader = 12;
constexpr char kHandshake = 22, kClientHello = 1, kHelloVerifyRequest = 3;

std::size_t number(std::string_view bytes) {
  std::size_t out = 0;
  for (const char c : bytes) out = out << 8 | static_cast<unsigned char>(c);
  return out;
}

// A length and as many bytes; nothing if there are not that many.
std::optional<std::string_view> take(std::string_view& from, std::size_t length_bytes) {
  if (from.size() < length_bytes) return std::nullopt;
  const auto length = number(from.substr(0, length_bytes));
  from.remove_prefix(length_bytes);
  if (from.size() < length) return std::nullopt;
  const auto out = from.substr(0, length);
  from.remove_prefix(length);
  return out;
}

// A record that says it is encrypted and has no room for what that takes.
bool has_short_record(std::string_view datagram, std::size_t least) {
  while (datagram.size() >= kRecordHeader) {
    const auto length = number(datagram.substr(11, 2));
    if (number(datagram.substr(3, 2)) != 0 && length < least) return true;
    datagram.remove_prefix(std::min(datagram.size(), kRecordHeader + length));
  }
  return false;
}

}  // namespace

bool ClientHello::begins(std::string_view datagram) {
  return datagram.size() > kRecordHeader && datagram[0] == kHandshake && number(datagram.substr(3, 2)) == 0 &&
         datagram[kRecordHeader] == kClientHello;
}

std::optional<ClientHello> ClientHello::parse(std::string_view datagram) {
  constexpr std::size_t kBeforeSession = 34;  // version and random
  if (!begins(datagram) || datagram[1] != '\xfe') return std::nullopt;
  ClientHello out;
  out.record_number = datagram.substr(5, 6);
  auto rest = datagram.substr(11);
  const auto record = take(rest, 2);
  if (!record || record->size() < kMessageHeader + kBeforeSession) return std::nullopt;
  const auto length = number(record->substr(1, 3));
  const auto offset = number(record->substr(6, 3));
  if (offset != 0 || number(record->substr(9, 3)) != length || record->size() != kMessageHeader + length) {
    return std::nullopt;
  }
  auto body = record->substr(kMessageHeader);
  if (body[0] != '\xfe') return std::nullopt;
  out.random = body.substr(2, 32);
  body.remove_prefix(kBeforeSession);
  if (const auto session = take(body, 1); !session || session->size() > 32) return std::nullopt;
  const auto cookie = take(body, 1);
  if (!cookie) return std::nullopt;
  out.cookie = *cookie;
  if (const auto suites = take(body, 2); !suites || suites->size() < 2) return std::nullopt;
  if (const auto compressions = take(body, 1); !compressions || compressions->empty()) return std::nullopt;
  return out;
}

std::string HandshakeGate::cookie(const Peer& peer, std::string_view random, std::int64_t window) const {
  std::string message(peer.address.begin(), peer.address.end());
  message += std::to_string(peer.port) + ' ' + std::to_string(window) + ' ';
  return hmac_sha256(secret_.reveal(), message.append(random));
}

bool HandshakeGate::good(const ClientHello& hello, const Peer& peer, std::int64_t window) const {
  if (hello.cookie.empty()) return false;
  const Secret given{std::string(hello.cookie)};
  return given == Secret(cookie(peer, hello.random, window)) || given == Secret(cookie(peer, hello.random, window - 1));
}

HandshakeGate::Verdict HandshakeGate::on_datagram(const Peer& peer, std::string_view datagram, SteadyTime now) {
  if (ClientHello::begins(datagram)) return on_hello(peer, datagram, now);
  const auto known = by_peer_.find(peer);
  const bool good = known != by_peer_.end() && !has_short_record(datagram, known_.at(known->second).least);
  return {good ? Verdict::Kind::pass : Verdict::Kind::drop, {}, nullptr};
}

HandshakeGate::Verdict HandshakeGate::on_hello(const Peer& peer, std::string_view datagram, SteadyTime now) {
  passed_.clear();
  Verdict out;
  const auto hello = ClientHello::parse(datagram);
  if (!hello) {
    out.kind = Verdict::Kind::drop;
    return out;
  }
  const auto window = now.time_since_epoch() / kWindow;
  if (!good(*hello, peer, window)) {
    out.kind = Verdict::Kind::verify;
    const auto wanted = cookie(peer, hello->random, window);
    const auto length = static_cast<char>(3 + wanted.size());
    const std::string message{kHelloVerifyRequest, 0, 0, length, 0, 0, 0, 0, 0, 0, 0, length};
    // DTLS 1.0 as its version, whatever will be agreed on (section 4.2.1).
    const std::string body = std::string("\xfe\xff") + static_cast<char>(wanted.size()) + wanted;
    out.answer = std::string("\x16\xfe\xff\0\0", 5).append(hello->record_number);
    out.answer += {0, static_cast<char>(message.size() + body.size())};
    out.answer += message + body;
    return out;
  }
  const auto known = by_peer_.find(peer);
  if (known != by_peer_.end()) {
    // The same attempt again is a retransmission, which is libcoap's.
    const auto& random = known_.at(known->second).random;
    if (!std::equal(random.begin(), random.end(), hello->random.begin())) out.end = known->second;
  } else if (!make_room(peer.address, now, out.end)) {
    out.kind = Verdict::Kind::drop;
    return out;
  }
  passed_ = hello->cookie;
  std::copy(hello->random.begin(), hello->random.end(), random_.begin());
  return out;
}

bool HandshakeGate::make_room(const Address& address, SteadyTime now, Session& end) const {
  const auto own = of_address_.find(address);
  if (own != of_address_.end() && own->second >= std::max<std::size_t>(most_ / 2, 1)) return false;
  if (unfinished_.size() < most_) return true;
  const auto most = std::max_element(of_address_.begin(), of_address_.end(),
                                     [](const auto& a, const auto& b) { return a.second < b.second; });
  const auto oldest = std::find_if(unfinished_.begin(), unfinished_.end(),
                                   [&most](const auto& entry) { return entry.second.address == most->first; });
  if (oldest->second.since + kPatience > now) return false;
  end = oldest->second.session;
  return true;
}

void HandshakeGate::on_session(Session session, const Peer& peer, SteadyTime now) {
  on_gone(session);
  known_[session] = {peer, random_, ++last_, kLeastRecord};
  by_peer_[peer] = session;
  unfinished_.emplace(last_, Unfinished{session, peer.address, now});
  ++of_address_[peer.address];
}

void HandshakeGate::on_connected(Session session, std::size_t least) {
  const auto found = known_.find(session);
  if (found == known_.end()) return;
  found->second.least = least;
  finish(found->second);
}

void HandshakeGate::on_gone(Session session) {
  const auto found = known_.find(session);
  if (found == known_.end()) return;
  finish(found->second);
  if (const auto peer = by_peer_.find(found->second.peer); peer != by_peer_.end() && peer->second == session) {
    by_peer_.erase(peer);
  }
  known_.erase(found);
}

void HandshakeGate::finish(Known& known) {
  if (!known.unfinished) return;
  unfinished_.erase(*known.unfinished);
  known.unfinished.reset();
  const auto count = of_address_.find(known.peer.address);
  if (--count->second == 0) of_address_.erase(count);
}

}  // namespace trunkline::coap
