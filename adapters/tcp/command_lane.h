// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>

#include "gateway/base/clock.h"
#include "gateway/base/completion.h"
#include "gateway/base/result.h"
#include "gateway/core/command.h"
#include "gateway/core/outcome.h"
#include "gateway/mapping/device_map.h"
#include "gateway/mapping/template.h"

namespace trunkline::tcp {

// The commands of one device: one is on the wire at a time, further ones wait (C-01). Pure; owned by the device. Every
// completion is answered exactly once, at the latest by tick() at the command's deadline.
//
// A reply template without {id} cannot tell a late reply to an earlier command from the reply to the present one. So
// after a command of such a device ran out, nothing is sent until its late reply came or kLateReply has passed.
class CommandLane {
 public:
  static constexpr std::size_t kWaiting = 64;  // more are released at once; credit keeps them few
  static constexpr Milliseconds kLateReply{20'000};

  // invalid: the map takes no commands, a template is wrong, or nothing says when a command is done.
  static Result<CommandLane> make(const DeviceMap& map);

  void add(Command command, Completion<Outcome> done, SteadyTime now);

  // The text to write now, if it is a command's turn and a connection is there to take it. The caller then reports
  // on_written or fail_sending.
  std::optional<std::string> next(SteadyTime now);
  [[nodiscard]] std::uint64_t current() const { return current_ ? current_->command.sequence : 0; }
  void on_written(std::uint64_t sequence);
  void fail_sending(std::string_view why);

  // Is this line a reply, hence not telemetry?
  bool on_line(std::string_view line);

  void on_connected();
  // Everything that waits is released: there is nothing to send to.
  void on_disconnected(std::string_view why);

  // When tick has something to do.
  [[nodiscard]] SteadyTime deadline() const;
  void tick(SteadyTime now);

  // Replies that answered no waiting command.
  [[nodiscard]] std::uint64_t stray_replies() const { return stray_replies_; }

 private:
  struct Entry {
    Command command;
    Completion<Outcome> done;
  };
  CommandLane(DeviceId device, const TcpMap& map, Template send, std::optional<Template> reply, bool by_reply);
  void finish(Outcome outcome);

  DeviceId device_;
  std::string end_;
  Template send_;
  std::optional<Template> reply_;
  bool by_reply_;
  bool connected_ = false;
  std::optional<Entry> current_;
  std::deque<Entry> waiting_;
  SteadyTime quiet_until_{};  // of a device whose replies carry no id
  bool late_reply_owed_ = false;
  std::uint64_t stray_replies_ = 0;
};

}  // namespace trunkline::tcp
