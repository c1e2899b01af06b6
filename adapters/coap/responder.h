// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "adapters/coap/command_lane.h"
#include "adapters/coap/exchange_table.h"
#include "adapters/coap/request_map.h"
#include "adapters/coap/server.h"
#include "gateway/base/guarded.h"
#include "gateway/base/log_limit.h"
#include "gateway/base/metrics.h"
#include "gateway/core/adapter.h"

namespace trunkline::coap {

struct Counters {
  explicit Counters(Metrics& metrics);
  Metric& messages;
  Metric& acknowledged;
  Metric& refused;
  Metric& throttled;
  Metric& repeated;
  Metric& not_mapped;
  Metric& observers;
};

// What the adapter answers: telemetry once it is safe, the command resource and its observers, results. Owned by the
// adapter, used on its thread only, but for status(). Observers are kept here and not by libcoap, so that one device is
// notified alone even where several share a path, and so that a lost one is noticed.
class Responder final : public Server::Handler {
 public:
  static constexpr std::size_t kOutstanding = 4096;      // requests that wait for their admission
  static constexpr std::size_t kSessions = 5000;         // peers that libcoap keeps something for
  static constexpr std::size_t kObserversPerDevice = 4;  // the oldest makes room

  // Passes an admission to this thread, where on_admission is called; any thread may call the completion.
  using Submit = std::function<void(std::uint64_t request, Telemetry telemetry)>;

  Responder(std::vector<DeviceMap> maps, RequestMap map, const Clock& clock, Metrics& metrics);
  void attach(Server& server, Ingress& ingress, Submit submit);

  Response on_request(const Request& request, const Peer& peer, coap_session_t* session) override;
  void on_undelivered(coap_session_t* session, const Token& token) override;

  void on_admission(std::uint64_t request, const Admission& admission);
  void deliver(Command command, Completion<Outcome> done);

  // When tick has something to do.
  [[nodiscard]] SteadyTime deadline() const { return next_tick_; }
  void tick(SteadyTime now);

  // New requests get 5.03, commands are released; admissions that are out are still answered.
  void stop_taking();
  [[nodiscard]] std::size_t outstanding() const { return outstanding_.size(); }
  // Lets go of every session, before the server goes.
  void close();

  [[nodiscard]] std::vector<AdapterDeviceStatus> status() const;

 private:
  struct Observer {
    Session session;
    Token token;
  };
  struct Device {
    explicit Device(DeviceMap device_map);
    DeviceMap map;
    CommandLane lane;
    std::vector<Observer> observers;  // oldest first
    std::uint32_t observe = 0;        // of the last notification, 24 bits (RFC 7641 section 3.4)
    std::optional<SteadyTime> last_heard;
    std::optional<Peer> peer;
    Presence presence = Presence::away;
    LogLimit log;
  };
  struct Outstanding {
    Session session;
    Token token;
    std::size_t device;
    std::optional<std::uint32_t> block1;
    bool confirmable;
    std::uint8_t no_response;
  };

  Response on_telemetry(Device& device, std::size_t index, const Request& request, const Peer& peer,
                        coap_session_t* session);
  Response on_command_read(Device& device, std::size_t index, const Request& request, coap_session_t* session);
  Response on_result(Device& device, std::size_t index, const Request& request);
  Response show(const Device& device, const Command* command);
  void observe(Device& device, const Token& token, coap_session_t* session);
  void forget_observer(Device& device, coap_session_t* session);
  void notify(Device& device, std::size_t index);
  void heard(Device& device, std::size_t index, const Peer& peer);
  void update_presence(Device& device, std::size_t index, SteadyTime now);
  [[nodiscard]] SteadyTime due(const Device& device) const;
  void wake_at(SteadyTime time);

  const Clock& clock_;
  Counters counters_;
  RequestMap map_;
  std::vector<Device> devices_;
  std::unordered_map<DeviceId, std::size_t> by_id_;
  Server* server_ = nullptr;
  Ingress* ingress_ = nullptr;
  Submit submit_;
  ExchangeTable exchanges_;
  std::unordered_map<std::uint64_t, Outstanding> outstanding_;
  std::string shown_;  // what the views of the last response point to
  std::size_t observers_ = 0;
  bool stopping_ = false;
  SteadyTime next_tick_ = kNever;
  Guarded<std::vector<AdapterDeviceStatus>> status_;
};

}  // namespace trunkline::coap
