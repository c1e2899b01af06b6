// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace trunkline::coap {

enum class Method : std::uint8_t { get, post, put, other };

// A response code as it stands in the message: class in the upper three bits (RFC 7252 section 3).
enum class Code : std::uint8_t {
  none = 0,  // no response yet: a confirmable request gets an empty acknowledgement
  changed = 2 << 5 | 4,
  content = 2 << 5 | 5,
  next_part = 2 << 5 | 31,  // 2.31 Continue
  bad_request = 4 << 5,
  unauthorised = 4 << 5 | 1,
  bad_option = 4 << 5 | 2,
  forbidden = 4 << 5 | 3,
  not_found = 4 << 5 | 4,
  not_allowed = 4 << 5 | 5,
  not_acceptable = 4 << 5 | 6,
  incomplete = 4 << 5 | 8,
  too_large = 4 << 5 | 13,
  too_many = 4 << 5 | 29,  // RFC 8516
  internal_error = 5 << 5,
  unavailable = 5 << 5 | 3,
};

// What a requester calls its exchange; at most 8 bytes (RFC 7252 section 3).
struct Token {
  std::array<std::uint8_t, 8> bytes{};
  std::uint8_t size = 0;
  friend auto operator<=>(const Token&, const Token&) = default;
};

// A source address: 16 bytes, IPv4 as ::ffff:a.b.c.d, so that both forms of one address are equal.
using Address = std::array<std::uint8_t, 16>;
// The bytes of "10.0.0.7" or "fd00::7"; nothing if it is neither.
std::optional<Address> parse_address(std::string_view text);

// An endpoint that sends requests; names the exchanges of one device's socket.
struct Peer {
  Address address{};
  std::uint16_t port = 0;
  std::uint64_t life = 0;  // of a DTLS session: the next one from there is another endpoint (RFC 7252 section 9.1)
  friend auto operator<=>(const Peer&, const Peer&) = default;
};
std::string to_text(const Peer& peer);  // "10.0.0.7:5683"

// Who says something, as far as the transport proves it (I-02). Views live as long as the session.
struct Speaker {
  Peer peer;
  bool secure = false;        // over DTLS: `identity` is proven
  bool crowded = false;       // there are more peers than there should be
  bool crowding = false;      // soon: nothing is kept for a peer until it acknowledges
  std::string_view identity;  // PSK identity or certificate name; empty: the session was resumed, we do not know
  std::string_view key;       // the pre-shared key that proved it; empty: a certificate did
};

// One part of a body (RFC 7959 section 2.2).
struct Block {
  std::uint32_t number = 0;
  bool more = false;
  std::uint8_t exponent = 6;  // of its size: 16 bytes at 0, 1024 at 6

  static std::optional<Block> parse(std::uint32_t option);  // nothing: the reserved exponent, or too many bits
  [[nodiscard]] std::uint32_t option() const { return number << 4 | (more ? 8U : 0U) | exponent; }
  [[nodiscard]] std::size_t size() const { return std::size_t{1} << (exponent + 4); }
  [[nodiscard]] std::size_t offset() const { return number * size(); }
};

// What matters of one request, already parsed. `payload` lives as long as the datagram it came in.
struct Request {
  Method method = Method::other;
  bool confirmable = false;
  std::uint16_t message_id = 0;
  Token token;
  std::string path;                  // "/a/b"; a slash within a segment is "%2F"
  std::vector<std::string> queries;  // "id=7"
  std::optional<unsigned> content_format;
  std::optional<unsigned> accept;
  std::optional<unsigned> observe;     // 0 registers, 1 ends (RFC 7641 section 2)
  std::optional<Block> block1;         // which part of its body this is
  std::optional<Block> block2;         // which part of the answer it wants
  std::optional<std::uint64_t> size1;  // what it says that its body will be; a claim
  bool bad_block = false;              // one of the two cannot be read
  bool preconditions = false;          // If-Match or If-None-Match: critical, and we have no such state
  std::uint8_t no_response = 0;        // classes of response that the device does not want (RFC 7967)
  // Options whose numbers nobody has registered (RFC 7252 section 12.2); live as long as the datagram.
  std::vector<std::pair<unsigned, std::string_view>> own_options;
  std::string_view payload;
};

// The first option of that number among own_options.
std::optional<std::string_view> own_option(const Request& request, unsigned number);

// The value of "name=" among the queries, nothing if it is not there.
std::optional<std::string_view> query_value(const Request& request, std::string_view name);

// Content-Format numbers of the IANA registry and the media types they stand for. Nothing for one that is not known.
std::optional<std::string_view> media_type(unsigned content_format);
std::optional<unsigned> content_format(std::string_view media_type);

}  // namespace trunkline::coap
