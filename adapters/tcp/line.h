// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <boost/asio/steady_timer.hpp>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "adapters/tcp/ack_order.h"
#include "adapters/tcp/connection.h"
#include "adapters/tcp/device.h"
#include "gateway/base/log_limit.h"

namespace trunkline::tcp {

// One connection and the devices that speak on it: who they are, what they are owed as acknowledgement, whose turn it
// is to be asked something, and whether anybody is there at all. Owned by its port; the loop's thread only.
class Line final : public Connection::Owner, public std::enable_shared_from_this<Line> {
 public:
  Line(Loop& loop, Port& port, std::unique_ptr<net::Stream> stream);

  [[nodiscard]] std::uint64_t number() const { return connection_->number(); }
  [[nodiscard]] std::string peer() const { return connection_->peer(); }
  [[nodiscard]] bool heard() const { return heard_anything_; }
  [[nodiscard]] SteadyTime heard_at() const { return heard_; }

  // Once, after the port has it: `device` speaks on it from the beginning, if that is known.
  void start(Device* device);

  // All of them are there, although none has said so: devices that speak when asked.
  void welcome(const std::vector<Device*>& devices);

  // What became of a message that a device took from here; after_answers once for a batch.
  void settled(std::uint64_t tag, LineQueue::End end);
  void after_answers();

  // Sends what a device wants to be asked, if nobody owes an answer.
  void take_turns();

  // Another connection is this device's now.
  void lose(Device& device, std::string_view why);

  [[nodiscard]] bool writing() const { return connection_->queued() > 0; }
  // reset: the peer may not be listening, or holds a slot for us.
  void close(std::string_view why, bool reset = false);

 private:
  void on_bytes(Connection& connection) override;
  void on_written(Connection& connection, std::span<const std::uint64_t> commands) override;
  void on_read_end(Connection& connection) override;
  void on_failed(Connection& connection, const std::string& error) override;

  void read_frames();
  void go_on();
  [[nodiscard]] bool wants_frames() const;
  void take_frame(const FrameReader::Frame& frame);
  bool take_heartbeat(std::string_view body);
  void give(Device& device, const FrameReader::Frame& frame);
  bool admit(Device& device);
  void take_registration(const FrameReader::Frame& frame);
  void check_hold();
  void flush_acknowledgements();
  void count_drops();
  void finish_half_closed();
  void arm();
  void on_timer();
  [[nodiscard]] SteadyTime frame_silence_at() const;
  [[nodiscard]] SteadyTime silent_at() const;
  [[nodiscard]] SteadyTime probe_at() const;
  [[nodiscard]] SteadyTime turn_at() const;

  Loop& loop_;
  Port& port_;
  const TcpMap& map_;
  std::shared_ptr<Connection> connection_;
  bool closed_ = false;
  std::vector<Device*> devices_;
  bool asks_ = false;  // one of them has a lane
  std::size_t turn_ = 0;
  SteadyTime quiet_until_{};

  struct Held {
    std::string body;
    bool flagged;
  };
  std::vector<Held> held_;  // before anybody is known
  std::size_t held_bytes_ = 0;
  std::string tried_;  // who it said that it is
  bool registering_ = false;
  SteadyTime opened_{};

  std::optional<AckOrder> acks_;
  std::size_t open_ = 0;  // messages that are not settled

  SteadyTime heard_{};
  bool heard_anything_ = false;
  bool paused_ = false;         // frames may wait in the buffer, because nobody could take them
  SteadyTime probed_ = kNever;  // a probe is out since
  FrameCounts seen_;
  LogLimit dropped_log_;
  net::asio::steady_timer timer_;
  SteadyTime armed_ = kNever;
};

}  // namespace trunkline::tcp
