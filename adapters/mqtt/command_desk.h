// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "adapters/mqtt/reply_match.h"
#include "gateway/base/clock.h"
#include "gateway/base/completion.h"
#include "gateway/base/lazy_queue.h"
#include "gateway/base/result.h"
#include "gateway/core/command.h"
#include "gateway/core/outcome.h"
#include "gateway/mapping/device_map.h"

namespace trunkline::mqtt {

// A command to be published now.
struct PublishOrder {
  std::uint64_t ticket = 0;
  std::size_t device = 0;
  Command command;
  // True once the command was answered: what has not been given to Paho by then must not be.
  std::shared_ptr<std::atomic<bool>> withdrawn;
};

// The commands of one broker's devices: one outstanding for each device, the others wait behind it. Pure: no thread, no
// clock; completions are called from within the methods. Every command is answered once, at its deadline at the latest.
//
// A device that never named a call in its answers may still answer one that ran out. So after a method without answer
// no further one is sent to it until that late answer came or kLateReply has passed.
class CommandDesk {
 public:
  static constexpr Milliseconds kLateReply{20'000};

  // done_when: of messages. by_report: desired properties are taken over when the device reports them, else when the
  // broker acknowledged them.
  explicit CommandDesk(std::vector<CommandDone> done_when, std::vector<bool> by_report = {});

  // A device that is new or has another map now; what it had is answered before (release_device).
  void set_device(std::size_t device, CommandDone done_when, bool by_report);

  // Takes a command; released at once when the device's line is full.
  void deliver(std::size_t device, Command command, Completion<Outcome> done);

  // What happened to a ticket. Unknown ones (answered meanwhile) are ignored.
  void handed(std::uint64_t ticket);                      // given to the connection
  void acknowledged(std::uint64_t ticket);                // the broker's PUBACK
  void failed(std::uint64_t ticket, const Outcome& why);  // it will not reach the device

  ReplyVerdict reply(std::size_t device, const Reply& reply);

  // The device reported this part of its state, as JSON.
  void reported(std::size_t device, std::string_view patch);

  void release_device(std::size_t device, std::string_view why);
  void release_all(std::string_view why);

  // Answers what is due and returns the next deadline.
  SteadyTime tick(SteadyTime now);

  // Commands that became outstanding since the last call.
  std::vector<PublishOrder> take_orders();

  [[nodiscard]] bool empty() const { return commands_ == 0; }

 private:
  struct Waiting {
    Command command;
    Completion<Outcome> done;
  };
  struct Outstanding {
    std::uint64_t ticket = 0;
    std::string wire_id;
    CommandKind kind = CommandKind::message;
    std::string missing;  // of desired properties: what the device has not reported yet, as JSON
    SteadyTime deadline = kNever;
    Completion<Outcome> done;
    std::shared_ptr<std::atomic<bool>> withdrawn;
  };
  struct Line {
    std::optional<Outstanding> outstanding;
    LazyQueue<Waiting> waiting;
    std::vector<std::string> ended;  // wire ids of the last few, for late replies
    bool names = false;              // its answers to methods say whom they answer
    SteadyTime quiet_until{};        // a method ran out, and its answer may come yet
  };

  void finish(std::size_t device, const Outcome& outcome);
  void start_next(std::size_t device);
  std::optional<std::size_t> device_of(std::uint64_t ticket) const;
  [[nodiscard]] CommandDone done_by(std::size_t device) const;
  [[nodiscard]] static bool must_wait(const Line& line, SteadyTime now);

  std::vector<CommandDone> done_when_;
  std::vector<bool> by_report_;
  SteadyTime now_{};
  std::unordered_map<std::size_t, Line> lines_;             // only devices that ever had a command
  std::unordered_map<std::uint64_t, std::size_t> tickets_;  // ticket -> device
  std::vector<PublishOrder> orders_;
  std::uint64_t next_ticket_ = 1;
  std::size_t commands_ = 0;
};

}  // namespace trunkline::mqtt
