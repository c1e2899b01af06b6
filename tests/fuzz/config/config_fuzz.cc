// SPDX-License-Identifier: Apache-2.0
#include <cstdint>
#include <string>
#include <string_view>

#include "config/loader.h"
#include "gateway/base/check.h"

// The input is trunkline.toml and, after a form feed, a device map.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  namespace config = trunkline::config;
  const std::string_view text(reinterpret_cast<const char*>(bytes), size);
  const auto cut = text.find('\f');
  const std::string main(text.substr(0, cut));
  const std::string map(cut == std::string_view::npos ? std::string_view() : text.substr(cut + 1));
  const auto loaded = config::load_texts({"trunkline.toml", main}, {{"devices.d/d.toml", map}});
  for (const auto& problem : loaded.problems) {
    const auto line = problem.text();
    TRUNKLINE_CHECK(line.rfind(problem.place.file, 0) == 0, "a problem starts with its place");
    TRUNKLINE_CHECK(line.find('\n') == std::string::npos, "a problem is one line");
  }
  for (const auto& device : loaded.settings.devices) {
    TRUNKLINE_CHECK(
        !loaded.problems.empty() || device.mqtt.has_value() + device.coap.has_value() + device.tcp.has_value() == 1,
        "a device that loads speaks one protocol");
  }
  return 0;
}
