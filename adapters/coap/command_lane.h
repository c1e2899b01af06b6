// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <deque>
#include <optional>
#include <string>
#include <string_view>

#include "gateway/base/clock.h"
#include "gateway/base/completion.h"
#include "gateway/core/command.h"
#include "gateway/core/outcome.h"

namespace trunkline::coap {

// The commands of one device: one is shown on its command resource at a time, further ones wait (C-01). Pure; owned by
// the device. Every completion is answered exactly once, at the latest by tick() at the command's deadline.
class CommandLane {
 public:
  static constexpr std::size_t kWaiting = 64;     // more are released at once; credit keeps them few
  static constexpr std::size_t kLargest = 1024;   // of a body: one notification in one datagram
  static constexpr std::size_t kRemembered = 16;  // finished ids, so that a repeated result is no error

  // `by_result`: done when the device posts its result, else when the notification was handed to the network.
  explicit CommandLane(bool by_result) : by_result_(by_result) {}

  void add(Command command, Completion<Outcome> done, bool reachable, SteadyTime now);

  // A command whose turn it is now, to be notified; nothing while one is shown already.
  const Command* next();
  // What a reader of the resource sees now.
  [[nodiscard]] const Command* current() const { return current_ ? &current_->command : nullptr; }
  void on_notified();

  // The device says that it did `id`. False: no such command waits, nor was lately done.
  bool on_result(std::string_view id);

  void release_all(std::string_view why);

  [[nodiscard]] SteadyTime deadline() const;
  void tick(SteadyTime now);

 private:
  struct Entry {
    Command command;
    Completion<Outcome> done;
  };
  void finish(Outcome outcome);

  bool by_result_;
  std::optional<Entry> current_;
  std::deque<Entry> waiting_;
  std::deque<std::string> finished_;
};

}  // namespace trunkline::coap
