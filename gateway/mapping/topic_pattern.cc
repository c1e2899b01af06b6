// SPDX-License-Identifier: Apache-2.0
#include "gateway/mapping/topic_pattern.h"

#include <algorithm>

#include "gateway/base/encoding.h"
#include "gateway/mapping/template.h"

namespace trunkline {
namespace {

using Level = TopicPattern::Level;
using Kind = Level::Kind;

constexpr std::size_t kMaxLength = 65'535;  // MQTT 5.0 section 1.5.4

std::string_view take_level(std::string_view& rest, bool& last) {
  const auto slash = rest.find('/');
  last = slash == std::string_view::npos;
  const auto level = rest.substr(0, slash);
  rest.remove_prefix(last ? rest.size() : slash + 1);
  return level;
}

// The name of a level that is one field as a whole, with its "+".
std::string_view field_of(std::string_view level) {
  if (level.size() < 3 || level.front() != '{' || level.back() != '}') return {};
  const auto name = level.substr(1, level.size() - 2);
  return name.find_first_of("{}") == std::string_view::npos ? name : std::string_view();
}

Result<void> add_literals(std::string_view text, std::vector<Level>& into) {
  if (text.find_first_of("+#") != std::string_view::npos) {
    return fail(ErrorCode::invalid, "has a wildcard within a level; + and # stand alone between slashes");
  }
  for (bool last = false; !last;) into.push_back({Kind::literal, std::string(take_level(text, last))});
  return {};
}

Result<void> add_level(std::string_view level, bool last, const Captures& known, std::span<const std::string> later,
                       std::vector<Level>& into) {
  if (level == "+") {
    into.push_back({Kind::one, {}});
    return {};
  }
  if (level == "#") {
    if (!last) return fail(ErrorCode::invalid, "has a # that is not at its end");
    into.push_back({Kind::rest, {}});
    return {};
  }
  auto name = field_of(level);
  const bool several = !name.empty() && name.back() == '+';
  if (several) name.remove_suffix(1);
  if (!name.empty() && find_capture(known, name) == nullptr) {
    const auto good = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_'; };
    if (!std::all_of(name.begin(), name.end(), good)) {
      return fail(ErrorCode::invalid,
                  "has a field {" + std::string(name) + "}; a name is made of small letters, digits and _");
    }
    into.push_back({several ? Kind::several : Kind::one, std::string(name)});
    return {};
  }
  const auto missing = [&](const std::string& field) {
    return find_capture(known, field) == nullptr && std::find(later.begin(), later.end(), field) != later.end();
  };
  const auto fields = Template::names_in(level);
  if (std::any_of(fields.begin(), fields.end(), missing)) {
    into.push_back({Kind::partial, std::string(level)});
    return {};
  }
  std::vector<std::string_view> names;
  for (const auto& value : known) names.push_back(value.name);
  const auto plain = several ? "{" + std::string(name) + "}" : std::string(level);
  auto parsed = Template::parse(plain, names);
  if (!parsed) return fail(parsed.error());
  return add_literals(parsed->fill(known), into);
}

bool overlap(const std::vector<Level>& a, std::size_t i, const std::vector<Level>& b, std::size_t j) {
  while (i < a.size() && j < b.size()) {
    if (a[i].kind == Kind::rest || b[j].kind == Kind::rest) return true;
    const auto greedy = [](const std::vector<Level>& x, std::size_t from, const std::vector<Level>& y, std::size_t at) {
      // x[from] takes one or more levels, whatever y has there.
      for (auto next = at + 1; next <= y.size(); ++next) {
        if (overlap(x, from + 1, y, next)) return true;
      }
      return false;
    };
    if (a[i].kind == Kind::several && b[j].kind == Kind::several) {
      return greedy(a, i, b, j) || greedy(b, j, a, i);
    }
    if (a[i].kind == Kind::several) return greedy(a, i, b, j);
    if (b[j].kind == Kind::several) return greedy(b, j, a, i);
    if (a[i].kind == Kind::literal && b[j].kind == Kind::literal && a[i].text != b[j].text) return false;
    ++i, ++j;
  }
  const auto may_end = [](const std::vector<Level>& levels, std::size_t at) {
    return at == levels.size() || (at + 1 == levels.size() && levels[at].kind == Kind::rest);
  };
  return may_end(a, i) && may_end(b, j);
}

}  // namespace

const std::string* find_capture(const Captures& captures, std::string_view name) {
  for (const auto& capture : captures) {
    if (capture.name == name) return &capture.value;
  }
  return nullptr;
}

Result<TopicPattern> TopicPattern::parse(std::string_view text, const Captures& known,
                                         std::span<const std::string> later) {
  TopicPattern out;
  if (text.empty()) return fail(ErrorCode::invalid, "is empty");
  if (text.size() > kMaxLength) return fail(ErrorCode::invalid, "is longer than 65535 bytes; shorten it");
  if (!is_utf8(text)) return fail(ErrorCode::invalid, "is not valid UTF-8; write it in UTF-8");
  if (text.find('\0') != std::string_view::npos) return fail(ErrorCode::invalid, "has U+0000 in it; remove it");
  if (std::any_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20; })) {
    return fail(ErrorCode::invalid, "has a control character in it; remove it");
  }
  for (bool last = false; !last;) {
    const auto level = take_level(text, last);
    if (auto added = add_level(level, last, known, later, out.levels_); !added) return fail(added.error());
  }
  if (out.levels_.front().kind == Kind::literal && out.levels_.front().text.starts_with('$')) {
    return fail(ErrorCode::invalid, "starts with $, which belongs to the broker; use another topic");
  }
  if (!out.is_exact() && out.levels_.size() > kMaxLevels) {
    return fail(ErrorCode::invalid, "has more than 64 levels; shorten it");
  }
  const auto many = std::count_if(out.levels_.begin(), out.levels_.end(), [](const Level& level) {
    return level.kind == Kind::several || level.kind == Kind::rest;
  });
  if (many > 1) return fail(ErrorCode::invalid, "has two fields for several levels; only one can be told apart");
  return out;
}

