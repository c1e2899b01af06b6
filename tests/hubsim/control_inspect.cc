// SPDX-License-Identifier: Apache-2.0
// The operations that look and wait.
#include <unistd.h>

#include <ctime>
#include <fstream>
#include <set>

#include "tests/hubsim/control_ops.h"
#include "tests/hubsim/hub_connection.h"

namespace trunkline::hubsim {
namespace {

constexpr std::int64_t kDefaultTimeoutMs = 10'000;
constexpr std::int64_t kDefaultLimit = 1'000;

json::object describe(const CommandRecord& record) {
  json::object out{{"sequence", record.sequence},
                   {"message_id", record.message_id},
                   {"state", to_string(record.fate)},
                   {"delivery_count", record.delivery_count}};
  if (record.reason.set()) {
    out["condition"] = record.reason.name;
    out["description"] = record.reason.description;
  }
  return out;
}

json::object describe(Hub& hub, const Device& device) {
  json::array links;
  std::set<std::uint64_t> connections;
  std::size_t held = 0;
  for (const auto* link : device.links) {
    links.push_back(json::string(kind_name(link->kind)));
    connections.insert(link->connection->number());
    held += link->held.size();
  }
  bool token = false;
  for (const auto& [number, connection] : hub.connections()) token = token || connection->holds_token_of(device.id);
  return {{"device", device.id},
          {"enabled", hub.directory().enabled(device.id)},
          {"links", std::move(links)},
          {"connections", json::value_from(connections)},
          {"token", token},
          {"tokens", device.tokens},
          {"tokens_refused", device.tokens_refused},
          {"attaches", device.attaches},
          {"attaches_refused", device.attaches_refused},
          {"take_overs", device.take_overs},
          {"twin_requests", device.twin_requests},
          {"methods_sent", device.methods_sent},
          {"calls", device.calls.size()},
          {"arrivals", device.arrivals},
          {"refused", device.refused},
          {"held", held},
          {"queued", device.queue.size()},
          {"locked", device.queue.locked()}};
}

std::size_t open_connections(const Hub& hub) {
  std::size_t count = 0;
  for (const auto& [number, connection] : hub.connections()) count += connection->opened() ? 1 : 0;
  return count;
}

// Resident memory of the process; 0 where /proc is not there.
std::uint64_t resident_bytes() {
  std::ifstream file("/proc/self/statm");
  std::uint64_t pages = 0;
  std::uint64_t resident = 0;
  file >> pages >> resident;
  return resident * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

// CPU time of the calling thread, on which everything of the hub happens.
double thread_cpu_seconds() {
  timespec used{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
  return static_cast<double>(used.tv_sec) + static_cast<double>(used.tv_nsec) / 1e9;
}

void status(const Operation& op) {
  auto& hub = op.hub;
  std::size_t links = 0;
  std::size_t tokens = 0;
  for (const auto& [number, connection] : hub.connections()) {
    links += connection->links();
    tokens += connection->tokens();
  }
  json::array addresses;
  for (const auto& endpoint : hub.endpoints()) addresses.push_back(json::string(endpoint.text()));
  op.done({{"host", hub.directory().host()},
           {"address", hub.endpoint().text()},
           {"addresses", std::move(addresses)},
           {"connections", open_connections(hub)},
           {"connections_ever", hub.connections_ever()},
           {"arrivals", hub.log().total()},
           {"devices", hub.devices().size()},
           {"links", links},
           {"tokens", tokens},
           {"max_tokens_outstanding", hub.counters.max_tokens_outstanding},
           {"expiry_detaches", hub.counters.expiry_detaches},
           {"authorisation_errors", hub.counters.authorisation_errors},
           {"attaches_refused", hub.counters.attaches_refused},
           {"take_overs", hub.counters.take_overs},
           {"redirects", hub.counters.redirects},
           {"method_answers_unmatched", hub.counters.method_answers_unmatched},
           {"throttled", hub.throttles.refused},
           {"rss_bytes", resident_bytes()},
           {"cpu_s", thread_cpu_seconds()}});
}

void connections(const Operation& op) {
  json::array list;
  for (const auto& [number, connection] : op.hub.connections()) {
    list.push_back(json::object{{"connection", number},
                                {"peer", connection->peer()},
                                {"secure", connection->secure()},
                                {"open", connection->opened()},
                                {"container", connection->container()},
                                {"sasl", connection->mechanism()},
                                {"tokens", connection->tokens()},
                                {"identities_ever", connection->identities_ever()},
                                {"max_tokens_outstanding", connection->max_tokens_outstanding()},
                                {"links", connection->links()}});
  }
  op.done({{"now", open_connections(op.hub)}, {"ever", op.hub.connections_ever()}, {"connections", std::move(list)}});
}

void devices(const Operation& op) {
  json::array list;
  if (op.request.has("device")) {
    const auto device = op.device();
    if (!device) return;
    list.push_back(describe(op.hub, *device));
  } else {
    for (const auto& [id, device] : op.hub.devices()) list.push_back(describe(op.hub, *device));
  }
  op.done({{"devices", std::move(list)}});
}

void arrivals(const Operation& op) {
  const auto device = op.request.text("device");
  const auto after = op.request.number("after", 0);
  const auto limit = op.request.number("limit", kDefaultLimit);
  if (!op.request.error().empty()) return op.failed(op.request.error());
  if (after < 0 || limit < 0) return op.failed("after and limit cannot be negative");
  if (!op.hub.log().recording()) return op.failed("arrivals are only counted here (--record count)");
  json::array list;
  std::uint64_t next = static_cast<std::uint64_t>(after);
  for (const auto* arrival : op.hub.log().find(device, next, static_cast<std::size_t>(limit))) {
    list.push_back(json::parse(arrival_json(*arrival)));
    next = arrival->index;
  }
  op.done({{"arrivals", std::move(list)}, {"next", next}, {"total", op.hub.log().total()}});
}

// Answers with `read` as soon as `reached` says so.
void wait(const Operation& op, std::function<bool()> reached, std::function<json::object()> read) {
  const auto timeout = op.request.number("timeout_ms", kDefaultTimeoutMs);
  if (!op.request.error().empty()) return op.failed(op.request.error());
  op.hub.wait(
      [reached = std::move(reached), read, done = op.done] {
        if (!reached()) return false;
        done(read());
        return true;
      },
      Milliseconds(timeout), [failed = op.failed] { failed("timed out"); });
}

void wait_arrivals(const Operation& op) {
  const auto count = static_cast<std::uint64_t>(std::max<std::int64_t>(op.request.number("count", 1), 0));
  auto* hub = &op.hub;
  if (!op.request.has("device")) {
    return wait(
        op, [hub, count] { return hub->log().total() >= count; },
        [hub] {
          return json::object{{"arrivals", hub->log().total()}};
        });
  }
  const auto device = op.device();
  if (!device) return;
  wait(
      op, [device, count] { return device->arrivals >= count; },
      [device] {
        return json::object{{"arrivals", device->arrivals}};
      });
}

void wait_connections(const Operation& op) {
  const auto count = static_cast<std::size_t>(std::max<std::int64_t>(op.request.number("count", 1), 0));
  auto* hub = &op.hub;
  wait(
      op, [hub, count] { return open_connections(*hub) == count; },
      [hub] {
        return json::object{{"connections", open_connections(*hub)}, {"ever", hub->connections_ever()}};
      });
}

void wait_link(const Operation& op) {
  const auto device = op.device();
  if (!device) return;
  const auto kind = op.request.text("link", "telemetry");
  const auto attached = op.request.flag("attached", true);
  const auto has = [device, kind] {
    return std::any_of(device->links.begin(), device->links.end(),
                       [&kind](const Link* link) { return kind_name(link->kind) == kind; });
  };
  wait(
      op, [has, attached] { return has() == attached; },
      [attached] {
        return json::object{{"attached", attached}};
      });
}

void command(const Operation& op) {
  const auto device = op.device();
  if (!device) return;
  const auto record = op.hub.command(*device, static_cast<std::uint64_t>(op.request.number("sequence", 0)));
  if (!record) return op.failed("no such command");
  op.done(describe(*record));
}

void wait_outcome(const Operation& op) {
  const auto device = op.device();
  if (!device) return;
  const auto sequence = static_cast<std::uint64_t>(op.request.number("sequence", 0));
  if (!op.hub.command(*device, sequence)) return op.failed("no such command");
  auto* hub = &op.hub;
  wait(
      op,
      [hub, device, sequence] {
        const auto record = hub->command(*device, sequence);
        return !record || (record->fate != Fate::waiting && record->fate != Fate::locked);
      },
      [hub, device, sequence] { return describe(hub->command(*device, sequence).value_or(CommandRecord{})); });
}

void feedback(const Operation& op) {
  json::array list;
  for (const auto& record : op.hub.feedback_records()) {
    list.push_back(json::object{{"message_id", record.message_id},
                                {"device", record.device},
                                {"status", record.status},
                                {"time", to_rfc3339(record.time)}});
  }
  op.done({{"records", std::move(list)}});
}

}  // namespace

const OperationTable& inspect_operations() {
  static const OperationTable table{{"status", status},
                                    {"connections", connections},
                                    {"devices", devices},
                                    {"arrivals", arrivals},
                                    {"wait_arrivals", wait_arrivals},
                                    {"wait_connections", wait_connections},
                                    {"wait_link", wait_link},
                                    {"command", command},
                                    {"wait_outcome", wait_outcome},
                                    {"feedback", feedback}};
  return table;
}

}  // namespace trunkline::hubsim
