// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <boost/asio/steady_timer.hpp>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "adapters/tcp/command_lane.h"
#include "adapters/tcp/frame_reader.h"
#include "adapters/tcp/line_queue.h"
#include "adapters/tcp/loop.h"
#include "gateway/base/log_limit.h"
#include "gateway/mapping/device_map.h"

namespace trunkline::tcp {

class Port;

// One device: its unanswered messages and its commands. It outlives its connections, because a message that was read is
// ours even when the connection is gone; it has at most one at a time, which others may share (Line). Owned by the
// adapter; the loop's thread only, but for make, which runs before the loop does.
class Device {
 public:
  // invalid: the map's templates are wrong, or there is no way for a command to be done.
  static Result<std::unique_ptr<Device>> make(Loop& loop, const DeviceMap& map, std::size_t index);

  [[nodiscard]] const DeviceId& id() const { return map_.id; }
  [[nodiscard]] std::size_t index() const { return index_; }
  [[nodiscard]] const DeviceMap& whole_map() const { return map_; }
  [[nodiscard]] const TcpMap& map() const { return *map_.tcp; }
  [[nodiscard]] CommandLane* lane() { return lane_ ? &*lane_ : nullptr; }
  [[nodiscard]] bool wants_lines() const { return queue_.wants_lines(); }
  [[nodiscard]] const std::shared_ptr<Line>& line() const { return line_; }

  // Where it is heard and dialled.
  void join(Port& port);

  // It speaks on this line from now on. Leaving one line for another is the owner's decision (Port).
  void attach(std::shared_ptr<Line> line);
  void detach(std::string_view why);

  // One of its messages: a reply, or telemetry whose tag comes back through Line::settled.
  void take(Line& line, const FrameReader::Frame& frame, std::uint64_t tag, std::string_view sequence);

  void on_answer(const Answer& answer);
  void after_answers();  // once for a batch of on_answer
  void deliver(Command command, Completion<Outcome> done);
  void reachable(Presence presence);
  // Frames were damaged on the connection that it is on.
  void note_faults(const FrameCounts& grown);

  // It has another map or none: nobody finds it any more, but what it has read is still brought to safety and answered.
  void retire(std::string_view why);
  [[nodiscard]] bool finished() const { return queue_.empty(); }

  // Looks when its timer has something to do.
  void arm();
  // No more messages and commands; acknowledgements still go out.
  void stop_taking();
  void close();

 private:
  Device(Loop& loop, const DeviceMap& map, std::size_t index, std::optional<CommandLane> lane);

  void take_report(const std::string& patch);
  void offer(std::uint64_t number, std::string_view body, bool flagged, std::string key, Telemetry::Offer how);
  void set_status();
  void on_timer();
  void send_commands();
  void count_replies();

  Loop& loop_;
  const DeviceMap map_;
  const std::size_t index_;
  Port* port_ = nullptr;
  std::shared_ptr<Line> line_;
  LineQueue queue_;
  std::vector<LineQueue::Ended> ended_;
  std::optional<std::uint64_t> pipelines_;  // the connection whose peer sends without waiting for its answer
  std::optional<CommandLane> lane_;
  Presence presence_ = Presence::away;
  FrameCounts faults_;
  std::uint64_t stray_seen_ = 0;
  std::uint64_t polls_seen_ = 0;
  LogLimit refused_log_;
  LogLimit stray_log_;
  LogLimit connect_log_{Milliseconds(1'000)};
  LogLimit disconnect_log_{Milliseconds(1'000)};
  net::asio::steady_timer timer_;
  SteadyTime armed_ = kNever;
};

}  // namespace trunkline::tcp
