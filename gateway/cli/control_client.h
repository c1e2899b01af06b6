// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "gateway/base/clock.h"
#include "gateway/base/result.h"

namespace trunkline::cli {

// Sends one line to the control socket of the running gateway and returns its one line of answer, without the end.
// not_found: nothing runs there; denied: not for this user; timed_out: it runs, but does not answer in time. Blocks.
Result<std::string> ask_gateway(const std::string& socket, const std::string& request, Milliseconds patience);

// Tells a running gateway that identities changed. True if it took them, false if none runs.
Result<bool> announce_identities(const std::string& socket);

}  // namespace trunkline::cli
