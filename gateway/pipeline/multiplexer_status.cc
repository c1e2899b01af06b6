// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "gateway/pipeline/multiplexer.h"

namespace trunkline {
namespace {

// It was closed because nobody needs it.
bool never_lost(const Trunk::Connection& connection) {
  return connection.fault.condition.empty() && connection.fault.description.empty();
}

}  // namespace

std::string_view to_string(SessionState state) {
  switch (state) {
    case SessionState::idle:
      return "idle";
    case SessionState::queued:
      return "queued";
    case SessionState::authorising:
      return "authorising";
    case SessionState::attaching:
      return "attaching";
    case SessionState::ready:
      return "ready";
    case SessionState::renewing:
      return "renewing";
    case SessionState::backing_off:
      return "backing_off";
    case SessionState::quarantined:
      return "quarantined";
    case SessionState::disabled:
      return "disabled";
    case SessionState::removed:
      return "removed";
  }
  return "idle";
}

Multiplexer::Status Multiplexer::status() const {
  Status out{{}, in_flight(), trunk_.healthy(), send_pace_.rate(), send_pace_.slowed() || attach_pace_.slowed(), {}};
  for (const auto& one : trunk_.all()) {
    const bool open = one->state == Trunk::State::open;
    out.connections.push_back({one->state, one->opened, open || never_lost(*one) ? std::string() : one->fault.text(),
                               one->state == Trunk::State::waiting ? one->open_at : kNever, one->devices,
                               one->in_flight});
  }
  out.devices.reserve(devices_.size());
  for (const auto& one : devices_) {
    const auto& device = *one;
    if (device.state == SessionState::removed) continue;
    auto state = device.state;
    if (state == SessionState::ready) {
      const auto attaching = [](const DeviceSession::Link& link) { return link.attaching; };
      if (device.renewing) state = SessionState::renewing;
      if (std::any_of(device.links.begin(), device.links.end(), attaching)) state = SessionState::attaching;
    }
    const bool waits = state == SessionState::backing_off || state == SessionState::quarantined;
    std::optional<std::uint32_t> connection;
    if (device.connection != nullptr) connection = device.connection->slot.value;
    out.devices.push_back({device.id, state, device.presence, device.accepted, device.in_flight.size(),
                           device.fault ? device.fault->text() : std::string(),
                           device.fault ? std::optional(device.fault->kind) : std::nullopt,
                           waits ? device.retry_at : kNever, connection, device.key,
                           (device.blocked || device.probing) && !device.waiting.empty() ? device.blocked_at : kNever,
                           device.used_at, device.refused_at});
  }
  return out;
}

bool Multiplexer::Status::connected() const {
  if (connections.empty()) return false;
  return std::all_of(connections.begin(), connections.end(), [](const ConnectionStatus& one) {
    return one.state == Trunk::State::open || one.state == Trunk::State::closed;
  });
}

}  // namespace trunkline
