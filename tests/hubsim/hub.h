// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <unordered_map>

#include "gateway/net/connect.h"
#include "tests/hubsim/arrival_log.h"
#include "tests/hubsim/directory.h"
#include "tests/hubsim/feedback.h"
#include "tests/hubsim/hub_server.h"
#include "tests/hubsim/model.h"
#include "tests/hubsim/throttle.h"

namespace trunkline::hubsim {

// What the hub says to the older of two receive links of one device.
amqp::Condition default_take_over_condition();

// The hub behind its connections: keys, devices with their queues, arrivals, feedback, timers, the listener and the
// faults that are switched on. One thread, the io_context's. Owned by HubServer, outlives its connections.
class Hub {
 public:
  // silent: connections are taken and hear nothing; tls: they get their TLS handshake and no AMQP.
  enum class ListenMode { accept, refuse, silent, tls };

  Hub(net::asio::io_context& io, const HubOptions& options, Directory directory, ArrivalLog log,
      std::shared_ptr<net::asio::ssl::context> tls);
  ~Hub();
  Hub(const Hub&) = delete;
  Hub& operator=(const Hub&) = delete;

  // Listens as the mode says, on all addresses; the ports stay what they were first.
  Result<void> set_listening(ListenMode mode);
  [[nodiscard]] const net::Endpoint& endpoint() const { return endpoints_.front(); }
  [[nodiscard]] const std::vector<net::Endpoint>& endpoints() const { return endpoints_; }

  [[nodiscard]] SteadyTime steady() const { return clock_.steady(); }
  [[nodiscard]] WallTime wall() const { return clock_.wall(); }
  [[nodiscard]] const HubLimits& limits() const { return limits_; }
  void set_feedback_delay(Milliseconds delay);
  void set_tokens_per_connection(std::size_t count) { limits_.tokens_per_connection = count; }
  [[nodiscard]] net::asio::io_context& io() { return io_; }
  Directory& directory() { return directory_; }
  ArrivalLog& log() { return log_; }
  Faults& all_devices() { return all_devices_; }

  // The device of a name that the directory knows, or nothing.
  std::shared_ptr<Device> device(const std::string& id);
  // The device that an address names: its id as written, else decoded once.
  std::shared_ptr<Device> device(const Address& address);
  [[nodiscard]] const std::map<std::string, std::shared_ptr<Device>>& devices() const { return devices_; }
  // Removes it and its links.
  bool remove_device(const std::string& id);

  // Commands. `enqueue` delivers at once if a link has credit.
  Result<std::uint64_t> enqueue(Device& device, Message message, std::string ack);
  bool settle(Device& device, const std::string& token, Verdict verdict, const amqp::Condition& reason);
  // After anything that may have changed a queue: books what left it, serves the link, sets the timer.
  void queue_changed(Device& device);
  // The state of a command, or nothing if there never was one.
  [[nodiscard]] std::optional<CommandRecord> command(const Device& device, std::uint64_t sequence) const;

  // A direct method; `done` is called once.
  void call_method(Device& device, MethodCalls::Call call, MethodCalls::Done done);
  // After anything that may have changed its calls.
  void calls_changed(Device& device);
  // A change of desired properties that the device is told, if it listens.
  void desired_changed(Device& device, const std::string& notification);

  CommandQueue& feedback_queue() { return feedback_queue_; }
  void feedback_changed();
  [[nodiscard]] const std::deque<FeedbackRecord>& feedback_records() const { return feedback_records_; }

  // Connections. A finished one is destroyed from the executor.
  [[nodiscard]] const std::map<std::uint64_t, std::unique_ptr<HubConnection>>& connections() const {
    return connections_;
  }
  [[nodiscard]] std::uint64_t connections_ever() const { return connections_ever_; }
  void finished(std::uint64_t connection);
  std::uint64_t next_link_id() { return ++last_link_; }

  // Wakes the hub's timer no later than this.
  void arm(SteadyTime when);

  // Calls the attempt whenever something changed until it returns true, or gives up at the deadline with `late`.
  void wait(std::function<bool()> attempt, Milliseconds timeout, std::function<void()> late);
  void changed();

  // Connections to the first address are sent to another one while there is a redirect.
  struct Redirect {
    std::string hostname;
    std::string network_host;
    std::int32_t port = 0;
    std::uint64_t left = 0;  // so many connections still
  };
  std::optional<Redirect> redirect;
  Throttles throttles;
  Counters counters;
  amqp::Condition take_over_condition;

 private:
  struct Waiter {
    std::function<bool()> attempt;
    SteadyTime until;
    std::function<void()> late;
  };
  void arm_device(Device& device);
  void book(Device& device, const CommandQueue::Item& item, const amqp::Condition& reason);
  void accepted(net::asio::ip::tcp::socket socket, std::size_t listener);
  void tick();
  void check_waiters();
  void start_timer();

  net::asio::io_context& io_;
  SystemClock system_clock_;
  const Clock& clock_;
  HubLimits limits_;
  Directory directory_;
  ArrivalLog log_;
  std::shared_ptr<net::asio::ssl::context> tls_;
  std::vector<net::Endpoint> endpoints_;
  std::vector<std::unique_ptr<net::Listener>> listeners_;
  ListenMode mode_ = ListenMode::accept;
  std::list<net::asio::ip::tcp::socket> silent_;
  Faults all_devices_;
  std::map<std::string, std::shared_ptr<Device>> devices_;
  std::multimap<SteadyTime, std::weak_ptr<Device>> device_timers_;
  CommandQueue feedback_queue_;
  FeedbackBatcher batcher_;
  std::deque<FeedbackRecord> feedback_records_;
  std::map<std::uint64_t, std::unique_ptr<HubConnection>> connections_;
  std::uint64_t connections_ever_ = 0;
  std::uint64_t last_link_ = 0;
  net::asio::steady_timer timer_;
  SteadyTime armed_ = kNever;
  std::list<Waiter> waiters_;
  bool check_posted_ = false;
};

}  // namespace trunkline::hubsim
