// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "gateway/base/result.h"
#include "tests/hubsim/hub_server.h"

namespace trunkline::hubsim {

struct CommandLine {
  enum class What { run, ask, help };
  What what = What::run;
  HubOptions options;
  std::string request;  // ask: what to send to options.control_socket
};

// Pure. The error is a sentence for the terminal.
Result<CommandLine> parse_command_line(const std::vector<std::string>& arguments);
std::string help_text();

}  // namespace trunkline::hubsim
