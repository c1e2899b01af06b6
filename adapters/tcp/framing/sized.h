// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "adapters/tcp/framing/scanner.h"

namespace trunkline::tcp {

// Frames of framing.size bytes that begin with framing.magic and end with a check. Without either, a lost byte shifts
// all that follow, until silence. Pure; see Scanner.
class FixedScanner final : public Scanner {
 public:
  explicit FixedScanner(const Framing& framing) : framing_(framing) {}
  Look look(std::string_view bytes) override;
  Look on_silence(std::string_view bytes) override;

 private:
  const Framing& framing_;
};

// Frames that say how long they are. Without magic or check, a length that cannot be means that the place is lost:
// nothing is taken until silence. Pure; see Scanner.
class LengthScanner final : public Scanner {
 public:
  explicit LengthScanner(const Framing& framing);
  Look look(std::string_view bytes) override;
  Look on_silence(std::string_view bytes) override;
  [[nodiscard]] bool dropping() const override { return lost_; }

 private:
  const Framing& framing_;
  const bool findable_;
  const std::size_t check_;
  bool lost_ = false;
};

// Octet counting of RFC 6587: a decimal length, a space, the message. With framing.magic the message begins with it, so
// that the place is found again; without, only silence does. Pure; see Scanner.
class OctetsScanner final : public Scanner {
 public:
  explicit OctetsScanner(const Framing& framing) : framing_(framing) {}
  Look look(std::string_view bytes) override;
  Look on_silence(std::string_view bytes) override;
  [[nodiscard]] bool dropping() const override { return lost_; }

 private:
  Look wrong(std::string_view bytes, std::size_t length, FrameFault fault);

  const Framing& framing_;
  bool lost_ = false;
};

// Whatever came between two silences. Pure; see Scanner.
class IdleScanner final : public Scanner {
 public:
  explicit IdleScanner(const Framing& framing) : framing_(framing) {}
  Look look(std::string_view bytes) override;
  Look on_silence(std::string_view bytes) override;
  [[nodiscard]] bool dropping() const override { return dropping_; }

 private:
  const Framing& framing_;
  bool dropping_ = false;
};

}  // namespace trunkline::tcp
