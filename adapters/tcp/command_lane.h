// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "adapters/tcp/request.h"
#include "gateway/base/clock.h"
#include "gateway/base/completion.h"
#include "gateway/base/lazy_queue.h"
#include "gateway/base/result.h"
#include "gateway/core/command.h"
#include "gateway/core/outcome.h"
#include "gateway/mapping/device_map.h"
#include "gateway/mapping/template.h"

namespace trunkline::tcp {

// What one device is asked: commands of every kind (C-01), and between them polls. One is on the wire at a time,
// further commands wait. Pure; owned by the device. Every completion is answered exactly once, at the latest by tick()
// at the command's deadline.
//
// A reply template without {id} cannot tell a late reply to an earlier command from the reply to the present one. So
// after a command of such a device ran out, nothing is sent until its late reply came or kLateReply has passed.
class CommandLane {
 public:
  static constexpr std::size_t kWaiting = 64;  // more are released at once; credit keeps them few
  static constexpr Milliseconds kLateReply{20'000};

  // invalid: a template is wrong, or nothing says when a command is done.
  static Result<CommandLane> make(const DeviceMap& map);

  // Of a line that is dialled when there is something to send: commands are taken without a connection too.
  void wait_for_connection() { patient_ = true; }

  void add(Command command, Completion<Outcome> done, SteadyTime now, WallTime wall);

  // The bytes to write now, if there is something to send and a connection to take it. For a command the caller then
  // reports on_written or fail_sending.
  std::optional<std::string> next(SteadyTime now);
  [[nodiscard]] std::uint64_t current() const { return current_ ? current_->command.sequence : 0; }
  void on_written(std::uint64_t sequence);
  void fail_sending(std::string_view why);

  // An answer is owed: nobody else on the line may send.
  [[nodiscard]] bool waits() const { return (current_ && !resend_) || polled_; }
  // From when on next may have something, given a connection: in the past if it has now.
  [[nodiscard]] SteadyTime due() const;

  // Is this message a reply, hence not telemetry?
  bool on_line(std::string_view line, SteadyTime now);
  // The state that this message reports, as JSON, if it is such a message and hence not telemetry.
  [[nodiscard]] std::optional<std::string> report(std::string_view line) const;
  // A message that is telemetry: the answer to a poll, if there was one.
  void on_telemetry() { polled_.reset(); }

  void on_connected(SteadyTime now);
  // Everything that waits is released: there is nothing to send to.
  void on_disconnected(std::string_view why);

  // When tick has something to do.
  [[nodiscard]] SteadyTime deadline() const;
  void tick(SteadyTime now);

  // Replies that answered no waiting command.
  [[nodiscard]] std::uint64_t stray_replies() const { return stray_replies_; }
  [[nodiscard]] std::uint64_t unanswered_polls() const { return unanswered_polls_; }

 private:
  struct Entry {
    Command command;
    Completion<Outcome> done;
    std::string wire;
    SteadyTime stale_at;  // too old to be sent from then on
    unsigned sent = 0;
  };
  // How commands of one kind go out, and what answers them.
  struct Way {
    Request send;
    std::optional<Template> reply{};
    bool by_reply = false;
    Milliseconds timeout{0};
    unsigned retries = 0;
    Milliseconds expire{0};
  };
  struct Poll {
    std::string wire;
    Milliseconds every;
    Milliseconds timeout;
    SteadyTime due{};
  };
  explicit CommandLane(const DeviceMap& map) : device_(map.id) {}
  Result<void> read_way(const DeviceMap& map, CommandKind kind);
  Result<void> read_polls(const DeviceMap& map);
  void finish(Outcome outcome);
  [[nodiscard]] std::optional<Way>& way(CommandKind kind) { return ways_.at(static_cast<std::size_t>(kind)); }
  [[nodiscard]] Way& current_way() { return *way(current_->command.kind); }
  bool take_reply(CommandKind kind, std::string_view line, SteadyTime now);
  std::optional<std::string> next_poll(SteadyTime now);
  void no_answer(SteadyTime now);

  DeviceId device_;
  std::array<std::optional<Way>, 3> ways_;  // by kind
  std::vector<Poll> polls_;
  std::optional<Template> reported_;
  bool connected_ = false;
  bool patient_ = false;
  std::optional<Entry> current_;
  bool resend_ = false;
  SteadyTime answer_by_ = kNever;     // of the present sending
  std::optional<SteadyTime> polled_;  // a poll waits for its answer until then
  LazyQueue<Entry> waiting_;
  SteadyTime quiet_until_{};  // of a device whose replies carry no id
  std::optional<CommandKind> late_reply_owed_;
  std::uint64_t stray_replies_ = 0;
  std::uint64_t unanswered_polls_ = 0;
};

}  // namespace trunkline::tcp
