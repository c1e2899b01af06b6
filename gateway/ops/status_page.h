// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

namespace trunkline::ops {

// The read-only page at "/" of status.listen: one document without outside assets, which shows /status.json (the shape
// is in README.md) and asks for it again every few seconds. What devices and peers name goes in as text, never as
// markup.
extern const std::string_view kStatusPage;

// What a browser may do with it: run what stands in it, fetch from here, nothing else.
inline constexpr std::string_view kStatusPagePolicy =
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

}  // namespace trunkline::ops
