// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "gateway/base/json.h"
#include "tests/hubsim/hub_server.h"

namespace trunkline::hubsim {

struct HttpsAnswer {
  int status = 0;
  std::string head;
  json::value body;  // null if there is none
};

// One request over a connection of its own, blocking. `target` without api-version gets one; `if_match` empty: none.
HttpsAnswer https(HubServer& hub, const std::string& token, const std::string& method, const std::string& target,
                  const std::string& body = {}, const std::string& if_match = {});
// Any bytes, for what is no request.
std::string https_bytes(HubServer& hub, const std::string& bytes);

}  // namespace trunkline::hubsim
