// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "gateway/base/clock.h"
#include "gateway/base/result.h"

namespace trunkline::config {

// Values with units as an operator writes them: a whole number, directly followed by its unit. The messages of their
// errors say what is wanted. Pure.
Result<Milliseconds> parse_duration(std::string_view text);  // "250ms" "30s" "5m" "1h" "7d"
Result<std::uint64_t> parse_size(std::string_view text);     // "100B" "64KiB" "8MiB" "1GiB", "64KB" = 64000 B
Result<double> parse_rate(std::string_view text);            // "100/s"; 0 for "off"

// The way back, in the largest unit that is exact.
std::string duration_text(Milliseconds value);
std::string size_text(std::uint64_t value);

}  // namespace trunkline::config
