// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <proton/delivery.h>
#include <proton/link.h>
#include <proton/session.h>

#include <array>
#include <boost/asio/steady_timer.hpp>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <proton/message.hpp>
#include <proton/messaging_handler.hpp>
#include <proton/receiver.hpp>
#include <proton/sender.hpp>
#include <proton/session.hpp>
#include <string>
#include <unordered_map>
#include <vector>

#include "gateway/amqp/connection.h"
#include "gateway/hub/command_codec.h"
#include "gateway/hub/dialect.h"
#include "gateway/hub/hub_link.h"
#include "gateway/hub/hub_time.h"
#include "gateway/hub/pair_codec.h"
#include "gateway/hub/put_tokens.h"
#include "gateway/hub/route.h"
#include "gateway/hub/slab.h"
#include "gateway/hub/telemetry_codec.h"
#include "gateway/net/connect.h"

namespace trunkline::hub {

// What outlives a connection.
struct HubLink::Shared {
  boost::asio::io_context& io;
  Options options;
  const Clock& clock;
  Metric& put_tokens;
  Metric& commands;
  Metric& commands_malformed;
  Metric& malformed;
  Metric& redirects;
  TelemetryEncoder encoder;
  CommandDecoder decoder;
  PairCodec pairs;
  Route route;
  HubTime time{};
  UplinkEvents* events = nullptr;
  std::uint64_t epochs = 0;
};

// One connection, from the attempt to its end; every Proton object dies with it. `on_lost` is called once, never from
// within a call of the owner's, and may destroy the epoch.
class HubLink::Epoch final : public proton::messaging_handler {
 public:
  using LostHandler = std::function<void(LinkFault)>;

  Epoch(Shared& shared, LostHandler on_lost);
  ~Epoch() override;

  void open();
  void close();
  // Ends the connection for a reason of ours. Proton may still dispatch events; nobody hears of them.
  void fail(LinkFault fault);

  void authorise(DeviceSlot slot, const DeviceId& device, Token token);
  void attach(DeviceSlot slot, DeviceLink which);
  void detach(DeviceSlot slot);
  SendResult send(DeviceSlot slot, const MessagePtr& message);
  void grant_commands(DeviceSlot slot, unsigned credit);
  void settle(CommandTag tag, const Outcome& outcome);
  void respond(MethodTag tag, const MethodResponse& response);
  bool ask_twin(DeviceSlot slot, const TwinRequest& request);

  // Proton's events.
  void on_connection_open(proton::connection& connection) override;
  void on_sender_open(proton::sender& sender) override;
  void on_receiver_open(proton::receiver& receiver) override;
  void on_sendable(proton::sender& sender) override;
  void on_delivery_settle(proton::delivery& delivery) override;
  void on_sender_close(proton::sender& sender) override;
  void on_sender_detach(proton::sender& sender) override;
  void on_receiver_close(proton::receiver& receiver) override;
  void on_receiver_detach(proton::receiver& receiver) override;
  void on_session_close(proton::session& session) override;
  void on_error(const proton::error_condition& error) override;

 private:
  struct Device;
  // What a DeviceLink names: a link, or a pair that is attached and given up as one. Its address is the context of each
  // pn_link_t of it, which is null for a link that we gave up.
  struct Channel {
    Device* device = nullptr;
    DeviceLink which = DeviceLink::telemetry;
    pn_link_t* sender = nullptr;
    pn_link_t* receiver = nullptr;
    std::uint64_t serial = 0;     // of the attach; addresses are reused
    std::uint8_t unanswered = 0;  // links that the hub has not attached yet
    bool attached = false;
    bool starved = false;   // send() said not now
    bool by_bytes = false;  // and the device is in blocked_

    [[nodiscard]] bool exists() const { return sender != nullptr || receiver != nullptr; }
  };
  // Lives as long as the epoch, once authorised.
  struct Device {
    DeviceSlot slot;
    DeviceId id;
    WallTime token_expires{};  // of the last one that was put
    std::optional<proton::session> session;
    std::array<Channel, kDeviceLinks> channels;

