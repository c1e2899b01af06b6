// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "gateway/base/result.h"
#include "gateway/base/secret.h"

namespace trunkline::service {

// "HostName=…;SharedAccessKeyName=…;SharedAccessKey=…", as the hub's portal hands it out. Reasons never quote it
// (S-01).
struct ConnectionString {
  std::string host;
  std::string policy;
  Secret key;  // decoded

  static Result<ConnectionString> parse(std::string_view text);
};

}  // namespace trunkline::service
