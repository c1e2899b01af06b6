// SPDX-License-Identifier: Apache-2.0
#include "gateway/base/metrics.h"

#include "tests/support/catch.h"

namespace trunkline {

TEST_CASE("the same name and label give the same metric", "[base]") {
  Metrics metrics;
  auto& one = metrics.metric("uplink_accepted_total", "Accepted.");
  auto& other = metrics.metric("dropped_total", "Dropped.", "reason=\"oversize\"");
  CHECK(&metrics.metric("uplink_accepted_total", "Accepted.") == &one);
  CHECK(&metrics.metric("dropped_total", "Dropped.", "reason=\"oversize\"") == &other);
  CHECK(&metrics.metric("dropped_total", "Dropped.", "reason=\"full\"") != &other);
  one.add();
  one.add(4);
  CHECK(one.value() == 5);
}

TEST_CASE("metrics are written as Prometheus text, each family once", "[base]") {
  Metrics metrics;
  metrics.metric("dropped_total", "Dropped messages.", "reason=\"oversize\"").add(2);
  metrics.metric("waiting", "Messages that wait.").set(7);
  metrics.metric("dropped_total", "Dropped messages.", "reason=\"full\"").add(1);
  const auto text = metrics.text();
  const auto count = [&](std::string_view part) {
    std::size_t found = 0;
    for (auto at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++found;
    return found;
  };
  CHECK(count("# TYPE trunkline_dropped_total counter\n") == 1);
  CHECK(count("# HELP trunkline_dropped_total Dropped messages.\n") == 1);
  CHECK(count("trunkline_dropped_total{reason=\"oversize\"} 2\n") == 1);
  CHECK(count("trunkline_dropped_total{reason=\"full\"} 1\n") == 1);
  CHECK(count("# TYPE trunkline_waiting gauge\n") == 1);
  CHECK(count("trunkline_waiting 7\n") == 1);
  CHECK(text.back() == '\n');
  CHECK(metrics.values().size() == 3);
}

}  // namespace trunkline
