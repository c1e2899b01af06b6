// SPDX-License-Identifier: Apache-2.0
// A day without the hub must not fill the journal.
#include <algorithm>
#include <set>

#include "gateway/base/log.h"
#include "tests/support/catch.h"
#include "tests/support/multiplexer_rig.h"

using namespace trunkline;
using namespace trunkline::test;
using namespace std::chrono_literals;

namespace {

struct Written {
  std::uint64_t lines = 0;
  std::uint64_t bytes = 0;
};

// What is logged while it lives, as the journal would take it, by the time of the test.
class Journal {
 public:
  explicit Journal(const SteadyTime& now) {
    log::redirect({[this](log::Level, const std::string& line) {
                     ++written.lines;
                     written.bytes += line.size() + 1;
                     const auto end = line.find(' ', line.find(" device=") + 1);
                     said.insert(line.substr(0, end));
                   },
                   [&now] { return now; }});
  }
  ~Journal() { log::redirect({}); }
  [[nodiscard]] bool names(const std::string& event, const std::string& device) const {
    return said.contains(event + " device=" + device);
  }
  Journal(const Journal&) = delete;
  Journal& operator=(const Journal&) = delete;

  Written written;
  std::set<std::string> said;  // event and device
};

std::vector<std::string> map_1000(MultiplexerRig& rig) {
  std::vector<std::string> names;
  for (int i = 0; i < 1000; ++i) {
    names.push_back("device-" + std::to_string(i));
    rig.mux.add(device_id(names.back()), {}, false);
  }
  return names;
}

// A day in which the devices go on speaking; `answer` does what the hub does.
template <typename Answer>
void live_a_day(MultiplexerRig& rig, const std::vector<std::string>& names, SteadyTime::duration step, Answer answer) {
  const auto end = rig.now + 24h;
  for (std::uint64_t sequence = 0; rig.now < end; ++sequence) {
    const auto next = rig.tick();
    answer();
    rig.mux.offer(message(names[sequence % names.size()], sequence + 1));
    rig.now = std::clamp(next, rig.now + step, rig.now + 10s);
  }
}

}  // namespace

TEST_CASE("24 hours without the hub, 1000 devices that go on speaking: less than 5 MB of log", "[S-01][R-01]") {
  MultiplexerRig rig;
  const Journal journal(rig.now);
  const auto names = map_1000(rig);
  std::uint64_t attempts = 0;
  const LinkFault away{LinkFault::Kind::transport, "trunkline:connect", "hub.example:5671: Connection refused", {}};
  live_a_day(rig, names, 1s, [&] {
    for (const auto connection : std::exchange(rig.uplink.opening, {})) {
      ++attempts;
      // What the connection says, which is not in this rig.
      log::info("uplink_lost", {{"connection", 0},
                                {"epoch", attempts},
                                {"kind", to_string(away.kind)},
                                {"error", away.condition},
                                {"text", away.description}});
      rig.mux.on_lost(connection, away);
    }
  });
  CHECK(attempts > 24 * 3600 / 120);  // it tried all day
  WARN(journal.written.lines << " lines, " << journal.written.bytes << " bytes");
  CHECK(journal.written.lines > 0);
  CHECK(journal.written.bytes < 5'000'000);
}

TEST_CASE("24 hours of a hub that refuses every one of 1000 devices: less than 5 MB of log, and each is named",
          "[S-01][R-01]") {
  MultiplexerRig rig;
  const Journal journal(rig.now);
  const auto names = map_1000(rig);
  std::uint64_t refused = 0;
  const LinkFault fault{LinkFault::Kind::unauthorised,
                        "trunkline:put-token-401",
                        "The specified SAS token has an invalid signature. It does not match either key.",
                        {}};
  live_a_day(rig, names, 2s, [&] {
    for (const auto connection : std::exchange(rig.uplink.opening, {})) rig.mux.on_ready(connection);
    for (const auto slot : std::exchange(rig.uplink.authorised, {})) {
      ++refused;
      // What the connection says, which is not in this rig.
      log::warning("device_refused", {{"device", names[slot.value]},
                                      {"kind", to_string(fault.kind)},
                                      {"error", fault.condition},
                                      {"text", fault.description}});
      rig.mux.on_refused(slot, fault);
    }
  });
  WARN(refused << " refusals, " << journal.written.lines << " lines, " << journal.written.bytes << " bytes");
  CHECK(refused > 24 * 1000);
  CHECK(journal.written.bytes < 5'000'000);
  CHECK(
      std::all_of(names.begin(), names.end(), [&](const auto& name) { return journal.names("device_refused", name); }));
}
