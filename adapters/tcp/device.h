// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "adapters/tcp/command_lane.h"
#include "adapters/tcp/connection.h"
#include "adapters/tcp/line_queue.h"
#include "gateway/base/guarded.h"
#include "gateway/base/log_limit.h"
#include "gateway/base/mailbox.h"
#include "gateway/base/metrics.h"
#include "gateway/core/adapter.h"
#include "gateway/net/connect.h"

namespace trunkline::tcp {

// What the ingress said of one line, on its way to the loop's thread.
struct Answer {
  std::size_t device = 0;
  std::uint64_t number = 0;
  Admission admission;
};

// A command on its way to the loop's thread.
struct Delivery {
  Command command;
  Completion<Outcome> done;
};

// The loop and what reaches it from other threads. Shared with every completion that is out, so that an answer that
// comes after the adapter has gone falls into a mailbox that nobody reads.
struct Inbox {
  net::asio::io_context io{1};
  Mailbox<Answer> answers;
  Mailbox<Delivery> deliveries;
};

struct Counters {
  explicit Counters(Metrics& metrics);
  Metric& connections;
  Metric& lines;
  Metric& overlong;
  Metric& refused;
  Metric& throttled;
  Metric& acknowledged;
  Metric& cut_off;
  Metric& noise;
  Metric& check_failed;
  Metric& malformed;
  Metric& timeouts;
  Metric& stray_replies;
};

// What all devices of the adapter share; the loop's thread only, but for `status`.
struct Loop {
  std::shared_ptr<Inbox> inbox;
  const Clock& clock;
  Counters counters;
  Ingress* ingress = nullptr;
  bool stopping = false;
  std::size_t offered = 0;        // lines that are with the ingress
  std::size_t connected = 0;      // connections
  std::function<void()> on_idle;  // while stopping: something ended
  Guarded<std::vector<AdapterDeviceStatus>> status;
};

// One device: its listener, its newest connection, its unanswered lines and its commands. Owned by the adapter; the
// loop's thread only, but for make and listen, which run before the loop does.
class Device final : public Connection::Owner {
 public:
  // invalid: the map's templates are wrong, or there is no way for a command to be done.
  static Result<std::unique_ptr<Device>> make(Loop& loop, const DeviceMap& map, std::size_t index);

  Result<void> listen();
  [[nodiscard]] const DeviceId& id() const { return map_.id; }
  [[nodiscard]] net::Endpoint local() const { return listener_->local(); }

  void on_answer(const Answer& answer);
  void after_answers();  // once for a batch of on_answer
  void deliver(Command command, Completion<Outcome> done);

  // No more lines and commands; acknowledgements still go out.
  void stop_taking();
  [[nodiscard]] bool writing() const { return connection_ && connection_->queued() > 0; }
  void close();

 private:
  Device(Loop& loop, const DeviceMap& map, std::size_t index, std::optional<CommandLane> lane);

  void accept(net::asio::ip::tcp::socket socket);
  void on_bytes(Connection& connection) override;
  void on_written(Connection& connection, std::span<const std::uint64_t> commands) override;
  void on_read_end(Connection& connection) override;
  void on_failed(Connection& connection, const std::string& error) override;

  void read_lines();
  void take_frame(const FrameReader::Frame& frame);
  void take_report(const std::string& patch);
  void offer(std::uint64_t number, std::string_view body, bool flagged);
  void send_commands();
  [[nodiscard]] SteadyTime silence_at() const;
  void count_drops();
  void set_presence(Presence presence);
  void drop_connection(std::string_view event, std::string_view why);
  void finish_half_closed();
  void arm();
  void on_timer();

  Loop& loop_;
  const DeviceMap map_;
  const std::size_t index_;
  std::unique_ptr<net::Listener> listener_;
  std::shared_ptr<Connection> connection_;
  std::uint64_t last_connection_ = 0;
  LineQueue queue_;
  std::optional<std::uint64_t> pipelines_;  // the connection whose peer sends without waiting for its answer
  std::optional<CommandLane> lane_;
  FrameCounts seen_;    // of this connection
  SteadyTime heard_{};  // where framing.timeout is set
  std::uint64_t stray_seen_ = 0;
  LogLimit refused_log_;
  LogLimit dropped_log_;
  LogLimit stray_log_;
  LogLimit connect_log_{Milliseconds(1'000)};
  LogLimit disconnect_log_{Milliseconds(1'000)};
  net::asio::steady_timer timer_;
  SteadyTime armed_ = kNever;
};

}  // namespace trunkline::tcp
