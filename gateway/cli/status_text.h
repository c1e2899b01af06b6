// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "gateway/base/json.h"

namespace trunkline::cli {

// The status object (gateway/ops/README.md) for a person: the verdict in the first line, then hub, safety, adapters and
// devices. What the object lacks is left out. Pure.
std::string status_text(const json::object& status);

}  // namespace trunkline::cli
