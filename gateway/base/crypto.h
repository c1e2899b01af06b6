// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace trunkline {

// HMAC-SHA256 (RFC 2104), 32 bytes.
std::string hmac_sha256(std::string_view key, std::string_view message);

// From the operating system's generator; aborts if there is none.
std::string random_bytes(std::size_t count);
std::uint64_t random_seed();

// A random UUID (RFC 4122 version 4) as text with dashes.
std::string random_uuid();

}  // namespace trunkline
