// SPDX-License-Identifier: Apache-2.0
#include "gateway/base/result.h"

#include <system_error>

namespace trunkline {

std::string_view to_string(ErrorCode code) {
  switch (code) {
    case ErrorCode::invalid:
      return "invalid";
    case ErrorCode::not_found:
      return "not_found";
    case ErrorCode::exists:
      return "exists";
    case ErrorCode::denied:
      return "denied";
    case ErrorCode::unavailable:
      return "unavailable";
    case ErrorCode::exhausted:
      return "exhausted";
    case ErrorCode::timed_out:
      return "timed_out";
    case ErrorCode::corrupt:
      return "corrupt";
    case ErrorCode::internal:
      return "internal";
  }
  return "internal";
}

std::string errno_text(int number) {
  return std::generic_category().message(number);
}

}  // namespace trunkline
