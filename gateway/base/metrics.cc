// SPDX-License-Identifier: Apache-2.0
#include "gateway/base/metrics.h"

#include <map>

namespace trunkline {

Metric& Metrics::metric(std::string_view name, std::string_view help, std::string_view label) {
  std::lock_guard lock(mutex_);
  for (auto& entry : entries_) {
    if (entry.name == name && entry.label == label) return entry.metric;
  }
  auto& entry = entries_.emplace_back();
  entry.name = name;
  entry.help = help;
  entry.label = label;
  return entry.metric;
}

std::string Metrics::text() const {
  std::lock_guard lock(mutex_);
  // The format wants all lines of one name together.
  std::map<std::string_view, std::vector<const Entry*>> by_name;
  for (const auto& entry : entries_) by_name[entry.name].push_back(&entry);
  std::string out;
  for (const auto& [name, entries] : by_name) {
    const bool counter = name.size() > 6 && name.substr(name.size() - 6) == "_total";
    out += "# HELP trunkline_" + std::string(name) + ' ' + entries.front()->help + '\n';
    out += "# TYPE trunkline_" + std::string(name) + (counter ? " counter\n" : " gauge\n");
    for (const auto* entry : entries) {
      out += "trunkline_" + std::string(name);
      if (!entry->label.empty()) out += '{' + entry->label + '}';
      out += ' ' + std::to_string(entry->metric.value()) + '\n';
    }
  }
  return out;
}

std::vector<std::pair<std::string, std::uint64_t>> Metrics::values() const {
  std::lock_guard lock(mutex_);
  std::vector<std::pair<std::string, std::uint64_t>> out;
  for (const auto& entry : entries_) {
    out.emplace_back(entry.label.empty() ? entry.name : entry.name + '{' + entry.label + '}', entry.metric.value());
  }
  return out;
}

}  // namespace trunkline
