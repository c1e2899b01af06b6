// SPDX-License-Identifier: Apache-2.0
#include "adapters/tcp/samples.h"

#include <algorithm>
#include <optional>

#include "adapters/tcp/frame_reader.h"
#include "gateway/base/encoding.h"
#include "gateway/mapping/json_text.h"
#include "gateway/mapping/shaper.h"

namespace trunkline::tcp {

namespace {

constexpr std::size_t kShown = 200;

std::string shown(const std::string& text) {
  const auto whole = is_utf8(text) ? "\"" + text + "\"" : "hex:" + hex_encode(text);
  return whole.size() > kShown ? whole.substr(0, kShown) + "…" : whole;
}

bool equal(const std::string& wanted, const std::string& got) {
  constexpr std::string_view kHex = "hex:";
  if (wanted == got || (wanted.starts_with(kHex) && wanted.substr(kHex.size()) == hex_encode(got))) return true;
  const auto a = read_json(wanted), b = read_json(got);
  return a && b && *a == *b;
}

class Stream {
 public:
  explicit Stream(const DeviceMap& map) : map_(map), reader_(map.tcp->framing) {
    if (map.shape) shaper_.emplace(map.shape, map.captures);
  }

  // What goes up, or why something does not.
  Result<std::vector<std::string>> run(std::string_view bytes) {
    feed(reader_, bytes, [this] { take(); });
    if (map_.tcp->framing.timeout.count() > 0) {
      reader_.on_silence();
      take();
    }
    if (shaper_) {
      if (const auto group = shaper_->due(shaper_->deadline())) out_.push_back(group->body);
    }
    if (!fault_.empty()) return fail(ErrorCode::invalid, fault_);
    return out_;
  }

 private:
  void take() {
    while (const auto frame = reader_.next()) {
      const auto& heartbeats = map_.tcp->line.heartbeats;
      const auto swallowed = std::any_of(heartbeats.begin(), heartbeats.end(),
                                         [&](const auto& one) { return one.match.find(frame->body).has_value(); });
      if (!frame->body.empty() && !swallowed) send_up(std::string(frame->body));
    }
  }

  void send_up(std::string body) {
    if (!shaper_) return out_.push_back(std::move(body));
    Telemetry telemetry{map_.id, std::move(body), "", "", {}, "", Source::tcp};
    const auto verdict = shaper_->take(telemetry, {});
    if (verdict.kind == Shaper::Verdict::Kind::forward) out_.push_back(std::move(telemetry.body));
    if (verdict.kind == Shaper::Verdict::Kind::refused) fault_ = "the sample is refused: " + verdict.reason;
  }

  const DeviceMap& map_;
  FrameReader reader_;
  std::optional<Shaper> shaper_;
  std::vector<std::string> out_;
  std::string fault_;
};

std::string list(const std::vector<std::string>& messages) {
  if (messages.empty()) return "nothing";
  std::string out;
  for (const auto& message : messages) out += (out.empty() ? "" : ", ") + shown(message);
  return out;
}

}  // namespace

std::vector<SampleFault> run_samples(const DeviceMap& map) {
  std::vector<SampleFault> out;
  for (const auto& sample : map.tcp->samples) {
    const auto got = Stream(map).run(sample.bytes);
    if (!got) {
      out.push_back({sample.line, sample.column, got.error().message});
    } else if (!std::equal(sample.out.begin(), sample.out.end(), got->begin(), got->end(), equal)) {
      out.push_back({sample.line, sample.column, "the sample gives " + list(*got) + " instead of " + list(sample.out)});
    }
  }
  return out;
}

}  // namespace trunkline::tcp
