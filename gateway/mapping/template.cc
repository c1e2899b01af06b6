// SPDX-License-Identifier: Apache-2.0
#include "gateway/mapping/template.h"

#include <algorithm>

namespace trunkline {

Result<Template> Template::parse(std::string_view text, std::span<const std::string_view> allowed) {
  Template out;
  std::string literal;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    const bool doubled = i + 1 < text.size() && text[i + 1] == c;
    if ((c == '{' || c == '}') && doubled) {
      literal += c;
      ++i;
    } else if (c == '}') {
      return fail(ErrorCode::invalid, "a '}' without its '{' (write \"}}\" for the character itself)");
    } else if (c == '{') {
      const auto close = text.find('}', i);
      if (close == std::string_view::npos) {
        return fail(ErrorCode::invalid, "a '{' without its '}' (write \"{{\" for the character itself)");
      }
      const auto name = text.substr(i + 1, close - i - 1);
      if (std::find(allowed.begin(), allowed.end(), name) == allowed.end()) {
        std::string known;
        for (auto word : allowed) known += (known.empty() ? "{" : ", {") + std::string(word) + "}";
        return fail(ErrorCode::invalid, "unknown field {" + std::string(name) + "}; known here: " + known);
      }
      if (!literal.empty()) out.parts_.push_back({false, std::exchange(literal, {})});
      out.parts_.push_back({true, std::string(name)});
      i = close;
    } else {
      literal += c;
    }
  }
  if (!literal.empty()) out.parts_.push_back({false, std::move(literal)});
  return out;
}

std::string Template::fill(Values values) const {
  return fill_by([&values](std::string& out, std::string_view field) {
    for (const auto& [name, value] : values) {
      if (name == field) out += value;
    }
  });
}

std::string Template::fill(const std::vector<Property>& values) const {
  return fill_by([&values](std::string& out, std::string_view field) {
    for (const auto& value : values) {
      if (value.name == field) out += value.value;
    }
  });
}

std::string Template::fill_by(const std::function<void(std::string& out, std::string_view name)>& append) const {
  std::string out;
  for (const auto& part : parts_) {
    if (part.field) {
      append(out, part.text);
    } else {
      out += part.text;
    }
  }
  return out;
}

std::optional<std::vector<Property>> Template::match_all(std::string_view text) const {
  std::vector<Property> found;
  for (std::size_t i = 0; i < parts_.size(); ++i) {
    if (!parts_[i].field) {
      if (text.substr(0, parts_[i].text.size()) != parts_[i].text) return std::nullopt;
      text.remove_prefix(parts_[i].text.size());
      continue;
    }
    if (text.empty()) return std::nullopt;
    std::size_t length = text.size();
    if (i + 1 < parts_.size()) {
      // Two fields side by side: the first takes one character. A last literal must stand at the end.
      const auto& next = parts_[i + 1];
      if (next.field) {
        length = 1;
      } else if (i + 2 == parts_.size()) {
        if (text.size() <= next.text.size()) return std::nullopt;
        length = text.size() - next.text.size();
      } else {
        length = text.find(next.text, 1);
        if (length == std::string_view::npos) return std::nullopt;
      }
    }
    found.push_back({parts_[i].text, std::string(text.substr(0, length))});
    text.remove_prefix(length);
  }
  if (!text.empty()) return std::nullopt;
  return found;
}

std::optional<std::string> Template::match(std::string_view text, std::string_view wanted) const {
  const auto all = match_all(text);
  if (!all) return std::nullopt;
  std::string found;
  for (const auto& [name, value] : *all) {
    if (name == wanted) found = value;
  }
  return found;
}

std::vector<std::string> Template::names_in(std::string_view text) {
  std::vector<std::string> out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (i + 1 < text.size() && text[i] == text[i + 1] && (text[i] == '{' || text[i] == '}')) {
      ++i;
    } else if (text[i] == '{') {
      const auto close = text.find('}', i);
      if (close == std::string_view::npos) break;
      out.emplace_back(text.substr(i + 1, close - i - 1));
      i = close;
    }
  }
  return out;
}

bool Template::has(std::string_view name) const {
  return std::any_of(parts_.begin(), parts_.end(),
                     [name](const Part& part) { return part.field && part.text == name; });
}

}  // namespace trunkline
