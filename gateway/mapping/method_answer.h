// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string_view>

#include "gateway/core/method.h"

namespace trunkline {

// What a device said in answer to a method, as what its caller gets. Where the protocol told the status, all of `text`
// is the payload. Else a JSON object with a whole number "status" says it itself, and its member "payload" is the
// payload (without one, everything but "status" and "id"); anything else is the payload of status 200. What is no JSON
// goes up as a JSON text, bytes that are no text as {"base64": "…"}; what the hub could not carry becomes 502. Pure.
MethodResponse read_answer(std::string_view text, std::optional<int> status = {});

// {"error": why}: an answer of the gateway's own.
MethodResponse own_answer(int status, std::string_view why);

}  // namespace trunkline
