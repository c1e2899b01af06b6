// SPDX-License-Identifier: Apache-2.0
#include "gateway/base/clock.h"

#include <fmt/chrono.h>

namespace trunkline {

std::string to_rfc3339(WallTime time) {
  const auto since = time.time_since_epoch();
  const auto seconds = std::chrono::floor<std::chrono::seconds>(since);
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:03}Z", fmt::gmtime(static_cast<std::time_t>(seconds.count())),
                     (since - seconds).count());
}

}  // namespace trunkline
