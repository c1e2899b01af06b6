// SPDX-License-Identifier: Apache-2.0
#include "gateway/pipeline/questions.h"

#include <algorithm>
#include <initializer_list>

#include "gateway/base/clock.h"
#include "gateway/base/encoding.h"
#include "gateway/base/json.h"

namespace trunkline {
namespace {

constexpr std::size_t kPage = 500;
constexpr std::size_t kExportPage = 50;

struct Wrong {
  std::string why;
};

std::string text(const json::object& request, std::string_view name) {
  const auto* value = request.if_contains(name);
  if (value == nullptr || value->is_null()) return {};
  if (!value->is_string()) throw Wrong{std::string(name) + " is not a string"};
  return std::string(value->as_string());
}

json::object to_json(const Tally& tally) {
  return {{"received", tally.received},
          {"accepted", tally.accepted},
          {"dead_lettered", tally.dead_lettered},
          {"requeued", tally.requeued},
          {"expired", tally.expired},
          {"dropped",
           json::object{
               {"drop_newest", tally.dropped_newest}, {"drop_oldest", tally.dropped_oldest}, {"purged", tally.purged}}},
          {"duplicates", tally.duplicates}};
}

json::object to_json(const LedgerReport::Device& device) {
  auto out = to_json(device.tally);
  out["carried_in"] = device.carried_in;
  out["waiting"] = device.held.waiting;
  out["dead_letters"] = device.held.dead_lettered;
  out["unaccounted"] = device.unaccounted();
  return out;
}

// Commands in our own care, since the file was made.
json::object commands(const Books& books, const std::string& device) {
  const auto row = [](const CommandBook& book) {
    return json::object{{"taken", book.taken},   {"delivered", book.delivered}, {"expired", book.expired},
                        {"failed", book.failed}, {"waiting", book.waiting},     {"unaccounted", book.unaccounted()}};
  };
  CommandBook total;
  json::array devices;
  for (const auto& [name, book] : books.commands) {
    if (!device.empty() && name != device) continue;
    total += book;
    auto one = row(book);
    one["id"] = name;
    devices.push_back(std::move(one));
  }
  return {{"total", row(total)}, {"devices", std::move(devices)}};
}

json::object ledger(const Kept& kept, const json::object& request) {
  std::optional<std::int64_t> since;
  if (const auto wanted = text(request, "since"); !wanted.empty()) {
    since = parse_day(wanted);
    if (!since) throw Wrong{"since is not a day such as 2026-11-21"};
  }
  const auto books = kept.books();
  if (!books) throw Wrong{books.error().message};
  const auto found = report(*books, text(request, "device"), since);
  json::array days;
  for (const auto& day : found.days) {
    auto row = to_json(day.tally);
    row["day"] = day.name;
    row["carried_in"] = day.carried_in;
    row["carried_out"] = day.carried_out();
    days.push_back(std::move(row));
  }
  json::array devices;
  for (const auto& device : found.devices) {
    auto row = to_json(device);
    row["id"] = device.name;
    devices.push_back(std::move(row));
  }
  return {{"total", to_json(found.total)},
          {"days", std::move(days)},
          {"devices", std::move(devices)},
          {"commands", commands(*books, text(request, "device"))}};
}

json::object spool(const Kept& kept) {
  const auto found = kept.summary();
  json::object out{{"waiting", found.waiting},
                   {"waiting_bytes", found.waiting_bytes},
                   {"dead_letters", found.dead_letters},
                   {"dead_letter_bytes", found.dead_letter_bytes},
                   {"cap_bytes", found.cap_bytes},
                   {"room_bytes", found.room_bytes},
                   {"disk_bytes", found.disk_bytes},
                   {"oldest_age_ms", nullptr},
                   {"sync_time_us", nullptr},
                   {"inflow_bytes_per_second", nullptr},
                   {"full_in_s", nullptr},
                   {"fault", found.fault},
                   {"set_aside", found.set_aside}};
  if (found.oldest_age) out["oldest_age_ms"] = found.oldest_age->count();
  if (found.sync_time) out["sync_time_us"] = found.sync_time->count();
  if (found.inflow) {
    out["inflow_bytes_per_second"] = *found.inflow;
    // If the hub took nothing from now on.
    const auto used = std::min(found.room_bytes, found.waiting_bytes + found.dead_letter_bytes);
    if (*found.inflow > 0) out["full_in_s"] = static_cast<double>(found.room_bytes - used) / *found.inflow;
  }
  return out;
}

json::object to_json(const DeadLetter& letter, bool with_body) {
  json::object out{{"id", dead_letter_name(letter.position)},
                   {"device", letter.device.text()},
                   {"received", to_rfc3339(letter.received)},
                   {"settled", to_rfc3339(letter.settled)},
                   {"outcome", letter.outcome},
                   {"condition", letter.condition},
                   {"description", letter.description},
                   {"bytes", letter.footprint}};
  if (!letter.telemetry) return out;
  const auto& telemetry = *letter.telemetry;
  out["source"] = std::string(to_string(telemetry.source));
  out["content_type"] = telemetry.content_type;
  out["content_encoding"] = telemetry.content_encoding;
  out["body_bytes"] = telemetry.body.size();
  if (telemetry.device_time) out["device_time"] = to_rfc3339(*telemetry.device_time);
  // Payloads only where somebody takes them out on purpose (S-01).
  if (!with_body) return out;
  json::object properties;
  for (const auto& property : telemetry.properties) properties[property.name] = property.value;
  out["properties"] = std::move(properties);
  out["body_base64"] = base64_encode(telemetry.body);
  return out;
}

DeadLetterQuery query_of(const json::object& request) {
  DeadLetterQuery query;
  if (const auto wanted = text(request, "device"); !wanted.empty()) {
    auto id = DeviceId::parse(wanted);
    if (!id) throw Wrong{id.error().message};
    query.device = std::move(*id);
  }
  const auto position = [&request](std::string_view name) -> std::optional<Position> {
    const auto wanted = text(request, name);
    if (wanted.empty()) return std::nullopt;
    const auto found = parse_dead_letter_name(wanted);
    if (!found) throw Wrong{std::string(name) + " is not the id of a dead letter, such as 3-1042"};
    return found;
  };
  query.only = position("id");
  query.after = position("after").value_or(Position{});
  query.limit = kPage;
  return query;
}

json::object dead_letters(const Kept& kept, const json::object& request) {
  const auto act = text(request, "do");
  auto query = query_of(request);
  const bool exports = act == "export";
  const bool changes = act == "requeue" || act == "purge";
  if (!exports && !changes && act != "list" && act != "show") {
    throw Wrong{"do is not one of list, show, export, requeue, purge"};
  }
  query.with_telemetry = exports || act == "show" || act == "requeue";
  if (query.with_telemetry) query.limit = kExportPage;
  const auto found = kept.dead_letters(query);
  if (!found) throw Wrong{found.error().message};
  json::object out;
  if (changes) {
    const auto& change = act == "requeue" ? kept.requeue : kept.purge;
    if (!change) throw Wrong{"the gateway does not run; start it first"};
    const auto done = change(*found);
    if (!done) throw Wrong{done.error().message};
    out["done"] = *done;
  } else {
    json::array letters;
    for (const auto& letter : *found) letters.push_back(to_json(letter, exports));
    out["dead_letters"] = std::move(letters);
  }
  // Whoever wants more asks again with this as `after`.
  out["next"] =
      found->size() < query.limit ? json::value(nullptr) : json::value(dead_letter_name(found->back().position));
  return out;
}

}  // namespace

std::string answer(const Kept& kept, const std::string& request) {
  try {
    boost::system::error_code bad;
    const auto value = json::parse(request, bad);
    if (bad || !value.is_object()) throw Wrong{"the request is not a JSON object"};
    const auto& object = value.as_object();
    const auto op = text(object, "op");
    if (op == "ledger") return json::serialize(ledger(kept, object));
    if (op == "spool") return json::serialize(spool(kept));
    if (op == "deadletters") return json::serialize(dead_letters(kept, object));
    throw Wrong{"unknown op"};
  } catch (const Wrong& wrong) {
    return json::serialize(json::object{{"error", wrong.why}});
  }
}

}  // namespace trunkline
