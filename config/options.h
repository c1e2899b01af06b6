// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "config/settings.h"

namespace trunkline::config {

// One option of trunkline.toml: the only place where its kind, its range and its meaning are said. The loader checks
// against it; `trunkline config`, the manual page and the reference are made from it. Its default is what a fresh
// Settings holds.
struct Option {
  enum class Kind { text, path, choice, flag, integer, duration, size, rate, percent };

  std::string_view table;
  std::string_view name;
  Kind kind;
  // In milliseconds, bytes or numbers a second, as the kind says; both 0 where there is no range. A rate has only
  // `high` and may be "off".
  std::int64_t low;
  std::int64_t high;
  std::vector<std::string_view> choices;
  std::string_view unset;    // what holds when nothing is said and there is no value to name; empty: it has a value
  std::string_view meaning;  // one sentence, or part of one
  // As it is written in TOML; empty: not set. `broker` chooses among [[mqtt]] tables and is 0 for the rest.
  std::string (*value)(const Settings& settings, std::size_t broker);
  bool reloadable = false;  // a running gateway takes a change over; else it needs a restart

  [[nodiscard]] std::string full_name() const { return std::string(table) + "." + std::string(name); }
  // "30s" to "24h", or the choices; empty where everything of the kind goes.
  [[nodiscard]] std::string range_text() const;
  [[nodiscard]] std::string default_text() const;
};

// In the order of the file, table by table.
std::span<const Option> options();

// The option of that name; asking for one that is not in the table is a bug and ends the process.
const Option& option(std::string_view table, std::string_view name);

// The effective configuration as TOML that loads again to the same settings; what is not set is left out. Holds no
// secret, because no option is one (S-01).
std::string print_settings(const Settings& settings);

// The options as a table of Markdown, and as the manual page trunkline.toml(5) in mdoc(7).
std::string options_markdown();
std::string options_manual();

}  // namespace trunkline::config
