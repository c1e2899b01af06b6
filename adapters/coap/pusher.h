// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "adapters/coap/response.h"
#include "gateway/core/command.h"
#include "gateway/core/outcome.h"
#include "gateway/mapping/device_map.h"

namespace trunkline::coap {

class Server;

// Carries commands to the devices' own servers as POST with ?id=, block by block if they are long (RFC 7959 section
// 2.5), and brings a method's answer together that comes in blocks (section 2.7). One at a time for each device. Owned
// by the responder, on the adapter's thread. Every push that was begun and not cancelled ends in one call of `done`; an
// unanswered one is ended by whoever knows its deadline.
class Pusher {
 public:
  // `heard`: the device's server answered, whatever it said.
  using Done = std::function<void(std::size_t device, Outcome outcome, bool heard)>;

  explicit Pusher(Done done);
  void attach(Server& server) { server_ = &server; }

  void begin(std::size_t device, const CoapPush& to, const Command& command);
  void cancel(std::size_t device);

  void on_answer(coap_session_t* session, const Token& token, const PushAnswer& answer);
  void on_undelivered(coap_session_t* session, const Token& token);

  // Lets go of sessions that are done with; not from within a callback of libcoap, which still uses them there.
  void sweep() { spent_.clear(); }
  void close();

 private:
  struct Push {
    Session session;
    CoapPush to;
    std::vector<std::string> queries;
    bool method = false;
    std::string body;
    std::optional<unsigned> content_format;
    std::uint64_t token = 0;  // of all its blocks: some servers put them together by it
    Block block;
    std::string answer{};                // of a method, as far as it has come
    std::optional<Block> answer_part{};  // the one that is asked for
  };
  bool send_block(Push& push);
  bool ask_rest(Push& push, const Block& last);
  void take_answer(std::size_t device, const PushAnswer& answer);
  void finish(std::size_t device, Outcome outcome, bool heard);
  [[nodiscard]] std::optional<std::size_t> find(coap_session_t* session, const Token& token) const;

  Done done_;
  Server* server_ = nullptr;
  std::uint64_t last_token_ = 0;
  std::unordered_map<std::size_t, Push> pushes_;
  std::vector<Session> spent_;
};

}  // namespace trunkline::coap
