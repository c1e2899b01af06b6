// SPDX-License-Identifier: Apache-2.0
#include "gateway/mapping/shaper.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <unordered_map>

#include "gateway/base/encoding.h"
#include "gateway/mapping/decode.h"
#include "gateway/mapping/json_text.h"
#include "gateway/mapping/merge_patch.h"
#include "gateway/mapping/template.h"

namespace trunkline {
namespace {

using Verdict = Shaper::Verdict;
using Kind = Verdict::Kind;

Verdict refused(std::string why) {
  return {Kind::refused, std::move(why)};
}
Verdict filtered(std::string_view why) {
  return {Kind::filtered, std::string(why)};
}

const json::value* at(const json::value& value, const std::string& pointer) {
  if (pointer.empty()) return &value;
  boost::system::error_code failed;
  return value.find_pointer(pointer, failed);
}

// Device-made noise such as 0.1 * 3 is no news, so a scaled number keeps twelve digits.
double rounded(double value) {
  if (!std::isfinite(value)) return value;
  char text[40];
  const auto end = std::to_chars(std::begin(text), std::end(text), value, std::chars_format::general, 12).ptr;
  double out = value;
  std::from_chars(text, end, out);
  return out;
}

json::value to_number(const json::value& value) {
  if (!value.is_string()) return value;
  const auto& text = value.get_string();
  const auto number = leading_number(std::string_view(text.data(), text.size()));
  if (!number) return value;
  if (*number == std::floor(*number) && std::abs(*number) < 9e15) return static_cast<std::int64_t>(*number);
  return *number;
}

json::value scaled(const json::value& value, const Pick& pick) {
  auto out = pick.number ? to_number(value) : value;
  if (!out.is_number() || (pick.factor == 1 && pick.offset == 0)) return out;
  return rounded(out.to_number<double>() * pick.factor + pick.offset);
}

// A payload that is one value: JSON where it is, else text.
Result<json::value> one_value(const std::string& body, bool number) {
  if (body.empty()) return fail(ErrorCode::invalid, "the payload is empty");
  if (auto value = read_json(body)) return number ? to_number(*value) : *value;
  if (!is_utf8(body)) return fail(ErrorCode::invalid, "the payload is not valid UTF-8");
  const json::value text(body);
  return number ? to_number(text) : text;
}

bool same(const json::value& a, const json::value& b, double dead_band) {
  if (a.is_number() && b.is_number()) return std::abs(a.to_number<double>() - b.to_number<double>()) <= dead_band;
  if (a.kind() != b.kind()) return false;
  if (a.is_object()) {
    const auto& x = a.get_object();
    const auto& y = b.get_object();
    return x.size() == y.size() && std::all_of(x.begin(), x.end(), [&](const auto& member) {
             const auto* other = y.if_contains(member.key());
             return other != nullptr && same(member.value(), *other, dead_band);
           });
  }
  if (a.is_array()) {
    const auto& x = a.get_array();
    const auto& y = b.get_array();
    return std::equal(x.begin(), x.end(), y.begin(), y.end(),
                      [dead_band](const auto& one, const auto& two) { return same(one, two, dead_band); });
  }
  return a == b;
}

std::optional<WallTime> read_time(const json::value& value, const DeviceTime& rule) {
  if (rule.format == DeviceTime::Format::iso8601) {
    if (!value.is_string()) return std::nullopt;
    return parse_iso8601({value.get_string().data(), value.get_string().size()}, rule.assume_utc);
  }
  const auto number = to_number(value);
  if (!number.is_number()) return std::nullopt;
  const double scale = rule.format == DeviceTime::Format::unix_seconds ? 1000 : 1;
  const double milliseconds = number.to_number<double>() * scale;
  // Years 1970 to 9999; a device without a clock says 0.
  if (!(milliseconds > 0) || milliseconds > 2.5e14) return std::nullopt;
  return WallTime(Milliseconds(static_cast<std::int64_t>(milliseconds)));
}

std::string fill(const std::string& text, const Captures& captures) {
  std::vector<std::string_view> names;
  for (const auto& capture : captures) names.push_back(capture.name);
  const auto parsed = Template::parse(text, names);
  return parsed ? parsed->fill(captures) : std::string();
}

}  // namespace

std::optional<WallTime> read_time(std::string_view text, const DeviceTime& rule) {
  if (!is_utf8(text)) return std::nullopt;
  return read_time(json::value(text), rule);
}

struct Shaper::State {
  struct Last {
    json::value value;
    SteadyTime sent;
  };
  std::shared_ptr<const PayloadMap> map;
  Captures own;
  json::object known;  // merged so far
  json::object open;   // of the group
  std::optional<Telemetry> group;
  SteadyTime group_ends = kNever;
  std::unordered_map<std::string, Last> last;  // by channel

