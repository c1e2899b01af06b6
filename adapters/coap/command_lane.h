// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "gateway/base/clock.h"
#include "gateway/base/completion.h"
#include "gateway/base/lazy_queue.h"
#include "gateway/core/command.h"
#include "gateway/core/outcome.h"
#include "gateway/mapping/device_map.h"

namespace trunkline::coap {

// The commands of one device: one is shown to it at a time, further ones wait (C-01). Pure; owned by
// the device. Every completion is answered exactly once, at the latest by tick() at the command's deadline.
class CommandLane {
 public:
  static constexpr std::size_t kWaiting = 64;     // more are released at once; credit keeps them few
  static constexpr std::size_t kRemembered = 16;  // finished ids, so that a repeated result is no error

  // By what a message is done: the device posts its result, its server answers a push (on_pushed), or it was handed to
  // the network; methods and desired properties only by one of the former. `largest` is what a body may have.
  CommandLane(CommandDone by, std::size_t largest) : by_(by), largest_(largest) {}

  void add(Command command, Completion<Outcome> done, bool reachable, SteadyTime now);

  // A command whose turn it is now, to be notified; nothing while one is shown already.
  const Command* next();
  // The one that it is shown now.
  [[nodiscard]] const Command* current() const { return current_ ? &current_->command : nullptr; }
  [[nodiscard]] bool waits() const { return !current_ && !waiting_.empty(); }
  void on_notified();
  // The device's server answered the push of the current one.
  void on_pushed(Outcome outcome);

  // The device says what became of `id`. False: no such command of that kind waits, nor was lately done.
  bool on_result(std::string_view id, CommandKind kind = CommandKind::message, Outcome outcome = Outcome::accepted());
  // The one that it is shown now cannot be shown.
  void give_up(Outcome outcome) { finish(std::move(outcome)); }

  void release_all(std::string_view why);

  [[nodiscard]] SteadyTime deadline() const;
  void tick(SteadyTime now);

 private:
  struct Entry {
    Command command;
    Completion<Outcome> done;
  };
  void finish(Outcome outcome);

  CommandDone by_;
  std::size_t largest_;
  std::optional<Entry> current_;
  LazyQueue<Entry> waiting_;
  LazyQueue<std::string> finished_;
};

}  // namespace trunkline::coap
