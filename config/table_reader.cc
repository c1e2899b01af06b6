// SPDX-License-Identifier: Apache-2.0
#include "config/table_reader.h"

#include <algorithm>
#include <charconv>

#include "config/options.h"
#include "config/suggest.h"
#include "config/units.h"

namespace trunkline::config {

std::string place_text(const SourcePlace& place) {
  if (place.line == 0) return place.file;
  return place.file + ":" + std::to_string(place.line) + ":" + std::to_string(place.column);
}

std::string TableReader::name_of(std::string_view key) const {
  return path_.empty() ? std::string(key) : path_ + "." + std::string(key);
}

const Entry* TableReader::find(std::string_view name) {
  known_.push_back(name);
  const auto found = std::find_if(table_.entries.begin(), table_.entries.end(),
                                  [name](const Entry& entry) { return entry.name == name; });
  return found == table_.entries.end() ? nullptr : &*found;
}

const Entry* TableReader::require(std::string_view name) {
  const auto* entry = find(name);
  if (entry == nullptr) findings_.problem(mark_, name_of(name) + " is missing; add it to this table");
  return entry;
}

const std::string* TableReader::text_of(const Entry& entry, std::string_view example) {
  const auto* text = entry.value.text();
  if (text == nullptr) {
    findings_.problem(entry.value.mark, name_of(entry.name) + " is " + std::string(entry.value.type_name()) +
                                            "; write a string in quotes" +
                                            (example.empty() ? "" : ", such as " + std::string(example)));
  }
  return text;
}

std::optional<Found<std::string>> TableReader::text(std::string_view name) {
  const auto* entry = find(name);
  if (entry == nullptr) return std::nullopt;
  const auto* text = text_of(*entry, {});
  if (text == nullptr) return std::nullopt;
  if (text->empty()) {
    findings_.problem(entry->value.mark, name_of(name) + " is empty; give it a value or remove the line");
    return std::nullopt;
  }
  return Found<std::string>{*text, entry->value.mark};
}

std::optional<Found<std::string>> TableReader::required_text(std::string_view name) {
  if (require(name) == nullptr) return std::nullopt;
  return text(name);
}

std::optional<Found<std::string>> TableReader::path(std::string_view name) {
  auto found = text(name);
  if (!found) return std::nullopt;
  if (found->value.front() != '/' || found->value.find('\0') != std::string::npos) {
    findings_.problem(found->mark,
                      name_of(name) + " is " + in_quotes(found->value) + "; write a whole path, from \"/\" on");
    return std::nullopt;
  }
  return found;
}

std::optional<Found<std::string>> TableReader::choice(std::string_view name, std::span<const std::string_view> values) {
  auto found = text(name);
  if (!found) return std::nullopt;
  if (std::find(values.begin(), values.end(), found->value) != values.end()) return found;
  std::string known;
  for (const auto value : values) known += (known.empty() ? "" : ", ") + in_quotes(value);
  auto message = name_of(name) + " is " + in_quotes(found->value) + "; write one of " + known;
  if (const auto meant = nearest(found->value, values)) {
    message += " (did you mean " + in_quotes(*meant) + "?)";
  }
  findings_.problem(found->mark, std::move(message));
  return std::nullopt;
}

std::optional<bool> TableReader::flag(std::string_view name) {
  const auto* entry = find(name);
  if (entry == nullptr) return std::nullopt;
  const auto* value = std::get_if<bool>(&entry->value.value);
  if (value == nullptr) {
    findings_.problem(entry->value.mark,
                      name_of(name) + " is " + std::string(entry->value.type_name()) + "; write true or false");
    return std::nullopt;
  }
  return *value;
}

std::optional<double> TableReader::number(std::string_view name, double low, double high) {
  const auto* entry = find(name);
  if (entry == nullptr) return std::nullopt;
  const auto* whole = std::get_if<std::int64_t>(&entry->value.value);
  const auto* value = std::get_if<double>(&entry->value.value);
  if (whole == nullptr && value == nullptr) {
    findings_.problem(entry->value.mark, name_of(name) + " is " + std::string(entry->value.type_name()) +
                                             "; write a number without quotes");
    return std::nullopt;
  }
  const double out = whole != nullptr ? static_cast<double>(*whole) : *value;
  if (!(out >= low && out <= high)) {
    findings_.problem(entry->value.mark, name_of(name) + " is out of range; write a finite number that makes sense");
    return std::nullopt;
  }
  return out;
}

std::vector<Found<std::string>> TableReader::texts(std::string_view name) {
  std::vector<Found<std::string>> out;
  const auto* entry = find(name);
  if (entry == nullptr) return out;
  const auto take = [&](const Node& node) {
    const auto* text = node.text();
    if (text == nullptr || text->empty()) {
      findings_.problem(
          node.mark,
          name_of(name) + (text == nullptr ? " is " + std::string(node.type_name()) + "; write a string in quotes"
                                           : std::string(" is empty; give it a value or remove the line")));
      return;
    }
    out.push_back({*text, node.mark});
  };
  if (const auto* array = entry->value.array()) {
    for (const auto& item : array->items) take(item);
    if (array->items.empty()) findings_.problem(entry->value.mark, name_of(name) + " is empty; remove it");
  } else {
    take(entry->value);
  }
  return out;
}

std::optional<std::int64_t> TableReader::integer(std::string_view name, std::int64_t low, std::int64_t high) {
  const auto* entry = find(name);
  if (entry == nullptr) return std::nullopt;
  const auto* value = std::get_if<std::int64_t>(&entry->value.value);
  if (value == nullptr) {
    findings_.problem(entry->value.mark, name_of(name) + " is " + std::string(entry->value.type_name()) +
                                             "; write a whole number without quotes");
    return std::nullopt;
  }
  if (*value < low || *value > high) {
    findings_.problem(entry->value.mark, name_of(name) + " is " + std::to_string(*value) + "; write a number from " +
                                             std::to_string(low) + " to " + std::to_string(high));
    return std::nullopt;
  }
  return *value;
}

std::optional<std::string_view> TableReader::with_unit(std::string_view name, Mark& mark, std::string_view example) {
  const auto* entry = find(name);
  if (entry == nullptr) return std::nullopt;
  mark = entry->value.mark;
  if (std::holds_alternative<std::int64_t>(entry->value.value) || std::holds_alternative<double>(entry->value.value)) {
    findings_.problem(
        mark, name_of(name) + " is a bare number, its unit is missing; write a string such as " + std::string(example));
    return std::nullopt;
  }
  const auto* text = text_of(*entry, example);
  if (text == nullptr) return std::nullopt;
  return *text;
}

std::optional<Milliseconds> TableReader::duration(std::string_view name, Milliseconds low, Milliseconds high) {
  Mark mark;
  const auto text = with_unit(name, mark, "\"30s\"");
  if (!text) return std::nullopt;
  const auto value = parse_duration(*text);
  if (!value) {
    findings_.problem(mark, name_of(name) + " is " + in_quotes(*text) + ": " + value.error().message);
    return std::nullopt;
  }
  if (*value < low || *value > high) {
    findings_.problem(mark, name_of(name) + " is " + in_quotes(*text) + "; write a duration from \"" +
                                duration_text(low) + "\" to \"" + duration_text(high) + "\"");
    return std::nullopt;
  }
  return *value;
}

std::optional<std::uint64_t> TableReader::size(std::string_view name, std::uint64_t low, std::uint64_t high) {
  Mark mark;
  const auto text = with_unit(name, mark, "\"64KiB\"");
  if (!text) return std::nullopt;
  const auto value = parse_size(*text);
  if (!value) {
    findings_.problem(mark, name_of(name) + " is " + in_quotes(*text) + ": " + value.error().message);
    return std::nullopt;
  }
  if (*value < low || *value > high) {
    findings_.problem(mark, name_of(name) + " is " + in_quotes(*text) + "; write a size from \"" + size_text(low) +
                                "\" to \"" + size_text(high) + "\"");
    return std::nullopt;
  }
  return *value;
}

std::optional<unsigned> TableReader::percent(std::string_view name) {
  Mark mark;
  const auto text = with_unit(name, mark, "\"10%\"");
  if (!text) return std::nullopt;
  unsigned value = 0;
  const auto [end, failed] = std::from_chars(text->data(), text->data() + text->size(), value);
  if (failed != std::errc{} ||
      std::string_view(end, static_cast<std::size_t>(text->data() + text->size() - end)) != "%" || value < 1 ||
      value > 100) {
    findings_.problem(mark,
                      name_of(name) + " is " + in_quotes(*text) + "; write a whole percentage from \"1%\" to \"100%\"");
    return std::nullopt;
  }
  return value;
}

std::optional<double> TableReader::rate(std::string_view name, double high) {
  Mark mark;
  const auto text = with_unit(name, mark, "\"100/s\", or \"off\"");
  if (!text) return std::nullopt;
  const auto value = parse_rate(*text);
  if (!value) {
    findings_.problem(mark, name_of(name) + " is " + in_quotes(*text) + ": " + value.error().message);
    return std::nullopt;
  }
  if (*value > high) {
    findings_.problem(mark, name_of(name) + " is " + in_quotes(*text) + "; write at most \"" +
                                std::to_string(static_cast<std::int64_t>(high)) + "/s\", or \"off\"");
    return std::nullopt;
  }
  return *value;
}

std::optional<Found<std::string>> TableReader::choice(std::string_view name) {
  return choice(name, std::span<const std::string_view>(option(path_, name).choices));
}

std::optional<std::int64_t> TableReader::integer(std::string_view name) {
  const auto& one = option(path_, name);
  return integer(name, one.low, one.high);
}

std::optional<Milliseconds> TableReader::duration(std::string_view name) {
  const auto& one = option(path_, name);
  return duration(name, Milliseconds(one.low), Milliseconds(one.high));
}

std::optional<std::uint64_t> TableReader::size(std::string_view name) {
  const auto& one = option(path_, name);
  return size(name, static_cast<std::uint64_t>(one.low), static_cast<std::uint64_t>(one.high));
}

std::optional<double> TableReader::rate(std::string_view name) {
  return rate(name, static_cast<double>(option(path_, name).high));
}

const Entry* TableReader::table(std::string_view name) {
  const auto* entry = find(name);
  if (entry == nullptr || entry->value.table() != nullptr) return entry;
  findings_.problem(entry->value.mark, name_of(name) + " is " + std::string(entry->value.type_name()) +
                                           "; write a table: [" + name_of(name) + "], or " + std::string(name) +
                                           " = { … }");
  return nullptr;
}

void TableReader::not_yet(std::initializer_list<std::string_view> names) {
  for (const auto name : names) {
    if (const auto* entry = find(name)) {
      findings_.problem(entry->mark, name_of(name) + " is not supported yet in this version; remove it");
    }
  }
}

void TableReader::not_yet_except(std::string_view name, std::string_view value) {
  const auto* entry = find(name);
  if (entry == nullptr) return;
  const auto* text = entry->value.text();
  if (text != nullptr && *text == value) return;
  findings_.problem(entry->value.mark, name_of(name) + " other than " + in_quotes(value) +
                                           " is not supported yet in this version; remove it");
}

void TableReader::finish() {
  for (const auto& entry : table_.entries) {
    if (std::find(known_.begin(), known_.end(), entry.name) != known_.end()) continue;
    std::string message = "unknown key " + in_quotes(entry.name);
    message += path_.empty() ? std::string() : " in " + path_;
    if (const auto meant = nearest(entry.name, known_)) {
      message += "; did you mean " + in_quotes(*meant) + "?";
    } else {
      message += "; remove it";
    }
    findings_.problem(entry.mark, std::move(message));
  }
}

}  // namespace trunkline::config