  Verdict shape(Telemetry& telemetry, const Captures& captures, SteadyTime now);
  Verdict pick(const json::value& whole, const json::value& root, const Captures& captures, json::value& out) const;
  [[nodiscard]] std::string state_in(const json::value& value) const;
  Verdict hold(Telemetry& telemetry, const json::value& value, SteadyTime now);
  Verdict judge(const std::string& channel, const json::value& value, SteadyTime now);
};

Verdict Shaper::State::pick(const json::value& whole, const json::value& root, const Captures& captures,
                            json::value& out) const {
  if (map->fields.empty()) {
    out = root;
    return {};
  }
  json::object picked;
  bool any = false;
  for (const auto& field : map->fields) {
    switch (field.from) {
      case Pick::From::constant:
        picked[field.name] = field.source;
        break;
      case Pick::From::capture:
        if (const auto* value = find_capture(captures, field.source)) {
          picked[field.name] = scaled(json::value(*value), field);
        }
        break;
      case Pick::From::pointer:
        if (const auto* value = at(map->root.empty() ? whole : root, field.source)) {
          picked[field.name] = scaled(*value, field);
          any = true;
        }
        break;
    }
  }
  const bool wanted = std::any_of(map->fields.begin(), map->fields.end(),
                                  [](const Pick& field) { return field.from == Pick::From::pointer; });
  if (wanted && !any) return filtered("no_field");
  out = std::move(picked);
  return {};
}

std::string Shaper::State::state_in(const json::value& value) const {
  const auto* object = value.if_object();
  if (object == nullptr || map->report.empty()) return {};
  json::object out;
  for (const auto& name : map->report) {
    if (const auto* member = object->if_contains(name)) out[name] = *member;
  }
  return out.empty() ? std::string() : json_text(out);
}

Verdict Shaper::State::hold(Telemetry& telemetry, const json::value& value, SteadyTime now) {
  if (!value.is_object()) return refused("only an object, or a value with map.name, can be grouped");
  if (!group) {
    group_ends = now + map->group;
    open.clear();
    group.emplace(telemetry);
  }
  apply_patch(open, value.get_object());
  if (telemetry.device_time) group->device_time = telemetry.device_time;
  // A group that became too large ends now.
  if (open.size() > PayloadMap::kMaxMembers) group_ends = now;
  return {Kind::held, {}, {}};
}

Verdict Shaper::State::judge(const std::string& channel, const json::value& value, SteadyTime now) {
  if (!map->change_only && map->every.count() == 0) return {};
  const auto found = last.find(channel);
  if (found != last.end()) {
    if (map->change_only && same(found->second.value, value, map->dead_band)) return filtered("unchanged");
    if (now - found->second.sent < map->every) return filtered("too_often");
  } else if (last.size() >= PayloadMap::kMaxChannels) {
    // Whoever invents topics gets them sent, not remembered.
    last.clear();
  }
  last[channel] = {map->change_only ? value : json::value(), now};
  return {};
}

Verdict Shaper::State::shape(Telemetry& telemetry, const Captures& captures, SteadyTime now) {
  const auto channel = std::move(telemetry.channel);
  if (!map->reads_json()) return judge(channel, {}, now);

  json::value value;
  if (!map->name.empty()) {
    auto one = one_value(telemetry.body, map->number);
    if (!one) return refused(one.error().message);
    auto name = fill(map->name, captures);
    std::replace(name.begin(), name.end(), '/', '.');
    if (name.empty()) return refused("map.name is empty for this topic");
    json::object object;
    object[name] = std::move(*one);
    value = std::move(object);
  } else {
    auto whole = map->decode ? decode(*map->decode, telemetry.body) : read_json(telemetry.body);
    if (!whole) return refused(whole.error().message);
    if (map->only) {
      const auto* said = at(*whole, map->only->pointer);
      const auto text = said == nullptr || !said->is_string() ? std::string() : std::string(said->get_string());
      const auto& values = map->only->values;
      if (std::find(values.begin(), values.end(), text) == values.end()) return {};
    }
    if (map->time) {
      if (const auto* when = at(*whole, map->time->pointer)) telemetry.device_time = read_time(*when, *map->time);
    }
    const auto* root = at(*whole, map->root);
    if (root == nullptr) return filtered("no_root");
    if (auto verdict = pick(*whole, *root, captures, value); verdict.kind != Kind::forward) return verdict;
  }
  if (map->merge) {
    if (!value.is_object()) return refused("only an object can be merged");
    apply_patch(known, value.get_object());
    value = known;
    if (known.size() > PayloadMap::kMaxMembers || json_text(value).size() > PayloadMap::kMaxObject) {
      known.clear();
      return refused("the merged object grew too large, and starts anew");
    }
  }
  auto state = state_in(value);
  if (telemetry.content_type.empty() || !map->name.empty() || map->decode) telemetry.content_type = "application/json";
  if (telemetry.content_encoding.empty()) telemetry.content_encoding = "utf-8";
  const bool groups = map->group.count() > 0;
  auto verdict = groups ? hold(telemetry, value, now) : judge(map->merge ? std::string() : channel, value, now);
  if (verdict.kind == Kind::forward) telemetry.body = json_text(value);
  verdict.state = std::move(state);
  return verdict;
}

Shaper::Shaper(std::shared_ptr<const PayloadMap> map, Captures captures) : state_(std::make_unique<State>()) {
  state_->map = std::move(map);
  state_->own = std::move(captures);
}
Shaper::~Shaper() = default;
Shaper::Shaper(Shaper&&) noexcept = default;
Shaper& Shaper::operator=(Shaper&&) noexcept = default;

Verdict Shaper::take(Telemetry& telemetry, SteadyTime now) {
  auto captures = std::exchange(telemetry.captures, {});
  // Not every protocol promises text, and JSON holds nothing else.
  std::erase_if(captures, [](const Property& capture) { return !is_utf8(capture.value); });
  captures.insert(captures.end(), state_->own.begin(), state_->own.end());
  for (const auto& [name, text] : state_->map->properties) {
    auto value = fill(text, captures);
    if (!value.empty()) telemetry.properties.push_back({name, std::move(value)});
  }
  return state_->shape(telemetry, captures, now);
}

void Shaper::forget(const std::string& channel) {
  state_->last.erase(state_->map->merge ? std::string() : channel);
}

SteadyTime Shaper::deadline() const {
  return state_->group ? state_->group_ends : kNever;
}

std::optional<Telemetry> Shaper::due(SteadyTime now) {
  if (!state_->group || now < state_->group_ends) return std::nullopt;
  auto out = std::exchange(state_->group, std::nullopt);
  const json::value value = std::exchange(state_->open, {});
  state_->group_ends = kNever;
  if (state_->judge({}, value, now).kind != Kind::forward) return std::nullopt;
  out->body = json_text(value);
  return out;
}

std::optional<double> leading_number(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  if (!text.empty() && text.front() == '+') text.remove_prefix(1);
  double value = 0;
  const auto done = std::from_chars(text.data(), text.data() + text.size(), value);
  if (done.ec != std::errc{} || !std::isfinite(value)) return std::nullopt;
  return value;
}

std::optional<WallTime> parse_iso8601(std::string_view text, bool assume_utc) {
  const auto digits = [&text](std::size_t from, std::size_t count) -> int {
    if (from + count > text.size()) return -1;
    int value = 0;
    for (std::size_t i = from; i < from + count; ++i) {
      if (text[i] < '0' || text[i] > '9') return -1;
      value = value * 10 + (text[i] - '0');
    }
    return value;
  };
  if (text.size() < 19 || text[4] != '-' || text[7] != '-' || (text[10] != 'T' && text[10] != ' ') || text[13] != ':' ||
      text[16] != ':') {
    return std::nullopt;
  }
  const int year = digits(0, 4), month = digits(5, 2), day = digits(8, 2);
  const int hour = digits(11, 2), minute = digits(14, 2), second = digits(17, 2);
  const std::chrono::year_month_day date{std::chrono::year(year), std::chrono::month(static_cast<unsigned>(month)),
                                         std::chrono::day(static_cast<unsigned>(day))};
  if (year < 1970 || month < 0 || day < 0 || !date.ok() || hour < 0 || hour > 23 || minute < 0 || minute > 59 ||
      second < 0 || second > 60) {
    return std::nullopt;
  }
  std::size_t next = 19;
  int fraction = 0;
  if (next < text.size() && text[next] == '.') {
    int weight = 100;
    for (++next; next < text.size() && text[next] >= '0' && text[next] <= '9'; ++next, weight /= 10) {
      fraction += (text[next] - '0') * weight;
    }
  }
  std::chrono::minutes zone{0};
  if (next == text.size()) {
    if (!assume_utc) return std::nullopt;
  } else if (text[next] == 'Z') {
    if (next + 1 != text.size()) return std::nullopt;
  } else if (text[next] == '+' || text[next] == '-') {
    const auto colon = next + 3 < text.size() && text[next + 3] == ':' ? 1U : 0U;
    const int hours = digits(next + 1, 2), minutes = digits(next + 3 + colon, 2);
    if (hours < 0 || hours > 14 || minutes < 0 || minutes > 59 || next + 5 + colon != text.size()) return std::nullopt;
    zone = std::chrono::minutes((hours * 60 + minutes) * (text[next] == '-' ? -1 : 1));
  } else {
    return std::nullopt;
  }
  const auto days = std::chrono::sys_days(date).time_since_epoch();
  return WallTime(
      std::chrono::duration_cast<WallTime::duration>(days + std::chrono::hours(hour) + std::chrono::minutes(minute) -
                                                     zone + std::chrono::seconds(second) + Milliseconds(fraction)));
}

}  // namespace trunkline
