// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "adapters/tcp/framing/scanner.h"

namespace trunkline::tcp {

// A start mark, a message, an end mark, with a check value after the end mark or before it. After a frame without an
// end the next start mark begins anew. A check byte may equal a mark. Pure; see Scanner.
class MarksScanner final : public Scanner {
 public:
  explicit MarksScanner(const Framing& framing);
  Look look(std::string_view bytes) override;
  void restart() override { scanned_ = 0; }
  [[nodiscard]] std::size_t limit() const override { return limit_; }

 private:
  Look ended(std::string_view bytes, std::size_t end);

  const Framing& framing_;
  const std::size_t check_;  // bytes of the check
  const std::size_t limit_;
  std::size_t scanned_ = 0;
};

// The same with DLE before each mark, and DLE doubled in the message, so that it may hold any bytes.
class StuffedScanner final : public Scanner {
 public:
  explicit StuffedScanner(const Framing& framing);
  Look look(std::string_view bytes) override;
  void restart() override { scanned_ = 0; }
  [[nodiscard]] std::size_t limit() const override { return limit_; }

 private:
  Look ended(std::string_view bytes, std::size_t end);

  const Framing& framing_;
  const std::string start_;
  const std::size_t check_;
  const std::size_t limit_;
  std::size_t scanned_ = 0;
  std::string message_;
};

// Bytes in front of where `mark` may begin: all but its beginning at the end of `bytes`.
std::size_t before_mark(std::string_view bytes, std::string_view mark);

}  // namespace trunkline::tcp
