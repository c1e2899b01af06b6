// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <utility>

namespace trunkline {

// What a caller can act on. The message says the rest to a person.
enum class ErrorCode {
  invalid,      // the input breaks a rule; the same input will fail again
  not_found,    // the thing that was named does not exist
  exists,       // it exists already
  denied,       // not allowed: credentials, permissions, identity
  unavailable,  // a peer or resource is away; trying later may succeed
  exhausted,    // a limit or the disk is full
  timed_out,    // no answer within the deadline
  corrupt,      // stored bytes do not mean what they should
  internal,     // a library failed in a way that its documentation does not name
};

std::string_view to_string(ErrorCode code);

// A failure of a peer, the disk, the network or an operator's file. Context is added in front while it travels up, and
// it is logged once, where it is handled. Never holds a secret.
struct Error {
  ErrorCode code = ErrorCode::internal;
  std::string message;

  // The same error with "what: " in front of its message.
  [[nodiscard]] Error in(std::string_view what) const& { return Error{code, std::string(what) + ": " + message}; }
};

template <class T>
using Result = tl::expected<T, Error>;

inline tl::unexpected<Error> fail(ErrorCode code, std::string message) {
  return tl::make_unexpected(Error{code, std::move(message)});
}
inline tl::unexpected<Error> fail(Error error) {
  return tl::make_unexpected(std::move(error));
}

// strerror(number), thread-safe.
std::string errno_text(int number);

}  // namespace trunkline
