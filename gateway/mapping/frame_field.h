// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "gateway/mapping/pattern.h"

namespace trunkline {

// A part of a message that says something of it: who sent it, or which one it is. Made by config; an immutable value.
struct FrameField {
  enum class From : std::uint8_t {
    bytes,    // `size` bytes from `offset`
    match,    // what the pattern finds: its first group, or all of it
    pointer,  // a JSON pointer (RFC 6901) to a text or a whole number
  };
  From from = From::bytes;
  std::size_t offset = 0;
  std::size_t size = 0;
  std::optional<Pattern> pattern{};
  std::string pointer{};
  bool hex = false;  // written as hexadecimal digits, in lower case

  friend bool operator==(const FrameField&, const FrameField&) = default;
};

// Nothing if the message has no such part. Pure.
std::optional<std::string> read_field(const FrameField& field, std::string_view message);

}  // namespace trunkline
