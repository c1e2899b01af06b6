// SPDX-License-Identifier: Apache-2.0
#include "gateway/hub/hub_link.h"

#include "gateway/base/check.h"
#include "gateway/base/log.h"
#include "gateway/hub/epoch.h"

namespace trunkline::hub {

HubLink::HubLink(boost::asio::io_context& io, Options options, const Clock& clock, Metrics& metrics)
    : shared_(new Shared{
          .io = io,
          .options = options,
          .clock = clock,
          .put_tokens = metrics.metric("uplink_put_tokens_total", "Tokens sent to the hub, renewals included"),
          .commands = metrics.metric("uplink_commands_total", "Cloud-to-device messages received"),
          .commands_malformed = metrics.metric("uplink_commands_malformed_total",
                                               "Cloud-to-device messages that could not be read and were rejected"),
          .malformed = metrics.metric("uplink_requests_malformed_total",
                                      "Messages on method and twin links that could not be read"),
          .redirects = metrics.metric("uplink_redirects_total", "Connections that the hub sent elsewhere"),
          .encoder = TelemetryEncoder(options.spool_uuid),
          .decoder = {},
          .pairs = {},
          .route = Route(options.host, options.address),
      }) {}

HubLink::~HubLink() = default;

void HubLink::set_events(UplinkEvents& events) {
  shared_->events = &events;
}

Milliseconds HubLink::clock_behind() const {
  return shared_->time.behind(shared_->clock.wall(), shared_->clock.steady());
}

void HubLink::open() {
  TRUNKLINE_CHECK(shared_->events != nullptr, "events are set before open");
  TRUNKLINE_CHECK(!epoch_, "open follows on_lost");
  ++shared_->epochs;
  epoch_ = std::make_unique<Epoch>(*shared_, [this](LinkFault fault) {
    epoch_.reset();
    const auto level = fault.kind == LinkFault::Kind::stopped ? log::Level::info : log::Level::warning;
    log::write(level, "uplink_lost",
               {{"connection", shared_->options.connection.value},
                {"epoch", shared_->epochs},
                {"kind", to_string(fault.kind)},
                {"error", fault.condition},
                {"text", fault.description}});
    shared_->events->on_lost(shared_->options.connection, std::move(fault));
  });
  epoch_->open();
}

void HubLink::close() {
  if (epoch_) epoch_->close();
}

void HubLink::abort(LinkFault why) {
  if (epoch_) epoch_->fail(std::move(why));
}

void HubLink::authorise(DeviceSlot slot, const DeviceId& device, Token token) {
  if (epoch_) epoch_->authorise(slot, device, std::move(token));
}

void HubLink::attach(DeviceSlot slot, DeviceLink link) {
  if (epoch_) epoch_->attach(slot, link);
}

void HubLink::detach(DeviceSlot slot) {
  if (epoch_) epoch_->detach(slot);
}

Uplink::SendResult HubLink::send(DeviceSlot slot, const MessagePtr& message) {
  return epoch_ ? epoch_->send(slot, message) : SendResult::detached;
}

void HubLink::grant_commands(DeviceSlot slot, unsigned credit) {
  if (epoch_) epoch_->grant_commands(slot, credit);
}

void HubLink::settle(CommandTag tag, const Outcome& outcome) {
  if (epoch_) epoch_->settle(tag, outcome);
}

void HubLink::respond(MethodTag tag, const MethodResponse& response) {
  if (epoch_) epoch_->respond(tag, response);
}

bool HubLink::ask_twin(DeviceSlot slot, const TwinRequest& request) {
  return epoch_ && epoch_->ask_twin(slot, request);
}

}  // namespace trunkline::hub
