// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "gateway/base/result.h"
#include "gateway/core/message.h"

namespace trunkline {

// What the named parts of a topic, a path or an id stand for.
using Captures = std::vector<Property>;

// The value of that name, or null.
const std::string* find_capture(const Captures& captures, std::string_view name);

// A slash-separated address with places for what varies: "tele/{topic}/SENSOR". A level may be "{name}" or "+" (exactly
// one level), "{name+}" (one or more) or, at the end, "#" (the rest, even nothing); at most one of the latter two. A
// named level is never empty. A value; parsed once by config.
class TopicPattern {
 public:
  static constexpr std::size_t kMaxLevels = 64;

  struct Level {
    enum class Kind { literal, partial, one, several, rest };
    Kind kind = Kind::literal;
    std::string text;  // the literal, the capture's name ("" for + and #), or the level as written
    friend bool operator==(const Level&, const Level&) = default;
  };

  // Fields whose name is in `known` are filled in, as part of a level too ("x-{device}"); a known value may hold
  // slashes. "{{" and "}}" are the braces. invalid: what MQTT 5.0 section 4.7 forbids, or a field within a level that
  // is not known, unless it is one of `later`: then the pattern is only good for its filter until that is known too.
  static Result<TopicPattern> parse(std::string_view text, const Captures& known = {},
                                    std::span<const std::string> later = {});

  // The filter to subscribe with; it may match more than the pattern does.
  [[nodiscard]] std::string filter() const;

  // The one address that it is once `values` are in; invalid: a missing value, one that is empty, or one that would
  // change the address's meaning (a wildcard, U+0000, a slash where one level is meant).
  [[nodiscard]] Result<std::string> fill(const Captures& values) const;

  [[nodiscard]] bool is_exact() const;
  [[nodiscard]] const std::vector<Level>& levels() const { return levels_; }
  // As written, captures included: it can be parsed again.
  [[nodiscard]] std::string text() const;

  // Is there an address that both match?
  [[nodiscard]] bool overlaps(const TopicPattern& other) const;

 private:
  std::vector<Level> levels_;
};

// Does everything that filter `inner` matches match `outer` too (MQTT 5.0 section 4.7.1)?
bool filter_covers(std::string_view outer, std::string_view inner);

}  // namespace trunkline
