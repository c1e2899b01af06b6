// SPDX-License-Identifier: Apache-2.0
// A device's AMQP session and the links in it: made, given up, told about.
#include <map>
#include <proton/connection.hpp>
#include <proton/delivery_mode.hpp>
#include <proton/receiver_options.hpp>
#include <proton/sender_options.hpp>
#include <proton/source_options.hpp>
#include <proton/symbol.hpp>
#include <proton/target_options.hpp>
#include <proton/value.hpp>

#include "gateway/amqp/engine.h"
#include "gateway/base/crypto.h"
#include "gateway/base/log.h"
#include "gateway/hub/epoch.h"

namespace trunkline::hub {

namespace {

using AttachProperties = std::map<proton::symbol, proton::value>;

AttachProperties attach_properties(const Dialect& dialect, const LinkShape& shape) {
  AttachProperties properties;
  const auto put = [&properties](std::string_view key, std::string value) {
    if (!key.empty()) properties[std::string(key)] = std::move(value);
  };
  put(dialect.client_version_key, client_version());
  put(dialect.api_version_key, std::string(dialect.api_version));
  if (!shape.pair_prefix.empty()) put(dialect.pair_key, std::string(shape.pair_prefix) + random_uuid());
  return properties;
}

}  // namespace

HubLink::Epoch::Device::Device(DeviceSlot number, const DeviceId& name) : slot(number), id(name) {
  for (std::size_t i = 0; i < channels.size(); ++i) {
    channels[i].device = this;
    channels[i].which = static_cast<DeviceLink>(i);
  }
}

void HubLink::Epoch::attach(DeviceSlot slot, DeviceLink which) {
  auto* device = find(slot);
  if (!working() || device == nullptr || device->channel(which).exists()) return;
  if (!device->session) {
    device->session = connection_->proton().open_session();
    pn_session_set_context(amqp::handle<pn_session_t>(*device->session), device);
  }
  auto& channel = device->channel(which);
  channel.serial = ++last_link_;
  open_links(channel);
  while (!attaching_.empty() && !awaited(attaching_.front())) attaching_.pop_front();
  attaching_.push_back({shared_.clock.steady() + shared_.options.put_token_timeout, slot, which, channel.serial});
  arm(attaching_.front().deadline);
  connection_->wake();
}

void HubLink::Epoch::open_links(Channel& channel) {
  auto& device = *channel.device;
  const auto& shape = dialect().shape(channel.which);
  const auto address = dialect().node_address(channel.which, device.id);
  const auto properties = attach_properties(dialect(), shape);
  // The name is for a person who reads a trace; the numbers make it unique over all connections.
  const auto name = device.id.text() + "-" + std::string(to_string(channel.which)) + "-" + name_ + "-" +
                    std::to_string(channel.serial);
  if (shape.sends) {
    proton::sender_options options;
    options.name(shape.receives ? name + "-out" : name).properties(properties);
    if (shape.settled) options.delivery_mode(proton::delivery_mode::AT_MOST_ONCE);
    channel.sender = amqp::handle<pn_link_t>(device.session->open_sender(address, options));
  }
  if (shape.receives) {
    proton::receiver_options options;
    options.name(shape.sends ? name + "-in" : name).properties(properties);
    options.credit_window(shape.window).auto_accept(false);
    if (shape.settled) options.delivery_mode(proton::delivery_mode::AT_MOST_ONCE);
    channel.receiver = amqp::handle<pn_link_t>(device.session->open_receiver(address, options));
  }
  channel.unanswered = 0;
  for (auto* link : {channel.sender, channel.receiver}) {
    if (link == nullptr) continue;
    pn_link_set_context(link, &channel);
    ++channel.unanswered;
  }
}

void HubLink::Epoch::detach(DeviceSlot slot) {
  put_tokens_.cancel(slot);
  auto* device = find(slot);
  if (device == nullptr || !device->session) return;
  for (auto& channel : device->channels) give_up(channel);
  pn_session_set_context(amqp::handle<pn_session_t>(*device->session), nullptr);
  device->session->close();  // freed when the hub has ended it too
  device->session.reset();
  connection_->wake();
}

void HubLink::Epoch::give_up(Channel& channel) {
  for (auto** link : {&channel.sender, &channel.receiver}) {
    if (*link != nullptr) give_up(*link);
    *link = nullptr;
  }
  channel.attached = false;
  channel.starved = false;
}

// Forgets the link and everything that travels on it. It is closed, but freed only when the hub has closed it too.
void HubLink::Epoch::give_up(pn_link_t* link) {
  const bool sends = pn_link_is_sender(link);
  for (auto* d = pn_unsettled_head(link); d != nullptr; d = pn_unsettled_next(d)) {
    auto* context = pn_delivery_get_context(d);
    if (context == nullptr) continue;
    if (sends) {
      in_flight_.take(context);
    } else {
      held_.erase(reinterpret_cast<std::uintptr_t>(context));
    }
    pn_delivery_set_context(d, nullptr);
  }
  pn_link_set_context(link, nullptr);
  pn_link_close(link);
}

void HubLink::Epoch::detached(const Device& device, DeviceLink which, LinkFault fault) {
  shared_.time.read(fault.description, shared_.clock.steady());
  if (fault.kind == LinkFault::Kind::unauthorised) name_the_clock(fault);
  const auto level = fault.kind == LinkFault::Kind::protocol ? log::Level::error : log::Level::warning;
  log::write(level, "device_detached",
             {{"device", device.id.text()},
              {"link", to_string(which)},
              {"kind", to_string(fault.kind)},
              {"error", fault.condition},
              {"text", fault.description}});
  events().on_detached(device.slot, which, std::move(fault));
}

}  // namespace trunkline::hub
