// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "tests/hubsim/hub.h"

namespace trunkline::hubsim {

// Called once with the answer, a JSON object on one line without its end; for a wait that may be later.
using Reply = std::function<void(std::string)>;

// The one function behind the control socket and HubServer::control: a JSON object {"op": ...} in, a JSON object out
// with "ok", and "error" if that is false. The operations are in README.md. On the hub's thread; never throws.
void control(Hub& hub, std::string_view request, const Reply& reply);

}  // namespace trunkline::hubsim
