// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "gateway/mapping/family.h"
#include "gateway/mapping/json_text.h"
#include "gateway/mapping/shaper.h"
#include "gateway/mapping/topic_matcher.h"

namespace trunkline::test {

// Does the matcher find what trying every pattern by itself finds? `text` is a pattern, a line end, then a topic.
inline bool matcher_agrees(std::string_view text) {
  const auto line = text.find('\n');
  const auto topic = line == std::string_view::npos ? std::string_view() : text.substr(line + 1);
  TopicMatcher all;
  std::vector<TopicPattern> patterns;
  for (const auto one :
       {text.substr(0, line), std::string_view("a/{x}/c"), std::string_view("a/{y+}/c"), std::string_view("{z}/b/#")}) {
    auto parsed = TopicPattern::parse(one);
    if (!parsed) continue;
    // What was parsed can be written and parsed again.
    const auto again = TopicPattern::parse(parsed->text());
    if (!again || again->levels() != parsed->levels()) return false;
    if (!filter_covers(parsed->filter(), parsed->filter())) return false;
    if (!all.add(*parsed, patterns.size())) patterns.push_back(std::move(*parsed));
  }
  const auto found = all.find(topic);
  bool any = false;
  for (std::size_t i = 0; i < patterns.size(); ++i) {
    TopicMatcher alone;
    alone.add(patterns[i], i);
    const bool hit = alone.find(topic).has_value();
    any = any || hit;
    if (found && found->value == i && !hit) return false;
    if (hit && !filter_covers(patterns[i].filter(), topic) && topic.find_first_of("+#") == topic.npos) return false;
  }
  // A pattern may win and then refuse an empty name, so only the other direction holds.
  return any || !found;
}

// One byte chooses a map, the rest is what a device says, twice.
inline bool shaper_survives(std::string_view input) {
  if (input.empty()) return true;
  const auto choice = static_cast<unsigned char>(input.front());
  input.remove_prefix(1);
  PayloadMap map;
  if ((choice & 1) != 0)
    map.fields = {{"a", Pick::From::pointer, "/a/b", true, 0.1, 3}, {"c", Pick::From::constant, "x"}};
  if ((choice & 2) != 0) map.root = "/r";
  map.merge = (choice & 4) != 0;
  map.change_only = (choice & 8) != 0;
  if ((choice & 16) != 0) map.name = "{what}";
  map.number = (choice & 32) != 0;
  if ((choice & 64) != 0) map.group = Milliseconds(1000);
  if ((choice & 128) != 0) map.time = DeviceTime{"/t", DeviceTime::Format::iso8601, true};
  Shaper shaper(std::make_shared<const PayloadMap>(map), {});
  for (int round = 0; round < 2; ++round) {
    Telemetry telemetry{DeviceId::parse("d").value(), std::string(input), "", "", {}, "", Source::mqtt};
    telemetry.captures = {{"what", std::string(input.substr(0, 10))}};
    const auto verdict = shaper.take(telemetry, {});
    const bool made = verdict.kind == Shaper::Verdict::Kind::forward && telemetry.body != input;
    if (made && !read_json(telemetry.body)) return false;
  }
  const auto group = shaper.due(kNever);
  if (group && !read_json(group->body)) return false;
  const auto id = escape_for_id(input);
  return unescape_from_id(id) == std::string(input);
}

}  // namespace trunkline::test
