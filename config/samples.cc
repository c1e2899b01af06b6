// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "config/device_file.h"
#include "config/suggest.h"
#include "gateway/base/encoding.h"
#include "gateway/mapping/json_text.h"
#include "gateway/mapping/shaper.h"
#include "gateway/mapping/topic_matcher.h"

namespace trunkline::config {
namespace {

constexpr std::size_t kShown = 300;

std::string shown(const std::string& text) {
  return "\"" + (text.size() > kShown ? text.substr(0, kShown) + "…" : text) + "\"";
}

bool equal(const std::string& wanted, const std::string& got) {
  if (wanted == got) return true;
  const auto a = read_json(wanted), b = read_json(got);
  return a && b && *a == *b;
}

// What the map sends up for one message, nothing if it sends none; an error if it refuses it.
Result<std::optional<std::string>> send_up(const DeviceMap& map, Captures captures, const Sample& sample) {
  if (!map.shape) return std::optional(sample.in);
  Telemetry telemetry{map.id, sample.in, "", "", {}, "", Source::mqtt};
  telemetry.captures = std::move(captures);
  telemetry.channel = sample.topic;
  Shaper shaper(map.shape, map.captures);
  const auto verdict = shaper.take(telemetry, {});
  switch (verdict.kind) {
    case Shaper::Verdict::Kind::forward:
      return std::optional(telemetry.body);
    case Shaper::Verdict::Kind::filtered:
      return std::optional<std::string>();
    case Shaper::Verdict::Kind::refused:
      return fail(ErrorCode::invalid, verdict.reason);
    case Shaper::Verdict::Kind::held:
      break;
  }
  const auto group = shaper.due(shaper.deadline());
  return group ? std::optional(group->body) : std::nullopt;
}

// Bytes as they come over a socket, in hexadecimal with blanks where one likes, and the messages in them.
void read_stream(TableReader& reader, const Found<std::string>& text, Sample& sample) {
  std::string digits = text.value;
  std::erase(digits, ' ');
  std::transform(digits.begin(), digits.end(), digits.begin(),
                 [](char c) { return c >= 'A' && c <= 'F' ? static_cast<char>(c - 'A' + 'a') : c; });
  if (auto bytes = hex_decode(digits)) {
    sample.bytes = std::move(*bytes);
  } else {
    reader.findings().problem(text.mark, "samples.bytes is not hexadecimal, such as \"02 31 32 03\"");
  }
  for (auto& out : reader.texts("out")) sample.messages.push_back(std::move(out.value));
}

}  // namespace

std::vector<Sample> read_samples(TableReader& device) {
  std::vector<Sample> out;
  const auto* entry = device.find("samples");
  if (entry == nullptr) return out;
  const auto* array = entry->value.array();
  if (array == nullptr) {
    device.findings().problem(entry->value.mark, "samples is an array: [{ topic = \"…\", in = '…', out = '…' }]");
    return out;
  }
  for (const auto& item : array->items) {
    if (item.table() == nullptr) {
      device.findings().problem(item.mark, "a sample is a table: { topic = \"…\", in = '…', out = '…' }");
      continue;
    }
    TableReader reader(*item.table(), item.mark, "samples", device.findings());
    Sample sample;
    sample.mark = item.mark;
    if (auto bytes = reader.text("bytes")) {
      read_stream(reader, *bytes, sample);
    } else {
      if (auto topic = reader.text("topic")) sample.topic = std::move(topic->value);
      if (auto in = reader.required_text("in")) sample.in = std::move(in->value);
      if (auto text = reader.text("out")) sample.out = std::move(text->value);
    }
    reader.finish();
    out.push_back(std::move(sample));
  }
  return out;
}

void run_samples(DeviceDraft& draft, Findings& findings) {
  if (draft.samples.empty()) return;
  for (auto& sample : draft.samples) {
    if (!sample.bytes) continue;
    if (!draft.map.tcp) {
      findings.problem(sample.mark, "samples.bytes is for TCP; write in, and the topic of an MQTT device");
      continue;
    }
    // The codecs are the adapter's: `trunkline check` runs these with them.
    draft.map.tcp->samples.push_back(
        {std::move(*sample.bytes), std::move(sample.messages), sample.mark.line, sample.mark.column});
  }
  std::erase_if(draft.samples, [](const Sample& sample) { return sample.bytes.has_value(); });
  TopicMatcher topics;
  if (draft.map.mqtt) {
    std::vector<std::string> all{draft.map.mqtt->telemetry};
    all.insert(all.end(), draft.map.mqtt->more_telemetry.begin(), draft.map.mqtt->more_telemetry.end());
    for (std::size_t i = 0; i < all.size(); ++i) {
      if (auto pattern = TopicPattern::parse(all[i], {}, draft.later)) topics.add(*pattern, i);
    }
  }
  for (const auto& sample : draft.samples) {
    Captures captures;
    if (draft.map.mqtt) {
      auto match = topics.find(sample.topic);
      if (!match) {
        if (sample.out) {
          findings.problem(sample.mark, "the sample's topic " + in_quotes(sample.topic) +
                                            " is none of mqtt.telemetry, so nothing goes up for it");
        }
        continue;
      }
      captures = std::move(match->captures);
    }
    const auto got = send_up(draft.map, std::move(captures), sample);
    if (!got) {
      findings.problem(sample.mark, "the sample is refused: " + got.error().message);
    } else if (!sample.out && *got) {
      findings.problem(sample.mark, "the sample has no out, but " + shown(**got) + " goes up");
    } else if (sample.out && !*got) {
      findings.problem(sample.mark, "nothing goes up for this sample, instead of " + shown(*sample.out));
    } else if (sample.out && !equal(*sample.out, **got)) {
      findings.problem(sample.mark, "the sample gives " + shown(**got) + " instead of " + shown(*sample.out));
    }
  }
}

}  // namespace trunkline::config
