// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <string>

namespace trunkline::bench {

// libcoap alone: answers every request with a piggy-backed 2.04 and nothing else, on this thread, until the process is
// ended. `key` is the pre-shared key of everybody; `ready` gets the port.
void serve_bare(bool secure, const std::string& key, const std::function<void(std::uint16_t)>& ready);

}  // namespace trunkline::bench
