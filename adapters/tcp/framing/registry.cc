// SPDX-License-Identifier: Apache-2.0
#include "adapters/tcp/framing/delimited.h"
#include "adapters/tcp/framing/json.h"
#include "adapters/tcp/framing/marks.h"
#include "adapters/tcp/framing/mbus.h"
#include "adapters/tcp/framing/modbus.h"
#include "adapters/tcp/framing/nmea.h"
#include "adapters/tcp/framing/scanner.h"
#include "adapters/tcp/framing/sized.h"
#include "gateway/base/check.h"

namespace trunkline::tcp {

// The one table from kind to codec. No default: a new kind without a codec does not compile.
std::unique_ptr<Scanner> make_scanner(const Framing& framing) {
  switch (framing.kind) {
    case FramingKind::line:
      if (framing.end.empty()) return std::make_unique<AnyLineScanner>(framing);
      [[fallthrough]];
    case FramingKind::end:
      return std::make_unique<DelimitedScanner>(framing.end, framing);
    case FramingKind::marks:
      if (framing.stuffed) return std::make_unique<StuffedScanner>(framing);
      return std::make_unique<MarksScanner>(framing);
    case FramingKind::fixed:
      return std::make_unique<FixedScanner>(framing);
    case FramingKind::length:
      return std::make_unique<LengthScanner>(framing);
    case FramingKind::nmea:
      return std::make_unique<NmeaScanner>(framing);
    case FramingKind::modbus_tcp:
      return std::make_unique<ModbusTcpScanner>();
    case FramingKind::modbus_rtu:
      return std::make_unique<ModbusRtuScanner>(framing);
    case FramingKind::modbus_ascii:
      return std::make_unique<ModbusAsciiScanner>();
    case FramingKind::mbus:
      return std::make_unique<MbusScanner>();
    case FramingKind::idle:
      return std::make_unique<IdleScanner>(framing);
    case FramingKind::json:
      return std::make_unique<JsonScanner>(framing);
    case FramingKind::slip:
      return std::make_unique<SlipScanner>(framing);
    case FramingKind::cobs:
      return std::make_unique<CobsScanner>(framing);
    case FramingKind::octets:
      return std::make_unique<OctetsScanner>(framing);
  }
  TRUNKLINE_CHECK(false, "a framing kind is one of the table");
  return nullptr;
}

}  // namespace trunkline::tcp
