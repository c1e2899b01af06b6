// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "adapters/tcp/framing/scanner.h"

namespace trunkline::tcp {

// Modbus TCP: the MBAP header (transaction, protocol 0, length, unit) tells the length. Both directions. The message is
// the whole frame. Pure; see Scanner.
class ModbusTcpScanner final : public Scanner {
 public:
  Look look(std::string_view bytes) override;
};

// Modbus RTU over TCP has no length field, and silence means nothing on a network: the function code tells how long the
// frame is, and CRC-16 whether that is so. Of a function that is the maker's own, the first length at which the CRC
// comes out is the frame. The message is the whole frame. Pure; see Scanner.
class ModbusRtuScanner final : public Scanner {
 public:
  explicit ModbusRtuScanner(const Framing& framing) : side_(framing.side) {}
  Look look(std::string_view bytes) override;

 private:
  [[nodiscard]] Look front(std::string_view bytes) const;

  const ModbusSide side_;
  bool lost_ = true;  // no right frame ended where the bytes begin
};

// Modbus ASCII: ':', pairs of hexadecimal digits, the last of which is the LRC, CR LF (LF alone is taken). The message
// is that line without its end. Pure; see Scanner.
class ModbusAsciiScanner final : public Scanner {
 public:
  Look look(std::string_view bytes) override;
};

}  // namespace trunkline::tcp
