// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "gateway/base/clock.h"
#include "gateway/base/result.h"

namespace trunkline::amqp {

// A name with its value; both outlive the call that they are given to.
struct NamedText {
  std::string_view name;
  std::string_view value;
};

// A bare AMQP message (AMQP 1.0 section 3.2) with one Data section; views only. Empty texts and absent times are left
// out, and so is a section that would be empty.
struct BareMessage {
  std::span<const NamedText> annotations;  // symbol to string
  std::string_view message_id;             // string
  std::string_view to;
  std::string_view correlation_id;    // string
  std::string_view content_type;      // symbol
  std::string_view content_encoding;  // symbol
  std::optional<WallTime> absolute_expiry_time;
  std::optional<WallTime> creation_time;
  std::span<const NamedText> application_properties;  // string to string
  std::string_view body;
};

// The exact number of bytes that append() adds. Pure.
std::size_t encoded_size(const BareMessage& message);

// Appends the encoding to `out`, whose storage is the caller's to reuse; memory is taken once, for the exact size. Far
// cheaper than building a proton::message. Fails with `exhausted`, and leaves `out` alone, beyond `limit` bytes. Pure.
Result<void> append(const BareMessage& message, std::string& out, std::size_t limit = 16 * 1024 * 1024);

}  // namespace trunkline::amqp
