// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "adapters/tcp/framing/scanner.h"

namespace trunkline::tcp {

// NMEA 0183 sentences ("$GPGGA,…*47", "!AIVDM,…*5C") ended by CR, LF or both, with the tag block "\…*hh\" of NMEA 4 in
// front if there is one. The message is all of it but the line end. The sentences of one AIS message are messages of
// their own. Pure; see Scanner.
class NmeaScanner final : public Scanner {
 public:
  explicit NmeaScanner(const Framing& framing) : framing_(framing) {}
  Look look(std::string_view bytes) override;
  void restart() override { scanned_ = 0; }
  [[nodiscard]] std::size_t limit() const override { return framing_.max_length + 1; }

 private:
  const Framing& framing_;
  std::size_t scanned_ = 0;
};

}  // namespace trunkline::tcp
