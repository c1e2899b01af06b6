// SPDX-License-Identifier: Apache-2.0
#include "adapters/tcp/samples.h"

#include "config/loader.h"
#include "tests/support/catch.h"
#include "tests/unit/config/config_text.h"

using namespace trunkline;
using namespace trunkline::config;

namespace {

// What `trunkline check` says of the samples of one map.
std::string faults(const std::string& map) {
  const auto loaded = load_strings(kHub, {"[[device]]\nid = \"d\"\n" + map});
  INFO(report(loaded.problems));
  REQUIRE(loaded.problems.empty());
  std::string out;
  for (const auto& fault : tcp::run_samples(loaded.settings.devices.front())) {
    out += std::to_string(fault.line) + ":" + std::to_string(fault.column) + ": " + fault.message + "\n";
  }
  return out;
}

const std::string kMeter = R"(tcp.listen = "127.0.0.1:4001"
tcp.framing = { kind = "modbus_rtu" }
map.decode = { kind = "bytes", fields = { volt = { at = 3, type = "u16", factor = 0.1 }, on = { at = 6, type = "u8", bit = 0 } } }
)";

}  // namespace

TEST_CASE("a sample is a stream that goes through framing, check and decoding", "[config]") {
  CHECK(faults(kMeter + "samples = [{ bytes = \"ff 01 03 04 09 2c 00 01 f9 a6\", out = '{\"volt\":234.8,\"on\":1}' }]")
            .empty());
  CHECK(faults(kMeter + "samples = [{ bytes = \"01 03 04 09 2c 00 01 f9 a7\" }]").empty());
  CHECK(faults(kMeter + "samples = [{ bytes = \"01 03 04 09 2c 00 01 f9 a6\", out = '{\"volt\":1}' }]") ==
        "6:12: the sample gives \"{\"on\":1,\"volt\":234.8}\" instead of \"{\"volt\":1}\"\n");
  const std::string lines = "tcp.listen = \"127.0.0.1:4001\"\ntcp.heartbeat = { match = '^p$' }\n";
  CHECK(faults(lines + "samples = [{ bytes = \"61 0a 70 0a ff 0a\", out = [\"a\", \"hex:ff\"] }]").empty());
  CHECK(faults(lines + "samples = [{ bytes = \"61 0a\" }]").find("instead of nothing") != std::string::npos);
}
