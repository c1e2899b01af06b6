// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "adapters/tcp/framing/scanner.h"

namespace trunkline::tcp {

// M-Bus and its relatives (EN 13757-2, IEC 60870-5-2 format FT1.2): "E5", "10 C A CS 16" and
// "68 L L 68 C A CI … CS 16". The message is the whole frame. Pure; see Scanner.
class MbusScanner final : public Scanner {
 public:
  Look look(std::string_view bytes) override;
};

}  // namespace trunkline::tcp
