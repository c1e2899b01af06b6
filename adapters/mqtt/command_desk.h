// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "adapters/mqtt/reply_match.h"
#include "gateway/base/clock.h"
#include "gateway/base/completion.h"
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
class CommandDesk {
 public:
  explicit CommandDesk(std::vector<CommandDone> done_when);

  // Takes a command; released at once when the device's line is full.
  void deliver(std::size_t device, Command command, Completion<Outcome> done);

  // What happened to a ticket. Unknown ones (answered meanwhile) are ignored.
  void handed(std::uint64_t ticket);                      // given to the connection
  void acknowledged(std::uint64_t ticket);                // the broker's PUBACK
  void failed(std::uint64_t ticket, const Outcome& why);  // it will not reach the device

  ReplyVerdict reply(std::size_t device, const Reply& reply);

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
    SteadyTime deadline = kNever;
    Completion<Outcome> done;
    std::shared_ptr<std::atomic<bool>> withdrawn;
  };
  struct Line {
    std::optional<Outstanding> outstanding;
    std::deque<Waiting> waiting;
    std::vector<std::string> ended;  // wire ids of the last few, for late replies
  };

  void finish(std::size_t device, const Outcome& outcome);
  void start_next(std::size_t device);
  std::optional<std::size_t> device_of(std::uint64_t ticket) const;

  std::vector<CommandDone> done_when_;
  std::unordered_map<std::size_t, Line> lines_;             // only devices that ever had a command
  std::unordered_map<std::uint64_t, std::size_t> tickets_;  // ticket -> device
  std::vector<PublishOrder> orders_;
  std::uint64_t next_ticket_ = 1;
  std::size_t commands_ = 0;
};

}  // namespace trunkline::mqtt
