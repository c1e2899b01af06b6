// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <bitset>

#include "adapters/tcp/framing/scanner.h"

namespace trunkline::tcp {

// A stream of JSON objects and arrays with anything or nothing between them. It follows strings and brackets only; what
// is in them is for whoever reads the message. A document that breaks off is left where the next one begins. Pure; see
// Scanner.
class JsonScanner final : public Scanner {
 public:
  explicit JsonScanner(const Framing& framing) : most_(framing.max_length) {}
  Look look(std::string_view bytes) override;
  void restart() override;
  Look on_silence(std::string_view bytes) override;
  [[nodiscard]] bool dropping() const override { return dropping_; }

 private:
  static constexpr std::size_t kDeepest = 128;
  void forget();
  bool take(char c);

  const std::size_t most_;
  std::size_t at_ = 0;  // bytes looked at
  std::size_t depth_ = 0;
  std::bitset<kDeepest> objects_;  // which levels are objects
  bool in_string_ = false;
  bool escaped_ = false;
  char last_ = 0;  // the last character that was no white space, outside strings
  bool dropping_ = false;
};

}  // namespace trunkline::tcp
