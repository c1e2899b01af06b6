// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <utility>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <thread>
#include <unordered_map>
#include <variant>
#include <vector>

#include "gateway/base/clock.h"
#include "gateway/base/mailbox.h"
#include "gateway/base/metrics.h"
#include "gateway/core/adapter.h"
#include "gateway/hub/hub_link.h"
#include "gateway/pipeline/command_keeper.h"
#include "gateway/pipeline/command_router.h"
#include "gateway/pipeline/live_feed.h"
#include "gateway/pipeline/method_router.h"
#include "gateway/pipeline/multiplexer.h"
#include "gateway/pipeline/store_thread.h"
#include "gateway/pipeline/twin_keeper.h"

namespace trunkline::app {

// The hub thread: one io_context with the uplinks, the multiplexer, the routers and the twins on it. It gives the pure
// parts what they lack: time, a thread, and the way to store and adapters. Owned by Application. `post`, `presence`,
// `report`, `change`, `retire`, `on_read` and `on_removed` from any thread; `add`, `remember`, `keep` and `restore`
// before start.
class HubLoop final : private UplinkEvents, private UplinkFactory, private StoreRequests {
 public:
  struct Parts {
    const Clock& clock;
    Metrics& metrics;
    StoreThread& store;
    LiveFeed& live;
    Capacity& capacity;
    const TokenProvider& tokens;
  };
  HubLoop(Parts parts, hub::HubLink::Options link, Multiplexer::Options multiplexer, TwinKeeper::Options twins,
          std::uint64_t seed);
  ~HubLoop() override;

  // A device of the maps, its adapter, and what earlier runs left of it.
  DeviceSlot add(const DeviceId& device, SessionOptions options, bool backlog, Adapter* adapter);
  void remember(const CommandRecord& record);
  [[nodiscard]] bool knows(const DeviceId& device) const { return slots_.contains(device); }
  // Its commands are taken into our own care, or were by an earlier run.
  void keep(const DeviceId& device, const CommandKeeper::Limits& limits);
  void restore(KeptCommand kept);
  void restore(const TwinCopy& twin);

  // While it runs. New devices, or known ones with other options; the session of one that needs other links begins
  // anew, the others go on. `done` is called on the hub thread; before it nobody may offer a message of a new device.
  struct Mapped {
    DeviceId device;
    SessionOptions options;
    Adapter* adapter = nullptr;
    std::optional<CommandKeeper::Limits> keeps{};  // queue mode, or what is left of it
  };
  void change(std::vector<Mapped> devices, std::function<void()> done);
  // They are in no map any more, and no adapter speaks for them: what waits is still sent, then their sessions end.
  void retire(std::vector<DeviceId> devices);
  void set_rates(double attach, double send);

  void start();
  // Takes nothing new; waits until `deadline` for what is in flight, closes the connection, joins.
  void stop(SteadyTime deadline);

  void post(std::function<void()> task) { tasks_.push(std::move(task)); }
  void presence(const DeviceId& device, Presence presence);
  void report(const DeviceId& device, std::string patch);
  void on_read(ReadAnswer answer) { answers_.push(std::move(answer)); }
  void on_removed(std::vector<Removal> removed) { answers_.push(std::move(removed)); }
  void identities_changed(std::vector<DeviceId> devices);
  struct Status {
    Multiplexer::Status trunk;
    std::vector<TwinKeeper::Status> twins;        // in the order of trunk.devices
    std::vector<CommandKeeper::Status> commands;  // likewise
    Milliseconds clock_behind{0};  // this machine's clock behind the hub's, at least; 0 if nothing is known
  };
  // `done` is called on the hub thread.
  void status(std::function<void(const Status&)> done);

 private:
  Uplink& uplink(ConnectionSlot connection) override;
  void on_ready(ConnectionSlot connection) override;
  void on_lost(ConnectionSlot connection, LinkFault fault) override;
  void on_authorised(DeviceSlot slot) override;
  void on_refused(DeviceSlot slot, LinkFault fault) override;
  void on_attached(DeviceSlot slot, DeviceLink link) override;
  void on_detached(DeviceSlot slot, DeviceLink link, LinkFault fault) override;
  void on_sendable(DeviceSlot slot) override;
  void on_outcome(DeviceSlot slot, Position position, Outcome outcome) override;
  void on_command(DeviceSlot slot, Command command, CommandTag tag) override;
  void on_method(DeviceSlot slot, MethodCall call, MethodTag tag) override;
  void on_twin_answer(DeviceSlot slot, TwinAnswer answer) override;
  void on_desired(DeviceSlot slot, std::string patch) override;
  void flowing(const DeviceId& device, bool flows) override { parts_.capacity.set_flowing(device, flows); }
  void settle(Settlement settlement) override { parts_.store.push(std::move(settlement)); }
  void read(ReadRequest request) override { parts_.store.push(std::move(request)); }

  // What the store says, in the order in which it says it.
  using StoreWord = std::variant<ReadAnswer, std::vector<Removal>>;

  void change_one(const Mapped& mapped);
  void retire_one(const DeviceId& id, DeviceSlot slot);
  void end_retired();
  void deliver(DeviceSlot slot, Command command, Completion<Outcome> done);
  void run();
  void hear();
  void drain();
  void schedule();
  void pump();
  void finish_when_settled();

  Parts parts_;
  boost::asio::io_context io_{1};
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_;
  boost::asio::steady_timer timer_;
  SteadyTime armed_ = kNever;
  const hub::HubLink::Options link_options_;
  std::vector<std::unique_ptr<hub::HubLink>> uplinks_;  // by connection
  CommandKeeper keeper_;
  CommandRouter router_;
  MethodRouter methods_;
  TwinKeeper twins_;
  Multiplexer multiplexer_;
  struct Device {
    Adapter* adapter = nullptr;  // null: it is in no map
    SessionOptions options;
    bool leaving = false;  // its map was taken away, and what it said last may be on its way
  };
  std::vector<Device> devices_;  // by slot
  std::vector<DeviceId> retiring_;
  std::unordered_map<DeviceId, DeviceSlot> slots_;
  Mailbox<std::function<void()>> tasks_;
  Mailbox<StoreWord> answers_;
  LiveFeed::Taken live_;
  std::vector<std::function<void()>> taken_tasks_;
  std::vector<StoreWord> taken_answers_;
  bool scheduled_ = false;
  std::optional<SteadyTime> stop_at_;
  bool closing_ = false;
  std::thread thread_;
};

}  // namespace trunkline::app
