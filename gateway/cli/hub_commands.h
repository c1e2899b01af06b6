// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "gateway/cli/commands.h"

namespace CLI {
class App;
}

namespace trunkline::cli {

// `trunkline hub`: the hub's service side, for the simulator and for a real hub. Adds its subcommands to `app`; run
// does what was chosen and returns the exit status. Lives as long as the parse.
class HubCommands {
 public:
  explicit HubCommands(CLI::App& app);
  ~HubCommands();
  [[nodiscard]] int run(const Streams& streams) const;

 private:
  struct Arguments;
  std::unique_ptr<Arguments> arguments_;
  CLI::App* hub_;
};

}  // namespace trunkline::cli
