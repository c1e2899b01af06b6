// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "adapters/tcp/framing/scanner.h"
#include "adapters/tcp/framing/search.h"

namespace trunkline::tcp {

// Everything up to an end mark is a frame: lines, single bytes, SLIP and COBS. An over-long one is dropped up to its
// mark; what comes after a mark is a frame, whatever came before. Pure; see Scanner.
class DelimitedScanner : public Scanner {
 public:
  DelimitedScanner(std::string mark, const Framing& framing)
      : mark_(std::move(mark)), most_(framing.max_length), keep_(framing.keep) {}

  Look look(std::string_view bytes) final;
  void restart() final { scanned_ = 0; }
  Look on_silence(std::string_view bytes) final;
  [[nodiscard]] bool dropping() const final { return dropping_; }

 private:
  // What a frame without its mark says; its body may be kept in the scanner.
  virtual Look decode(std::size_t length, std::string_view body) { return Look::frame(length, body); }
  // Bytes on the wire that a message of framing.max may take.
  [[nodiscard]] virtual std::size_t most_on_wire() const { return most_; }
  virtual std::size_t find(std::string_view bytes, std::size_t from) const { return bytes.find(mark_, from); }

 protected:
  const std::string mark_;
  const std::size_t most_;

 private:
  const bool keep_;
  std::size_t scanned_ = 0;  // no mark starts before it
  bool dropping_ = false;
};

// CR, LF or CRLF. The LF of a CRLF ends an empty line, so that it does not matter where they are cut apart.
class AnyLineScanner final : public DelimitedScanner {
 public:
  explicit AnyLineScanner(const Framing& framing) : DelimitedScanner("\n", framing) {}

 private:
  std::size_t find(std::string_view bytes, std::size_t from) const override {
    return find_either(bytes, '\r', '\n', from);
  }
};

// RFC 1055.
class SlipScanner final : public DelimitedScanner {
 public:
  explicit SlipScanner(const Framing& framing) : DelimitedScanner("\xC0", framing) {}

 private:
  Look decode(std::size_t length, std::string_view body) override;
  [[nodiscard]] std::size_t most_on_wire() const override { return most_ * 2; }
  std::string message_;
};

// Consistent Overhead Byte Stuffing, Cheshire and Baker 1997.
class CobsScanner final : public DelimitedScanner {
 public:
  explicit CobsScanner(const Framing& framing) : DelimitedScanner(std::string(1, '\0'), framing) {}

 private:
  Look decode(std::size_t length, std::string_view body) override;
  [[nodiscard]] std::size_t most_on_wire() const override { return most_ + most_ / 254 + 1; }
  std::string message_;
};

}  // namespace trunkline::tcp
