// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "adapters/coap/body_table.h"
#include "adapters/coap/device.h"
#include "adapters/coap/exchange_table.h"
#include "adapters/coap/peer_rate.h"
#include "adapters/coap/pusher.h"
#include "adapters/coap/request_map.h"
#include "adapters/coap/server.h"

namespace trunkline::coap {

// What the adapter answers: who may say what, telemetry once it is safe, and what the devices make of the rest. Owned
// by the adapter, used on its thread only, but for status(). Observers are kept here and not by libcoap, so that one
// device is notified alone even where several share a path, and so that a lost one is noticed.
class Responder final : public Server::Handler {
 public:
  static constexpr std::size_t kOutstanding = 4096;  // requests that wait for their admission

  // Passes an admission to this thread, where on_admission is called; any thread may call the completion.
  using Submit = std::function<void(std::uint64_t request, Telemetry telemetry)>;

  // settings, clock and metrics outlive it.
  Responder(std::vector<DeviceMap> maps, RequestMap map, const config::Coap& settings, const Clock& clock,
            Metrics& metrics);
  // Other maps, all with coap, while it runs. After an error nothing has changed.
  Result<void> change(const DeviceChanges& changes);
  // `server` is the one whose sockets push.
  void attach(Server& server, Ingress& ingress, Submit submit);

  Response on_request(const Request& request, const Speaker& speaker, coap_session_t* session) override;
  void on_undelivered(coap_session_t* session, const Token& token) override;
  void on_closed(coap_session_t* session) override;
  void on_answer(coap_session_t* session, const Token& token, const PushAnswer& answer) override;
  std::optional<Secret> key_of(std::string_view identity) override;
  bool knows_certificate(std::string_view name) override;

  void on_admission(std::uint64_t request, const Admission& admission);
  void deliver(Command command, Completion<Outcome> done);

  // When tick has something to do.
  [[nodiscard]] SteadyTime deadline() const { return shared_.next_tick; }
  void tick(SteadyTime now);

  // New requests get 5.03, commands are released; admissions that are out are still answered.
  void stop_taking();
  [[nodiscard]] std::size_t outstanding() const { return outstanding_.size(); }
  // Lets go of every session, before the server goes.
  void close();

  [[nodiscard]] std::vector<AdapterDeviceStatus> status() const;  // any thread

 private:
  struct Outstanding {
    Question question;
    std::size_t device;
  };

  std::optional<Code> check_key(const Device& device, const Speaker& speaker, coap_session_t* session);
  // Telemetry, a method's answer or a report: what has a body, which may come in blocks.
  Response on_poll(Device& device, const Request& request, const Speaker& speaker, coap_session_t* session);
  Response on_body(Device& device, RequestMap::Decision decision, const Request& request, const Speaker& speaker,
                   coap_session_t* session);
  Response take(Device& device, RequestMap::Decision decision, const Request& request, const Speaker& speaker,
                coap_session_t* session, std::uint64_t exchange);
  void tell_refusal(Device& device, const std::string& reason);
  Device& put(std::size_t place, DeviceMap map);
  void free_places();

  Shared shared_;
  RequestMap map_;
  std::vector<std::unique_ptr<Device>> devices_;  // null: a free place
  std::unordered_map<DeviceId, std::size_t> by_id_;
  Pusher pusher_;
  Server* server_ = nullptr;
  Submit submit_;
  PeerRate rate_;
  BodyTable bodies_;
  ExchangeTable exchanges_;
  std::unordered_map<std::uint64_t, Outstanding> outstanding_;
  LogLimit handshake_log_;
};

}  // namespace trunkline::coap
