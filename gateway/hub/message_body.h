// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <proton/binary.hpp>
#include <proton/value.hpp>
#include <stdexcept>
#include <string>

namespace trunkline::hub {

// The bytes of a message that the hub sent; empty without a body. Throws std::invalid_argument for what is neither
// bytes nor text, for the decoder that called.
inline std::string body_of(const proton::value& body) {
  switch (body.type()) {
    case proton::NULL_TYPE:
      return {};
    case proton::BINARY: {
      const auto bytes = proton::get<proton::binary>(body);
      return {bytes.begin(), bytes.end()};
    }
    case proton::STRING:
      return proton::get<std::string>(body);
    default:
      throw std::invalid_argument("the body is neither bytes nor text");
  }
}

}  // namespace trunkline::hub
