// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "adapters/mqtt/paho_session.h"
#include "config/settings.h"

namespace trunkline::mqtt {

// What the settings say for a connection; reads the password anew, so that a changed file counts. not_found, invalid: a
// file that cannot be read or is no password.
Result<SessionOptions> session_options(const config::Mqtt& settings);

}  // namespace trunkline::mqtt
