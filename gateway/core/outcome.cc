// SPDX-License-Identifier: Apache-2.0
#include "gateway/core/outcome.h"

namespace trunkline {

std::string_view to_string(Outcome::Kind kind) {
  switch (kind) {
    case Outcome::Kind::accepted:
      return "accepted";
    case Outcome::Kind::rejected:
      return "rejected";
    case Outcome::Kind::released:
      return "released";
    case Outcome::Kind::modified:
      return "modified";
  }
  return "released";
}

std::string_view to_string(Admission::Kind kind) {
  switch (kind) {
    case Admission::Kind::safe:
      return "safe";
    case Admission::Kind::duplicate:
      return "duplicate";
    case Admission::Kind::throttled:
      return "throttled";
    case Admission::Kind::refused:
      return "refused";
    case Admission::Kind::abandoned:
      return "abandoned";
  }
  return "abandoned";
}

}  // namespace trunkline
