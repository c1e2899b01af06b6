// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <optional>
#include <string>

namespace trunkline::ops {

// sd_notify(3); every call is silent where no service manager listens. Main thread.
void notify_ready(const std::string& status);
void notify_reloading();  // until the next notify_ready
void notify_stopping();
void notify_watchdog();

// Half of WATCHDOG_USEC when the service manager wants a watchdog from this process.
std::optional<std::chrono::milliseconds> watchdog_interval();

}  // namespace trunkline::ops
