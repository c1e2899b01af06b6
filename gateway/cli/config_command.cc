// SPDX-License-Identifier: Apache-2.0
#include <ostream>

#include "config/map_options.h"
#include "config/options.h"
#include "gateway/cli/commands.h"

namespace trunkline::cli {

int config_text(const Place& place, const std::string& what, const Streams& streams) {
  if (what == "options") {
    streams.out << config::options_markdown() << '\n' << config::map_options_markdown();
    return kDone;
  }
  if (what == "manual") {
    streams.out << config::options_manual();
    return kDone;
  }
  const auto loaded = config::load(place.config);
  for (const auto& problem : loaded.problems) streams.err << problem.text() << '\n';
  if (!loaded.problems.empty()) return kUsage;
  streams.out << config::print_settings(loaded.settings);
  return kDone;
}

}  // namespace trunkline::cli
