// SPDX-License-Identifier: Apache-2.0
#include "gateway/mapping/topic_matcher.h"

#include <algorithm>

namespace trunkline {
namespace {

using Level = TopicPattern::Level;
using Kind = Level::Kind;

struct Hash {
  using is_transparent = void;
  std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
};

// A pattern that ends at a node, with the names of its captures in order.
struct End {
  std::size_t value = 0;
  std::vector<std::string> names;
};

// Several levels, then these.
struct Tail {
  std::vector<Level> levels;
  bool may_be_nothing = false;  // "#" alone
  End end;
};

bool same_shape(const std::vector<Level>& a, const std::vector<Level>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const Level& x, const Level& y) {
    return x.kind == y.kind && (x.kind != Kind::literal || x.text == y.text);
  });
}

// Cuts the last level off, or the whole of it.
std::string_view take_last(std::string_view& rest, bool& more) {
  const auto slash = rest.rfind('/');
  more = slash != std::string_view::npos;
  const auto level = more ? rest.substr(slash + 1) : rest;
  rest = more ? rest.substr(0, slash) : std::string_view();
  return level;
}

}  // namespace

struct TopicMatcher::Node {
  std::unordered_map<std::string, std::unique_ptr<Node>, Hash, std::equal_to<>> literals;
  std::unique_ptr<Node> one;
  std::vector<Tail> tails;  // the longest first
  std::optional<End> end;

  using Found = std::vector<std::string_view>;

  const End* find(std::string_view rest, bool more, Found& found) const {
    if (!more) {
      if (end) return &*end;
      return find_tail(rest, more, found);
    }
    const auto slash = rest.find('/');
    const auto level = rest.substr(0, slash);
    const bool next = slash != std::string_view::npos;
    const auto after = next ? rest.substr(slash + 1) : std::string_view();
    if (const auto place = literals.find(level); place != literals.end()) {
      if (const auto* hit = place->second->find(after, next, found)) return hit;
    }
    if (one) {
      found.push_back(level);
      if (const auto* hit = one->find(after, next, found)) return hit;
      found.pop_back();
    }
    return find_tail(rest, more, found);
  }

  const End* find_tail(std::string_view rest, bool more, Found& found) const {
    for (const auto& tail : tails) {
      if (!more) {
        if (tail.may_be_nothing) return &tail.end;
        continue;
      }
      if (tail.may_be_nothing) {
        found.push_back(rest);
        return &tail.end;
      }
      auto middle = rest;
      bool left = true, good = true;
      Found ending;
      for (auto level = tail.levels.rbegin(); good && level != tail.levels.rend(); ++level) {
        if (!left) {
          good = false;
          break;
        }
        const auto text = take_last(middle, left);
        if (level->kind == Kind::literal) {
          good = level->text == text;
        } else {
          ending.push_back(text);
        }
      }
      if (!good || !left || middle.empty()) continue;
      found.push_back(middle);
      found.insert(found.end(), ending.rbegin(), ending.rend());
      return &tail.end;
    }
    return nullptr;
  }
};

TopicMatcher::TopicMatcher() : root_(std::make_unique<Node>()) {}
TopicMatcher::~TopicMatcher() = default;
TopicMatcher::TopicMatcher(TopicMatcher&&) noexcept = default;
TopicMatcher& TopicMatcher::operator=(TopicMatcher&&) noexcept = default;

std::optional<std::size_t> TopicMatcher::add(const TopicPattern& pattern, std::size_t value) {
  const auto& levels = pattern.levels();
  End end{value, {}};
  for (const auto& level : levels) {
    if (level.kind != Kind::literal) end.names.push_back(level.text);
  }
  auto* node = root_.get();
  for (std::size_t i = 0; i < levels.size(); ++i) {
    const auto& level = levels[i];
    if (level.kind == Kind::literal || level.kind == Kind::one) {
      auto& next = level.kind == Kind::one ? node->one : node->literals[level.text];
      if (!next) next = std::make_unique<Node>();
      node = next.get();
      continue;
    }
    Tail tail{
        {levels.begin() + static_cast<std::ptrdiff_t>(i) + 1, levels.end()}, level.kind == Kind::rest, std::move(end)};
    for (const auto& other : node->tails) {
      if (other.may_be_nothing == tail.may_be_nothing && same_shape(other.levels, tail.levels)) return other.end.value;
    }
    node->tails.push_back(std::move(tail));
    std::stable_sort(node->tails.begin(), node->tails.end(), [](const Tail& a, const Tail& b) {
      if (a.may_be_nothing != b.may_be_nothing) return b.may_be_nothing;
      if (a.levels.size() != b.levels.size()) return a.levels.size() > b.levels.size();
      const auto literals = [](const Tail& one) {
        return std::count_if(one.levels.begin(), one.levels.end(),
                             [](const Level& part) { return part.kind == Kind::literal; });
      };
      return literals(a) > literals(b);
    });
    return std::nullopt;
  }
  if (node->end) return node->end->value;
  node->end = std::move(end);
  return std::nullopt;
}

std::optional<TopicMatcher::Match> TopicMatcher::find(std::string_view topic) const {
  Node::Found found;
  const auto* end = root_->find(topic, true, found);
  if (end == nullptr) return std::nullopt;
  Match out{end->value, {}};
  for (std::size_t i = 0; i < end->names.size(); ++i) {
    if (end->names[i].empty()) continue;
    // A name stands for something, so an empty level is not one.
    if (found[i].empty()) return std::nullopt;
    out.captures.push_back({end->names[i], std::string(found[i])});
  }
  return out;
}

}  // namespace trunkline
