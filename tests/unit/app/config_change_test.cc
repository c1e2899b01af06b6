// SPDX-License-Identifier: Apache-2.0
#include "gateway/app/config_change.h"

#include "config/loader.h"
#include "config/options.h"
#include "tests/support/catch.h"

namespace trunkline::app {
namespace {

constexpr auto kMain = "[hub]\nhost = \"h.example.net\"\n[mqtt]\nbroker = \"mqtt://127.0.0.1:1883\"\n";

config::Settings load(const std::string& maps, const std::string& main = kMain) {
  auto loaded = config::load_texts({"/c/trunkline.toml", main}, {{"/c/devices.d/0.toml", maps}});
  for (const auto& problem : loaded.problems) FAIL(problem.text());
  return std::move(loaded.settings);
}

std::string scale(const std::string& more = {}) {
  return "[[device]]\nid = \"scale\"\ntcp.listen = \"127.0.0.1:4001\"\n" + more;
}
std::string boiler(const std::string& more = {}) {
  return "[[device]]\nid = \"boiler\"\nmqtt.telemetry = \"a/b\"\n" + more;
}

}  // namespace

TEST_CASE("a map that is only written in another way is no change", "[reload]") {
  const auto before = load(scale() + boiler());
  const auto after = load(
      "# moved\n\n[[device]]\nid = 'boiler'\n[device.mqtt]\ntelemetry = \"a/b\" # same\n"
      "[[device]]\nid = \"scale\"\ntcp = { listen = \"127.0.0.1:4001\" }\n");
  CHECK(compare(before, after).empty());
}

TEST_CASE("added, removed and changed devices are told apart, and what adapters need not know", "[reload]") {
  const auto before = load(scale() + boiler());
  const auto limits = compare(before, load(scale("max_messages = 5\npriority = \"alarm\"\n") + boiler()));
  REQUIRE(limits.changed.size() == 1);
  CHECK_FALSE(limits.changed[0].adapter);
  CHECK(limits.changed[0].options.size() == 2);
  CHECK(limits.changed[0].options[0].name == "max_messages");
  CHECK(limits.changed[0].options[0].before.empty());
  CHECK(limits.changed[0].options[0].after == "5");

  const auto socket = compare(before, load(scale("tcp.ack = \"OK\\n\"\n") + boiler()));
  REQUIRE(socket.changed.size() == 1);
  CHECK(socket.changed[0].adapter);

  const auto swapped = compare(before, load(boiler() + "[[device]]\nid = \"tank\"\nmqtt.telemetry = \"t\"\n"));
  CHECK(swapped.changed.empty());
  REQUIRE(swapped.added.size() == 1);
  CHECK(swapped.added[0].id.text() == "tank");
  REQUIRE(swapped.removed.size() == 1);
  CHECK(swapped.removed[0].id.text() == "scale");
  const auto text = json::serialize(to_json(swapped));
  CHECK(text.find(R"("added":["tank"])") != std::string::npos);
}

TEST_CASE("options that need a restart are named and stay as they are", "[reload]") {
  const auto before = load(boiler());
  const auto after = load(boiler(), std::string(kMain) + "[spool]\nmax_age = \"2d\"\nmax_bytes = \"2GiB\"\n" +
                                        "[log]\nlevel = \"debug\"\n[coap]\nlisten = \"127.0.0.1:5683\"\n");
  const auto change = compare(before, after);
  REQUIRE(change.options.size() == 3);
  CHECK(change.coap);
  const auto held = merged(before, after);
  CHECK(held.spool.max_age == std::chrono::hours(48));
  CHECK(held.spool.max_bytes == before.spool.max_bytes);
  CHECK(held.log_level == "debug");
  CHECK(held.coap);
  // Applied, only what needs a restart is left.
  const auto left = compare(held, after);
  REQUIRE(left.options.size() == 1);
  CHECK(left.options[0].text.name == "spool.max_bytes");
  CHECK_FALSE(left.options[0].reloadable);
}

TEST_CASE("every option that a reload takes over is taken over", "[reload]") {
  const auto before = load(boiler());
  auto after = before;
  after.hub.token_lifetime = std::chrono::hours(2);
  after.hub.attach_rate = 7;
  after.hub.send_rate = 8;
  after.spool.max_age = std::chrono::hours(3);
  after.log_level = "error";
  const auto change = compare(before, after);
  for (const auto& option : change.options) {
    INFO(option.text.name);
    CHECK(option.reloadable);
  }
  std::size_t reloadable = 0;
  for (const auto& option : config::options()) reloadable += option.reloadable ? 1 : 0;
  CHECK(change.options.size() == reloadable);
  CHECK(compare(merged(before, after), after).empty());
}

}  // namespace trunkline::app
