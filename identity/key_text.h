// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

#include "gateway/base/result.h"
#include "gateway/base/secret.h"

namespace trunkline::identity {

// A device's key as the hub shows it: base64 of 16 to 256 bytes. The errors never quote the key. Pure.
Result<Secret> decode_key(std::string_view text);

// A pre-shared key of 1 to 128 bytes: "hex:…", "base64:…", or the text itself.
Result<Secret> decode_psk(std::string_view text);

}  // namespace trunkline::identity
