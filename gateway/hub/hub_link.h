// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <boost/asio/io_context.hpp>
#include <memory>
#include <string>

#include "gateway/base/clock.h"
#include "gateway/base/metrics.h"
#include "gateway/core/uplink.h"
#include "gateway/net/endpoint.h"

namespace trunkline::hub {

struct Dialect;
const Dialect& iot_hub();

// The IoT Hub dialect over one AMQP connection: TLS, SASL ANONYMOUS, $cbs, a session and links per device. Implements
// Uplink; owned by the composition root, used and called back on the hub thread only (the io_context's). One connection
// epoch per open(); events of an older epoch never arrive. A watchdog of `handshake_timeout` runs from open() to
// on_ready, because Proton has none there, and another from the first put-token to the first answer to any. A redirect
// within the hub's domain is followed at the next open().
class HubLink final : public Uplink {
 public:
  struct Options {
    ConnectionSlot connection;  // what its events call it
    std::string host;           // open.hostname, SNI, certificate name, token audience
    net::Endpoint address;
    std::string ca_file;     // empty: the system's store
    std::string gateway_id;  // container-id
    std::string spool_uuid;  // for message ids
    Milliseconds handshake_timeout{20'000};
    Milliseconds put_token_timeout{30'000};  // one put-token, from write to answer
    Milliseconds idle_timeout{60'000};
    unsigned max_put_tokens = 30;  // outstanding at the same time; more wait in order of request
    std::size_t session_outgoing_limit = 64 * 1024;
    const Dialect* dialect = &iot_hub();
  };

  HubLink(boost::asio::io_context& io, Options options, const Clock& clock, Metrics& metrics);
  ~HubLink() override;

  void set_events(UplinkEvents& events);  // before open()
  // How far this machine's clock is behind the hub's, at least, as far as the hub let it be seen; 0 if nothing is
  // known. Beyond 5 minutes the hub refuses every token.
  [[nodiscard]] Milliseconds clock_behind() const;

  void open() override;
  void authorise(DeviceSlot slot, const DeviceId& device, Token token) override;
  void attach(DeviceSlot slot, DeviceLink link) override;
  void detach(DeviceSlot slot) override;
  SendResult send(DeviceSlot slot, const MessagePtr& message) override;
  void grant_commands(DeviceSlot slot, unsigned credit) override;
  void settle(CommandTag tag, const Outcome& outcome) override;
  void respond(MethodTag tag, const MethodResponse& response) override;
  bool ask_twin(DeviceSlot slot, const TwinRequest& request) override;
  void close() override;
  void abort(LinkFault why) override;

 private:
  class Epoch;
  struct Shared;
  std::unique_ptr<Shared> shared_;
  std::unique_ptr<Epoch> epoch_;
};

// The hub's 256 KB rule (hub-amqp-protocol.md 5.3).
class HubMessageSizer final : public MessageSizer {
 public:
  [[nodiscard]] std::size_t size(const Telemetry& telemetry) const override;
  [[nodiscard]] std::size_t limit() const override { return 262'144; }
};

}  // namespace trunkline::hub
