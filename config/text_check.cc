// SPDX-License-Identifier: Apache-2.0
#include "config/text_check.h"

#include <algorithm>

namespace trunkline::config {
namespace {

// Each dot of a key makes a table inside a table, and toml++ limits only brackets. No honest line comes near this.
constexpr int kMaxDotsInLine = 200;
// A multi-line string may end with two quotes of its own before the three that close it.
constexpr std::size_t kMaxClosingQuotes = 5;

enum class State { plain, comment, text, long_text };

class TextCheck {
 public:
  explicit TextCheck(std::string_view text) : text_(text) {
    constexpr std::string_view kMark = "\xEF\xBB\xBF";
    if (text_.substr(0, kMark.size()) == kMark) text_.remove_prefix(kMark.size());
  }

  std::optional<TextFault> run() {
    while (at_ < text_.size()) {
      const auto byte = static_cast<unsigned char>(text_[at_]);
      if ((byte < 0x20 && byte != '\t' && byte != '\n' && byte != '\r') || byte == 0x7F) {
        return TextFault{mark_, "a control character; remove it"};
      }
      if (byte == '.' && ++dots_ > kMaxDotsInLine) {
        return TextFault{{mark_.line, 1}, "more than 200 dots in one line; shorten the key"};
      }
      if (byte >= 0x80 && state_ == State::plain) {
        return TextFault{mark_, "a character outside ASCII; put it into quotes"};
      }
      if (byte >= 0x80 && continued_) {
        return TextFault{mark_, "a character outside ASCII after a line that ends with \\; write it without the \\"};
      }
      step(text_[at_]);
    }
    return std::nullopt;
  }

 private:
  void step(char c) {
    if (c != ' ' && c != '\t' && c != '\r' && c != '\n') continued_ = false;
    switch (state_) {
      case State::plain:
        if (c == '#') state_ = State::comment;
        if (c == '"' || c == '\'') return open(c);
        break;
      case State::comment:
        break;
      case State::text:
        if (c == '\\' && quote_ == '"' && peek(1) != '\n') return advance(2);
        if (c == quote_) state_ = State::plain;
        break;
      case State::long_text:
        if (c == '\\' && quote_ == '"') {
          const char next = peek(1);
          continued_ = next == ' ' || next == '\t' || next == '\r' || next == '\n';
          return advance(continued_ ? 1 : 2);
        }
        if (c == quote_) return close();
        break;
    }
    if (c == '\n' && state_ != State::long_text) state_ = State::plain;
    advance(1);
  }

  void open(char quote) {
    quote_ = quote;
    const bool three = peek(1) == quote && peek(2) == quote;
    state_ = three ? State::long_text : State::text;
    advance(three ? 3 : 1);
  }
  void close() {
    std::size_t run = 1;
    while (run < kMaxClosingQuotes && peek(run) == quote_) ++run;
    if (run >= 3) state_ = State::plain;
    advance(run);
  }

  [[nodiscard]] char peek(std::size_t ahead) const { return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0'; }

  void advance(std::size_t count) {
    for (count = std::min(count, text_.size() - at_); count > 0; --count, ++at_) {
      if (text_[at_] == '\n') {
        ++mark_.line;
        mark_.column = 1;
        dots_ = 0;
      } else if ((static_cast<unsigned char>(text_[at_]) & 0xC0) != 0x80) {
        ++mark_.column;
      }
    }
  }

  std::string_view text_;
  std::size_t at_ = 0;
  Mark mark_{1, 1};
  int dots_ = 0;
  State state_ = State::plain;
  char quote_ = '"';
  bool continued_ = false;  // behind a "\" at the end of a line
};

}  // namespace

std::optional<TextFault> find_text_fault(std::string_view text) {
  return TextCheck(text).run();
}

}  // namespace trunkline::config
