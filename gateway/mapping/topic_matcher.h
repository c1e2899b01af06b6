// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "gateway/mapping/topic_pattern.h"

namespace trunkline {

// Finds the most specific of many patterns for an address: level by level from the left, a literal beats one level, one
// level beats several, and of those the longer end wins. Pure; a lookup costs the address's levels, not the number of
// patterns, and takes no memory that a peer decides on. An immutable value once filled.
class TopicMatcher {
 public:
  TopicMatcher();
  ~TopicMatcher();
  TopicMatcher(TopicMatcher&&) noexcept;
  TopicMatcher& operator=(TopicMatcher&&) noexcept;

  // The value that a pattern of the same shape has already, else nothing and it is added.
  std::optional<std::size_t> add(const TopicPattern& pattern, std::size_t value);

  struct Match {
    std::size_t value = 0;
    Captures captures;  // the named ones
  };
  [[nodiscard]] std::optional<Match> find(std::string_view topic) const;

 private:
  struct Node;
  std::unique_ptr<Node> root_;
};

}  // namespace trunkline
