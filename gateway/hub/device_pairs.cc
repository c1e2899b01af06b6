// SPDX-License-Identifier: Apache-2.0
// What travels on a device's method and twin links, all of it settled: a lost request or answer can only time out
// (hub-amqp-protocol.md gotcha 26).
#include "gateway/base/log.h"
#include "gateway/hub/epoch.h"

namespace trunkline::hub {

namespace {

// Calls of one connection that wait for an answer of ours. The hub allows a few for each device; beyond this it is at
// fault, and the oldest is forgotten.
constexpr std::size_t kMaxCalls = 16'384;

}  // namespace

void HubLink::Epoch::send_settled(const Channel& channel, std::string_view bytes) {
  const auto tag = ++last_tag_;
  auto* delivery = pn_delivery(channel.sender, pn_dtag(reinterpret_cast<const char*>(&tag), sizeof tag));
  pn_link_send(channel.sender, bytes.data(), bytes.size());
  pn_link_advance(channel.sender);
  pn_delivery_settle(delivery);
  connection_->wake();
}

void HubLink::Epoch::on_pair(const Channel& channel, std::string_view bytes) {
  const auto& device = *channel.device;
  const auto malformed = [&](const Error& error) {
    shared_.malformed.add();
    log::warning("request_malformed",
                 {{"device", device.id.text()}, {"link", to_string(channel.which)}, {"error", error.message}});
  };
  if (channel.which == DeviceLink::methods) {
    auto method = shared_.pairs.method(bytes);
    if (!method) return malformed(method.error());
    const auto number = ++last_call_;
    if (calls_.size() >= kMaxCalls) calls_.erase(calls_.begin());
    calls_.emplace(number, Call{device.slot, std::move(method->correlation)});
    events().on_method(device.slot, std::move(method->call), {shared_.options.connection, number_, number});
    return;
  }
  auto news = shared_.pairs.twin(bytes);
  if (!news) return malformed(news.error());
  if (auto* answer = std::get_if<TwinAnswer>(&*news)) {
    events().on_twin_answer(device.slot, std::move(*answer));
  } else {
    events().on_desired(device.slot, std::move(std::get<std::string>(*news)));
  }
}

void HubLink::Epoch::respond(MethodTag tag, const MethodResponse& response) {
  if (dying_ || tag.epoch != number_) return;
  const auto found = calls_.find(tag.call);
  if (found == calls_.end()) return;
  const auto call = std::move(found->second);
  calls_.erase(found);
  auto* device = find(call.slot);
  if (!working() || device == nullptr || !device->channel(DeviceLink::methods).attached) return;
  send_settled(device->channel(DeviceLink::methods), shared_.pairs.response(call.correlation, response));
}

bool HubLink::Epoch::ask_twin(DeviceSlot slot, const TwinRequest& request) {
  auto* device = find(slot);
  if (!working() || device == nullptr || !device->channel(DeviceLink::twin).attached) return false;
  send_settled(device->channel(DeviceLink::twin), shared_.pairs.request(request));
  return true;
}

}  // namespace trunkline::hub
