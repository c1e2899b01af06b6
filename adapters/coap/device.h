// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "adapters/coap/command_lane.h"
#include "adapters/coap/exchange_table.h"
#include "adapters/coap/pusher.h"
#include "adapters/coap/response.h"
#include "config/settings.h"
#include "gateway/base/guarded.h"
#include "gateway/base/lazy_queue.h"
#include "gateway/base/log_limit.h"
#include "gateway/base/metrics.h"
#include "gateway/core/adapter.h"

namespace trunkline::coap {

struct Counters {
  explicit Counters(Metrics& metrics);
  Metric& messages;
  Metric& acknowledged;
  Metric& refused;
  Metric& throttled;
  Metric& limited;
  Metric& repeated;
  Metric& not_mapped;
  Metric& observers;
  Metric& observers_lost;
  Metric& body_bytes;
  Metric& handshakes_refused;
};

// What the devices of one adapter have in common. Owned by the responder.
struct Shared {
  const Clock& clock;
  const config::Coap& settings;
  Counters counters;
  Guarded<std::vector<AdapterDeviceStatus>> status{};
  Ingress* ingress = nullptr;
  Pusher* pusher = nullptr;
  ExchangeTable* exchanges = nullptr;
  std::size_t observers = 0;
  bool stopping = false;
  SteadyTime next_tick = kNever;

  // A tick that comes too early only looks again.
  void wake_at(SteadyTime time) { next_tick = std::min(next_tick, time); }
};

// Where a request came from that is answered later, and how it wants to be answered.
struct Question {
  Session session;
  Token token;
  std::optional<std::uint32_t> block1;
  std::optional<Block> block2;
  bool confirmable = false;
  std::uint8_t no_response = 0;
  SteadyTime asked{};
  std::optional<std::pair<unsigned, std::uint64_t>> time{};  // goes into the answer
  std::optional<std::uint64_t> poll{};                       // it asks for a command: number of the exchange
};

// What names a command in a message: its id, a method's name, the version of desired properties.
std::vector<std::string> queries_of(const Command& command);

// Whether a response may be sent: RFC 7967 section 2.1 has a bit for each class that is not wanted.
bool wanted(std::uint8_t no_response, Code code);

// One device towards which commands go, in the way of its map: notifications to its observers, on the answers to its
// telemetry, or pushed to its own server; and whether it can be reached (C-01, C-02). Owned by the responder, on the
// adapter's thread.
class Device {
 public:
  static constexpr std::size_t kObservers = 4;       // the oldest makes room
  static constexpr int kStale = 10;                  // times expect_every: then its observers are dropped
  static constexpr Milliseconds kPushPause{60'000};  // after a push that nobody answered, unless it is heard

  Device(DeviceMap map, std::size_t index, Shared& shared);

  [[nodiscard]] const DeviceMap& map() const { return map_; }
  LogLimit& log() { return log_; }

  void start() { update_presence(shared_.clock.steady()); }
  // Those who observe it go on with the same device under another map, as far as that has their path still.
  void follow(Device& before);
  // Nobody asks for it any more; its commands are released.
  void retire(std::string_view why);
  [[nodiscard]] bool retired() const { return retired_; }
  void heard(const Peer& peer);
  void deliver(Command command, Completion<Outcome> done);

  // The resource of commands of one kind: what waits, in parts if need be, and observing.
  Response on_read(const Request& request, coap_session_t* session, CommandKind kind);
  // In queue mode a device may ask for its command without observing; then it can be reached until it is answered.
  [[nodiscard]] bool polls(const Request& request) const;
  // 2.05 with the next command, now or later, at the latest after command_wait.
  Response on_poll(Question question);
  Response on_result(const Request& request);
  // What the device answers to a method, and the state that it reports.
  Response on_method_reply(const Request& request, std::string_view body);
  Response on_reported(const Request& request, std::string_view body);

  // Telemetry of a device with coap.piggyback: it can be reached from when it asks until it is answered.
  void on_asked();
  void answer(Question question);            // 2.04 with the next command, at the latest after command_wait
  void on_not_answered();                    // it got another answer
  Response on_repeated();                    // 2.04 again, with the command if it is still to be done
  Response on_rest(const Request& request);  // asks for a later part of the command in its 2.04

  void on_pushed(Outcome outcome, bool heard);
  // Was this message one of its notifications?
  bool on_undelivered(coap_session_t* session, const Token& token);
  void on_closed(coap_session_t* session);

  [[nodiscard]] SteadyTime due() const;
  void tick(SteadyTime now);
  void release_all(std::string_view why) { lane_.release_all(why); }
  void answer_all();
  void close();

 private:
  struct Observer {
    Session session;
    Token token;
    CommandKind kind;
  };
  Response show(Code code, const Command* command, std::optional<Block> wanted_part);
  void observe(const Token& token, coap_session_t* session, CommandKind kind);
  std::size_t forget_observer(coap_session_t* session, std::optional<CommandKind> kind = {});
  [[nodiscard]] bool observed(CommandKind kind) const;
  [[nodiscard]] bool takes_anything() const;
  void lose_observers(std::size_t lost);
  void carry();
  bool notify(const Command& command);
  void answer_now(Question question);
  void answer_first();
  [[nodiscard]] const Command* shown(const Question& question) const;
  [[nodiscard]] bool reachable(SteadyTime now) const;
  void update_presence(SteadyTime now);
  [[nodiscard]] SteadyTime stale_at() const;

  const DeviceMap map_;
  std::size_t index_;
  Shared& shared_;
  CommandLane lane_;
  std::vector<Observer> observers_;       // oldest first
  std::uint32_t observe_ = 0;             // of the last notification, 24 bits (RFC 7641 section 3.4)
  LazyQueue<Question> held_;              // answered with the next command, or when their wait is over
  std::size_t asked_ = 0;                 // requests that may be answered with a command and are not yet
  std::optional<std::uint64_t> pushing_;  // sequence of the command that is on its way to its server
  SteadyTime push_ends_{};
  SteadyTime push_again_{};
  std::optional<SteadyTime> last_heard_;
  std::optional<Peer> peer_;
  Presence presence_ = Presence::away;
  bool retired_ = false;
  std::string shown_;  // what the views of the last response point to
  LogLimit log_;
};

}  // namespace trunkline::coap
