// SPDX-License-Identifier: Apache-2.0
#include "gateway/mapping/pattern.h"

#include <boost/regex.hpp>

namespace trunkline {

namespace {

constexpr std::size_t kMostText = 512;

bool is_word(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

// The names of "(?<name>…)", in order; boost::regex keeps only their hashes.
std::vector<std::string> names_of(std::string_view text) {
  std::vector<std::string> out;
  for (std::size_t i = 0; i + 3 < text.size(); ++i) {
    if (text[i] == '\\') {
      ++i;
    } else if (text.substr(i, 3) == "(?<" && is_word(text[i + 3])) {
      const auto close = text.find('>', i);
      if (close == std::string_view::npos) break;
      out.emplace_back(text.substr(i + 3, close - i - 3));
    }
  }
  return out;
}

}  // namespace

struct Pattern::Compiled {
  boost::regex regex;
};

Pattern::Pattern(std::string text, std::shared_ptr<const Compiled> compiled, std::vector<std::string> names)
    : text_(std::move(text)), compiled_(std::move(compiled)), names_(std::move(names)) {}

Result<Pattern> Pattern::parse(std::string_view text) {
  if (text.size() > kMostText) return fail(ErrorCode::invalid, "a pattern has at most 512 bytes");
  try {
    auto compiled = std::make_shared<Compiled>();
    compiled->regex.assign(text.begin(), text.end(), boost::regex::perl | boost::regex::no_mod_s);
    return Pattern(std::string(text), std::move(compiled), names_of(text));
  } catch (const std::exception& error) {
    return fail(ErrorCode::invalid, std::string("no regular expression: ") + error.what());
  }
}

std::optional<std::string> Pattern::find(std::string_view text) const {
  text = text.substr(0, kMost);
  try {
    boost::match_results<std::string_view::const_iterator> found;
    if (!boost::regex_search(text.begin(), text.end(), found, compiled_->regex)) return std::nullopt;
    return found.size() > 1 ? found[1].str() : found[0].str();
  } catch (const std::exception&) {
    return std::nullopt;  // too much work: boost gives up
  }
}

std::optional<std::vector<Property>> Pattern::find_all(std::string_view text) const {
  text = text.substr(0, kMost);
  try {
    boost::match_results<std::string_view::const_iterator> found;
    if (!boost::regex_search(text.begin(), text.end(), found, compiled_->regex)) return std::nullopt;
    std::vector<Property> out;
    for (const auto& name : names_) {
      if (const auto& group = found[name]; group.matched) out.push_back({name, group.str()});
    }
    return out;
  } catch (const std::exception&) {
    return std::nullopt;
  }
}

}  // namespace trunkline
