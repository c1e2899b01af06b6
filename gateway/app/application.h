// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>

namespace trunkline::app {

// `trunkline run`: loads the configuration, builds every part in start order, runs until SIGTERM or SIGINT, stops
// outside in. The exit status: 0 after an orderly stop, 1 when it could not start or had to give up, 2 for a bad
// configuration. Main thread.
int run(const std::string& config_file);

}  // namespace trunkline::app
