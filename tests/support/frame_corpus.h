// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include "adapters/tcp/frame_reader.h"
#include "config/framing.h"
#include "gateway/mapping/byte_text.h"
#include "tests/support/catch.h"

namespace trunkline::test {

// One file of the frame corpus: how a device frames, its frames as they come over the wire and what they mean, noise
// that may stand between them, and damaged frames, of which nothing comes out.
struct FrameFile {
  std::string name;
  Framing framing;
  std::vector<std::string> frames;
  std::vector<std::string> messages;
  std::vector<std::string> garbage;
  std::vector<std::string> damaged;
  bool silence = false;    // after noise or damage frames are found again only after a silence
  bool delivered = false;  // silence ends each frame
};

inline std::vector<std::string> byte_texts(const config::Node& node) {
  std::vector<std::string> out;
  for (const auto& item : node.array()->items) {
    const auto bytes = parse_byte_text(*item.text());
    REQUIRE(bytes);
    out.push_back(*bytes);
  }
  return out;
}

inline FrameFile read_frame_file(const std::filesystem::path& path) {
  std::ifstream in(path);
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  const auto document = config::parse_document(path.filename().string(), text);
  FrameFile out;
  out.name = path.stem().string();
  INFO(out.name << (document.problems.empty() ? std::string() : document.problems.front().text()));
  REQUIRE(document.usable);
  config::Findings findings(path.filename().string());
  for (const auto& entry : document.root.table()->entries) {
    if (entry.name == "framing") config::read_framing(entry, findings, out.framing);
    if (entry.name == "frames") out.frames = byte_texts(entry.value);
    if (entry.name == "messages") out.messages = byte_texts(entry.value);
    if (entry.name == "garbage") out.garbage = byte_texts(entry.value);
    if (entry.name == "damaged") out.damaged = byte_texts(entry.value);
    if (entry.name == "silence") out.silence = true;
    if (entry.name == "unfinished") out.delivered = true;
  }
  INFO((findings.problems.empty() ? std::string() : findings.problems.front().text()));
  REQUIRE(findings.problems.empty());
  REQUIRE_FALSE(out.frames.empty());
  REQUIRE(out.frames.size() == out.messages.size());
  return out;
}

inline std::vector<FrameFile> read_frame_corpus(const std::string& folder) {
  std::vector<FrameFile> out;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) out.push_back(read_frame_file(entry.path()));
  return out;
}

// What a device sends, and whether it is silent then.
struct Burst {
  std::string bytes;
  bool silence = false;
};

class FrameFeeder {
 public:
  explicit FrameFeeder(const Framing& framing) : reader_(framing) {}

  void feed(std::string_view bytes) {
    tcp::feed(reader_, bytes, [this] { take(); });
  }
  void silence() {
    reader_.on_silence();
    take();
  }
  std::vector<std::string> messages;
  std::size_t flagged = 0;
  [[nodiscard]] const tcp::FrameReader& reader() const { return reader_; }

 private:
  void take() {
    while (const auto frame = reader_.next()) {
      if (!frame->body.empty()) messages.emplace_back(frame->body);
      if (frame->flagged) ++flagged;
    }
  }
  tcp::FrameReader reader_;
};

// The messages of `bursts`, each piece `size` bytes long, and one more cut at `cut`.
inline std::vector<std::string> messages_of(const Framing& framing, const std::vector<Burst>& bursts, std::size_t size,
                                            std::size_t cut = 0) {
  FrameFeeder feeder(framing);
  std::size_t position = 0;
  for (const auto& burst : bursts) {
    for (std::string_view rest = burst.bytes; !rest.empty();) {
      auto count = std::min(size, rest.size());
      if (cut > position && cut - position < count) count = cut - position;
      feeder.feed(rest.substr(0, count));
      rest.remove_prefix(count);
      position += count;
    }
    if (burst.silence) feeder.silence();
  }
  return feeder.messages;
}

}  // namespace trunkline::test