std::string TopicPattern::filter() const {
  std::string out;
  for (const auto& level : levels_) {
    if (&level != &levels_.front()) out += '/';
    if (level.kind == Kind::several || level.kind == Kind::rest) return out + '#';
    out += level.kind == Kind::literal ? level.text : "+";
  }
  return out;
}

Result<std::string> TopicPattern::fill(const Captures& values) const {
  std::string out;
  for (const auto& level : levels_) {
    if (&level != &levels_.front()) out += '/';
    if (level.kind == Kind::literal) {
      out += level.text;
      continue;
    }
    const auto* value = level.kind == Kind::partial ? nullptr : find_capture(values, level.text);
    if (level.text.empty() || value == nullptr || value->empty()) {
      return fail(ErrorCode::not_found, "there is no value for {" + level.text + "}");
    }
    const auto forbidden = level.kind == Kind::one ? std::string_view("+#/\0", 4) : std::string_view("+#\0", 3);
    if (value->find_first_of(forbidden) != std::string::npos || !is_utf8(*value)) {
      return fail(ErrorCode::invalid, "the value for {" + level.text + "} cannot stand in a topic");
    }
    out += *value;
  }
  if (out.size() > kMaxLength) return fail(ErrorCode::invalid, "the topic is too long");
  return out;
}

bool TopicPattern::is_exact() const {
  return std::all_of(levels_.begin(), levels_.end(), [](const Level& level) { return level.kind == Kind::literal; });
}

std::string TopicPattern::text() const {
  std::string out;
  for (const auto& level : levels_) {
    if (&level != &levels_.front()) out += '/';
    switch (level.kind) {
      case Kind::literal:
        for (const char c : level.text) {
          out += c;
          if (c == '{' || c == '}') out += c;
        }
        break;
      case Kind::partial:
        out += level.text;
        break;
      case Kind::one:
        out += level.text.empty() ? "+" : "{" + level.text + "}";
        break;
      case Kind::several:
        out += "{" + level.text + "+}";
        break;
      case Kind::rest:
        out += "#";
        break;
    }
  }
  return out;
}

bool TopicPattern::overlaps(const TopicPattern& other) const {
  return overlap(levels_, 0, other.levels_, 0);
}

bool filter_covers(std::string_view outer, std::string_view inner) {
  for (bool outer_last = false, inner_last = false;;) {
    const auto a = take_level(outer, outer_last);
    if (a == "#") return true;
    const auto b = take_level(inner, inner_last);
    if (b == "#" || (a != "+" && a != b)) return false;
    if (outer_last && inner_last) return true;
    if (inner_last) return outer == "#";  // "a/#" covers "a"
    if (outer_last) return false;
  }
}

}  // namespace trunkline
