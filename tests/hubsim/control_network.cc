// SPDX-License-Identifier: Apache-2.0
// The operations that make something go wrong with connections.
#include "tests/hubsim/control_ops.h"
#include "tests/hubsim/hub_connection.h"

namespace trunkline::hubsim {
namespace {

constexpr std::int64_t kLongestMs = 24 * 3'600'000;
constexpr std::int64_t kEndless = 1'000'000'000;

std::vector<HubConnection*> chosen_connections(const Operation& op) {
  const auto wanted = op.request.number("connection", 0);
  std::vector<HubConnection*> chosen;
  for (const auto& [number, connection] : op.hub.connections()) {
    if (wanted == 0 || number == static_cast<std::uint64_t>(wanted)) chosen.push_back(connection.get());
  }
  return chosen;
}

void drop(const Operation& op) {
  const auto how = op.request.text("how", "close");
  const auto condition = op.request.condition("amqp:connection:forced", "The connection was closed by the hub");
  const auto chosen = chosen_connections(op);
  if (!op.request.error().empty()) return op.failed(op.request.error());
  if (how != "close" && how != "tcp" && how != "rst") return op.failed("how is close, tcp or rst");
  for (auto* connection : chosen) {
    if (how == "close") {
      connection->close(condition);
    } else {
      connection->drop(how == "rst");
    }
  }
  op.done({{"dropped", chosen.size()}});
}

void listen(const Operation& op) {
  const auto mode = op.request.text("mode");
  using Mode = Hub::ListenMode;
  static const std::map<std::string_view, Mode, std::less<>> modes{
      {"accept", Mode::accept}, {"refuse", Mode::refuse}, {"silent", Mode::silent}, {"tls", Mode::tls}};
  const auto found = modes.find(mode);
  if (found == modes.end()) return op.failed("mode is accept, refuse, silent or tls");
  if (const auto result = op.hub.set_listening(found->second); !result) return op.failed(result.error().message);
  op.done({});
}

void reading(const Operation& op) {
  const auto on = op.request.flag("on", true);
  const auto chosen = chosen_connections(op);
  if (!op.request.error().empty()) return op.failed(op.request.error());
  for (auto* connection : chosen) connection->set_reading(on);
  op.done({{"connections", chosen.size()}});
}

void blackhole(const Operation& op) {
  const auto time = op.request.number("for_ms", 60'000);
  const auto chosen = chosen_connections(op);
  if (!op.request.error().empty()) return op.failed(op.request.error());
  if (time < 0 || time > kLongestMs) return op.failed("for_ms is out of range");
  for (auto* connection : chosen) connection->blackhole(op.hub.steady() + Milliseconds(time));
  op.done({{"connections", chosen.size()}});
}

// The target is the hub's second address unless another one is named.
void redirect(const Operation& op) {
  const bool on = op.request.flag("on", true);
  const bool live = op.request.flag("live", false);
  const auto count = op.request.number("count", kEndless);
  const auto to = op.request.text("to");
  const auto hostname = op.request.text("hostname", op.hub.directory().host());
  if (!op.request.error().empty()) return op.failed(op.request.error());
  if (!on) {
    op.hub.redirect.reset();
    return op.done({});
  }
  if (count < 0) return op.failed("count is out of range");
  net::Endpoint target;
  if (!to.empty()) {
    const auto parsed = net::Endpoint::parse(to);
    if (!parsed) return op.failed("to: " + parsed.error().message);
    target = *parsed;
  } else if (op.hub.endpoints().size() > 1) {
    target = op.hub.endpoints()[1];
  } else {
    return op.failed("to is missing, and the hub has one address only");
  }
  Hub::Redirect redirect{hostname, target.host, target.port, static_cast<std::uint64_t>(count)};
  std::size_t redirected = 0;
  if (live) {
    for (auto* connection : chosen_connections(op)) {
      if (connection->listener() != 0 || !connection->opened()) continue;
      connection->redirect(redirect);
      ++redirected;
    }
  }
  op.hub.redirect.reset();
  if (count > 0) op.hub.redirect = std::move(redirect);
  op.done({{"to", target.text()}, {"redirected", redirected}});
}

}  // namespace

const OperationTable& network_operations() {
  static const OperationTable table{
      {"drop", drop}, {"listen", listen}, {"reading", reading}, {"blackhole", blackhole}, {"redirect", redirect}};
  return table;
}

}  // namespace trunkline::hubsim