    Device(DeviceSlot number, const DeviceId& name);
    [[nodiscard]] Channel& channel(DeviceLink which) { return channels[static_cast<std::size_t>(which)]; }
  };
  struct InFlight {
    Position position;
    Channel* channel = nullptr;
  };
  struct Call {
    DeviceSlot slot;
    proton::message_id correlation;
  };
  struct PendingAttach {
    SteadyTime deadline;
    DeviceSlot slot;
    DeviceLink which;
    std::uint64_t serial;
  };

  [[nodiscard]] bool working() const { return ready_ && !dying_ && !closing_; }
  [[nodiscard]] UplinkEvents& events() { return *shared_.events; }
  [[nodiscard]] const Dialect& dialect() const { return *shared_.options.dialect; }
  [[nodiscard]] bool takes_tokens() const { return !dialect().token_node.empty(); }
  [[nodiscard]] Device* find(DeviceSlot slot);
  [[nodiscard]] bool awaited(const PendingAttach& pending);
  [[nodiscard]] static Channel* channel_of(pn_link_t* link);

  void connected(std::unique_ptr<net::Stream> stream);
  void finish(LinkFault fault);
  void unreachable(const Error& error);
  void ended(const amqp::EndReason& reason);
  void check_ready();
  void name_the_clock(LinkFault& fault);
  void arm(SteadyTime at);
  void housekeep();

  void open_cbs(proton::connection& connection);
  void write_put_tokens();
  void on_bytes(pn_delivery_t* delivery, std::string_view bytes);
  void on_put_token_answer(pn_delivery_t* delivery, std::string_view bytes);
  void on_put_token_settled(pn_delivery_t* delivery);
  void cbs_answered();
  void refuse(DeviceSlot slot, LinkFault fault);

  void on_link_open(pn_link_t* link, pn_terminus_t* far);
  void on_link_end(pn_link_t* link);
  void on_update(pn_delivery_t* delivery);
  void on_command(const Device& device, pn_delivery_t* delivery, std::string_view bytes);
  void on_pair(const Channel& channel, std::string_view bytes);
  void send_settled(const Channel& channel, std::string_view bytes);
  void open_links(Channel& channel);
  void give_up(Channel& channel);
  void give_up(pn_link_t* link);
  void detached(const Device& device, DeviceLink which, LinkFault fault);
  [[nodiscard]] bool may_send(const Channel& channel) const;
  void offer_sendable(Channel& channel);
  void retry_blocked();

  Shared& shared_;
  LostHandler on_lost_;
  const std::uint64_t number_;
  const std::string name_;  // unique, for link names and message ids
  std::shared_ptr<Epoch*> alive_;
  boost::asio::steady_timer watchdog_;
  boost::asio::steady_timer timer_;
  SteadyTime timer_at_ = kNever;
  std::unique_ptr<net::ConnectAttempt> attempt_;
  std::unique_ptr<amqp::Connection> connection_;
  std::optional<LinkFault> fault_;  // why we ended the connection ourselves
  bool ready_ = false;
  bool closing_ = false;
  bool dying_ = false;  // on_lost is on its way and nothing else may be told

  pn_link_t* cbs_sender_ = nullptr;
  pn_link_t* cbs_receiver_ = nullptr;
  bool cbs_sender_open_ = false;
  bool cbs_receiver_open_ = false;
  bool cbs_answered_ = false;
  SteadyTime answer_due_ = kNever;  // the first put-token's, until there is an answer to any
  PutTokens put_tokens_;
  proton::message message_;
  std::vector<char> encoded_;

  std::vector<std::unique_ptr<Device>> devices_;  // by slot
  std::deque<PendingAttach> attaching_;
  std::vector<DeviceSlot> blocked_;  // by bytes; Proton may not tell when they have left
  std::uint64_t last_tag_ = 0;
  std::uint64_t last_link_ = 0;
  std::uint64_t last_command_ = 0;
  std::uint64_t last_call_ = 0;
  std::map<std::uint64_t, Call> calls_;  // methods that are not answered yet
  Slab<InFlight> in_flight_;
  std::unordered_map<std::uint64_t, pn_delivery_t*> held_;  // commands whose outcome is owed
};

}  // namespace trunkline::hub
