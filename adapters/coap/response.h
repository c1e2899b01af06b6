// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "adapters/coap/request.h"

extern "C" {
struct coap_pdu_t;
struct coap_session_t;
}

namespace trunkline::coap {

// What is said to a device: a response, a notification if `observe` is set, a request of ours if `post` is.
struct Response {
  Code code = Code::none;
  bool post = false;  // instead of the code
  std::optional<std::uint64_t> etag;
  std::optional<std::uint32_t> observe;
  std::vector<std::string> path;  // of a request, by segments
  std::optional<unsigned> content_format;
  std::optional<std::uint32_t> max_age;  // seconds
  std::vector<std::string> queries;      // of a request
  std::vector<std::string> location_queries;
  std::optional<std::uint32_t> block2;  // as in the option
  std::optional<std::uint32_t> block1;
  std::optional<std::uint32_t> size2;
  std::optional<std::uint32_t> size1;
  std::optional<std::pair<unsigned, std::uint64_t>> own_option;  // of a number beyond all of these
  std::string_view payload;                                      // lives until it is sent
};

// What a device's server answered.
struct PushAnswer {
  Code code = Code::none;
  std::optional<Block> block1{};
  std::string_view payload{};
  std::optional<Block> block2{};  // which part of its answer this is
};

// Writes code, options and payload; false: they do not fit.
bool fill(coap_pdu_t* pdu, const Response& response);

// Sends a message of ours; true if the network or libcoap's queue has it. A session that has ended takes nothing.
bool send(coap_session_t* session, bool confirmable, const Token& token, const Response& response);

// Keeps libcoap's session with a peer alive, so that it can be answered later. Lives no longer than its server.
class Session {
 public:
  struct Own {};
  explicit Session(coap_session_t* session);
  Session(coap_session_t* session, Own /*taken over*/) : session_(session) {}
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  Session(Session&& other) noexcept;
  Session& operator=(Session&& other) noexcept;
  ~Session();

  [[nodiscard]] coap_session_t* get() const { return session_; }

 private:
  coap_session_t* session_;
};

}  // namespace trunkline::coap
