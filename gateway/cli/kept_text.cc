// SPDX-License-Identifier: Apache-2.0
#include "gateway/cli/kept_text.h"

#include <cstdint>

#include "gateway/cli/text_table.h"

namespace trunkline::cli {
namespace {

std::string text(const json::object& object, std::string_view name) {
  const auto* value = object.if_contains(name);
  if (value == nullptr || value->is_null()) return {};
  return value->is_string() ? plain(std::string_view(value->as_string())) : json::serialize(*value);
}

double number(const json::object& object, std::string_view name) {
  const auto* value = object.if_contains(name);
  return value != nullptr && value->is_number() ? value->to_number<double>() : 0;
}

// Names of the columns and of the members that fill them; a dot leads into `dropped`.
using Columns = std::vector<std::pair<const char*, const char*>>;

std::vector<std::string> headings(const Columns& columns) {
  std::vector<std::string> out;
  for (const auto& [heading, member] : columns) out.emplace_back(heading);
  return out;
}

std::vector<std::string> row(const Columns& columns, const json::object& from, const std::string& first) {
  std::vector<std::string> out;
  for (const auto& [heading, name] : columns) {
    const std::string member(name);
    if (member.empty()) {
      out.push_back(first);
    } else if (member == "dropped") {
      double sum = 0;
      if (const auto* reasons = from.if_contains("dropped"); reasons != nullptr && reasons->is_object()) {
        for (const auto& reason : reasons->as_object()) sum += number(reasons->as_object(), reason.key());
      }
      out.push_back(number_text("%.0f", sum));
    } else {
      out.push_back(text(from, member));
    }
  }
  return out;
}

const json::array& array(const json::object& object, std::string_view name) {
  static const json::array kNone;
  const auto* value = object.if_contains(name);
  return value != nullptr && value->is_array() ? value->as_array() : kNone;
}

std::string drops_text(const json::object& total) {
  std::string out;
  const auto* reasons = total.if_contains("dropped");
  if (reasons == nullptr || !reasons->is_object()) return out;
  for (const auto& reason : reasons->as_object()) {
    if (number(reasons->as_object(), reason.key()) == 0) continue;
    out +=
        (out.empty() ? "dropped: " : ", ") + std::string(reason.key()) + " " + text(reasons->as_object(), reason.key());
  }
  return out.empty() ? out : out + '\n';
}

// Nothing where no device is in queue mode.
std::string commands_text(const json::object& commands) {
  const Columns columns{{"COMMANDS KEPT FOR", ""},     {"TAKEN", "taken"},   {"DELIVERED", "delivered"},
                        {"EXPIRED", "expired"},        {"FAILED", "failed"}, {"WAITING", "waiting"},
                        {"UNACCOUNTED", "unaccounted"}};
  TextTable table(headings(columns));
  for (const auto& one : array(commands, "devices"))
    table.add(row(columns, one.as_object(), text(one.as_object(), "id")));
  const auto* total = commands.if_contains("total");
  if (table.empty() || total == nullptr || !total->is_object()) return {};
  table.add(row(columns, total->as_object(), "total"));
  return '\n' + table.text();
}

}  // namespace

std::string ledger_text(const json::object& ledger) {
  const Columns day{{"DAY", ""},
                    {"CARRIED IN", "carried_in"},
                    {"RECEIVED", "received"},
                    {"ACCEPTED", "accepted"},
                    {"DROPPED", "dropped"},
                    {"EXPIRED", "expired"},
                    {"CARRIED OUT", "carried_out"},
                    {"DEAD-LETTERED", "dead_lettered"},
                    {"REQUEUED", "requeued"},
                    {"DUPLICATES", "duplicates"}};
  const Columns device{{"DEVICE", ""},
                       {"CARRIED IN", "carried_in"},
                       {"RECEIVED", "received"},
                       {"ACCEPTED", "accepted"},
                       {"DROPPED", "dropped"},
                       {"EXPIRED", "expired"},
                       {"WAITING", "waiting"},
                       {"DEAD LETTERS", "dead_letters"},
                       {"DUPLICATES", "duplicates"},
                       {"UNACCOUNTED", "unaccounted"}};
  TextTable days(headings(day));
  for (const auto& one : array(ledger, "days")) days.add(row(day, one.as_object(), text(one.as_object(), "day")));
  TextTable devices(headings(device));
  for (const auto& one : array(ledger, "devices"))
    devices.add(row(device, one.as_object(), text(one.as_object(), "id")));
  std::string out = days.text() + '\n';
  if (const auto* total = ledger.if_contains("total"); total != nullptr && total->is_object()) {
    devices.add(row(device, total->as_object(), "total"));
    out += devices.text() + drops_text(total->as_object());
  }
  if (const auto* commands = ledger.if_contains("commands"); commands != nullptr && commands->is_object()) {
    out += commands_text(commands->as_object());
  }
  return out;
}

std::string spool_text(const json::object& spool) {
  std::string out = "waiting       " + text(spool, "waiting") + ", " + size_text(number(spool, "waiting_bytes"));
  if (!text(spool, "oldest_age_ms").empty()) {
    out += ", the oldest for at least " + time_text(number(spool, "oldest_age_ms") / 1000);
  }
  out += "\ndead letters  " + text(spool, "dead_letters") + ", " + size_text(number(spool, "dead_letter_bytes"));
  out += "\nroom          " + size_text(number(spool, "room_bytes")) + " for messages, of " +
         size_text(number(spool, "cap_bytes")) + " (" + size_text(number(spool, "disk_bytes")) + " on disk now)\n";
  if (!text(spool, "inflow_bytes_per_second").empty()) {
    out += "inflow        " + size_text(number(spool, "inflow_bytes_per_second")) + "/s";
    if (!text(spool, "full_in_s").empty()) out += "; without the hub full in " + time_text(number(spool, "full_in_s"));
    out += '\n';
  }
  if (!text(spool, "sync_time_us").empty()) {
    out += "disk          a synced write took " + number_text("%.2f ms", number(spool, "sync_time_us") / 1000) +
           " at start\n";
  }
  if (!text(spool, "fault").empty()) out += "fault         " + text(spool, "fault") + '\n';
  if (!text(spool, "set_aside").empty()) out += "set aside     " + text(spool, "set_aside") + '\n';
  return out;
}

std::string dead_letters_text(const json::array& letters) {
  TextTable table({"ID", "DEVICE", "RECEIVED", "BYTES", "CONDITION", "THE HUB SAID"});
  for (const auto& one : letters) {
    const auto& letter = one.as_object();
    table.add({text(letter, "id"), text(letter, "device"), text(letter, "received"), text(letter, "bytes"),
               text(letter, "condition"), text(letter, "description")});
  }
  return table.empty() ? "no dead letters\n" : table.text();
}

std::string dead_letter_text(const json::object& letter) {
  std::string out;
  for (const auto& member : letter) {
    std::string name(member.key());
    name.resize(18, ' ');
    out += name + text(letter, member.key()) + '\n';
  }
  return out;
}

}  // namespace trunkline::cli
