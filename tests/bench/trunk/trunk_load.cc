// SPDX-License-Identifier: Apache-2.0
// The trunk alone, as the hub thread runs it, against a simulator in another process: how fast a thousand devices are
// attached, what they cost when idle, whether renewals and bad neighbours disturb anybody. Prints one JSON object;
// numbers are never a verdict, what must not happen at all (a detach, a refusal, a loss) is counted and printed.
#include <sys/resource.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <fstream>
#include <random>
#include <string>

#include "gateway/base/encoding.h"
#include "gateway/base/log.h"
#include "identity/directory.h"
#include "tests/support/trunk_driver.h"

using namespace trunkline;
using namespace trunkline::test;

namespace {

struct Options {
  std::string address;
  std::string host;
  std::string ca_file;
  std::string key;
  std::string mode = "attach";
  unsigned devices = 1000;
  unsigned per_connection = 990;
  unsigned bad = 0;       // of the devices, the first ones
  unsigned seconds = 10;  // of load
  unsigned rate = 1000;   // messages per second, all devices together
  unsigned token_seconds = 3600;
  unsigned cycles = 10'000;
  std::uint64_t messages = 0;  // through all cycles, beside one for each device that comes
  std::size_t size = 200;
};

double cpu_seconds() {
  rusage used{};
  ::getrusage(RUSAGE_SELF, &used);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  return seconds(used.ru_utime) + seconds(used.ru_stime);
}

// Proportional set size, KiB.
std::uint64_t pss() {
  std::ifstream file("/proc/self/smaps_rollup");
  for (std::string line; std::getline(file, line);) {
    if (line.rfind("Pss:", 0) == 0) return std::stoull(line.substr(4));
  }
  return 0;
}

double seconds_since(SteadyTime begin) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

class Bench {
 public:
  explicit Bench(const Options& options)
      : options_(options), directory_(options.host, Milliseconds(options.token_seconds * 1000)) {
    std::vector<identity::Identity> identities;
    const auto highest = options.mode == "churn" ? 4000u : options.devices;
    for (unsigned i = 0; i < highest; ++i) {
      identities.push_back({*DeviceId::parse(name(i)), Secret(*base64_decode(options.key)), {}, {}, true, {}});
    }
    directory_.replace(std::move(identities));
    hub::HubLink::Options link;
    link.host = options.host;
    link.address = *net::Endpoint::parse(options.address);
    link.ca_file = options.ca_file;
    link.gateway_id = "bench";
    link.spool_uuid = "00112233445566778899aabbccddeeff";
    Multiplexer::Options multiplexer;
    multiplexer.attach_rate = 0;
    multiplexer.attach_at_start = true;
    multiplexer.trunk.max_devices = options.per_connection;
    empty_kib_ = pss();
    driver_ = std::make_unique<TrunkDriver>(link, multiplexer, directory_);
  }

  // Connected, and all links of all devices attached.
  double attach() {
    const auto begin = std::chrono::steady_clock::now();
    for (unsigned i = 0; i < options_.devices; ++i) {
      slots_.push_back(driver_->add(name(i), {.commands = true, .methods = true, .twin = true}, Presence::reachable));
    }
    const std::size_t good = options_.devices - options_.bad;
    if (!driver_->until([&] { return driver_->attached() >= good * kDeviceLinks; }, std::chrono::seconds(120))) {
      std::fprintf(stderr, "only %zu of %zu link groups attached\n", driver_->attached(), good * kDeviceLinks);
      std::exit(1);
    }
    return seconds_since(begin);
  }

  void load() {
    const auto tick = std::chrono::milliseconds(1);
    driver_->start_latencies();
    double owed = 0;
    auto before = std::chrono::steady_clock::now();
    driver_->every(tick, [&] {
      const auto now = std::chrono::steady_clock::now();
      owed += std::chrono::duration<double>(now - before).count() * options_.rate;
      before = now;
      for (; owed >= 1; owed -= 1) driver_->say(slots_[next_++ % slots_.size()], std::string(options_.size, 'x'));
    });
    driver_->run_for(std::chrono::seconds(options_.seconds));
    driver_->every(tick, nullptr);
    driver_->until([&] { return good_settled(); }, std::chrono::seconds(30));
  }

  bool good_settled() {
    for (unsigned i = options_.bad; i < slots_.size(); ++i) {
      if (driver_->accepted(slots_[i]) != driver_->said(slots_[i])) return false;
    }
    return true;
  }

  int run_attach() {
    const auto took = attach();
    const auto attached_kib = pss();
    driver_->run_for(std::chrono::seconds(1));
    const auto cpu = cpu_seconds();
    const auto begin = std::chrono::steady_clock::now();
    driver_->run_for(std::chrono::seconds(options_.seconds));
    const auto idle = (cpu_seconds() - cpu) / seconds_since(begin) * 100;
    std::printf(
        "{\"devices\":%u,\"connections\":%zu,\"attach_s\":%.3f,\"kib_per_device\":%.1f,\"pss_mib\":%.1f,"
        "\"idle_cpu_percent\":%.3f}\n",
        options_.devices, driver_->status().connections.size(), took,
        static_cast<double>(attached_kib - empty_kib_) / options_.devices, static_cast<double>(attached_kib) / 1024,
        idle);
    return 0;
  }

  int run_load() {
    attach();
    load();
    const auto good = driver_->latency([this](DeviceSlot slot) { return slot.value >= options_.bad; });
    std::uint64_t lost = 0;
    for (unsigned i = options_.bad; i < slots_.size(); ++i)
      lost += driver_->said(slots_[i]) - driver_->accepted(slots_[i]);
    std::printf(
        "{\"devices\":%u,\"bad\":%u,\"said\":%llu,\"accepted\":%llu,\"good_missing\":%llu,\"rejected\":%llu,"
        "\"p50_ms\":%.3f,\"p99_ms\":%.3f,\"max_ms\":%.3f,\"detaches\":%llu,\"refusals\":%llu,\"put_tokens\":%llu,"
        "\"connections_ever\":%llu}\n",
        options_.devices, options_.bad, number(driver_->said()), number(driver_->accepted()), number(lost),
        number(driver_->rejected()), good.p50_ms, good.p99_ms, good.max_ms,
        number(driver_->count("device_detaches_total")), number(driver_->count("device_refusals_total")),
        number(driver_->count("uplink_put_tokens_total")), number(driver_->count("uplink_connections_total")));
    return 0;
  }

  // Answers methods at once: the bare round trip, for comparison with what a protocol behind it costs.
  int run_methods() {
    attach();
    std::printf("attached\n");
    std::fflush(stdout);
    driver_->run_for(std::chrono::seconds(options_.seconds));
    return 0;
  }

  // Devices come and go on one live connection, then many that were never seen; memory must stay flat.
  int run_churn() {
    constexpr unsigned kKnown = 500;
    std::mt19937 random(1);
    std::vector<bool> present(kKnown);
    std::vector<std::uint32_t> which_slot(kKnown);
    // Those that are there speak in turn, a thousand messages at most on their way.
    const auto talk = [&](std::uint64_t count) {
      if (std::find(present.begin(), present.end(), true) == present.end()) return;
      for (std::uint64_t sent = 0; sent < count; ++next_) {
        const auto which = static_cast<unsigned>(next_ % kKnown);
        if (!present[which]) continue;
        driver_->say({which_slot.at(which)}, std::string(options_.size, 'x'));
        ++sent;
        if (driver_->said() - driver_->accepted() >= 1000) {
          driver_->until([&] { return driver_->said() - driver_->accepted() < 500; }, std::chrono::seconds(30));
        }
      }
    };
    const auto cycle = [&](unsigned count) {
      for (unsigned i = 0; i < count; ++i) {
        const auto which = random() % kKnown;
        if (present[which]) {
          const DeviceSlot slot{which_slot[which]};
          driver_->until([&] { return driver_->accepted(slot) == driver_->said(slot); }, std::chrono::seconds(10));
          driver_->remove(name(which));
        } else {
          const auto slot = driver_->add(name(which), {.commands = true}, Presence::reachable);
          which_slot[which] = slot.value;
          driver_->say(slot, std::string(options_.size, 'x'));
          driver_->until([&] { return driver_->accepted(slot) == driver_->said(slot); }, std::chrono::seconds(10));
        }
        present[which] = !present[which];
        talk(options_.messages / options_.cycles);
      }
    };
    cycle(options_.cycles / 4);
    // What is there at one moment differs; emptied, the two are alike.
    const auto empty = [&] {
      driver_->until([&] { return driver_->accepted() == driver_->said(); }, std::chrono::seconds(30));
      for (unsigned i = 0; i < kKnown; ++i) {
        if (present[i]) driver_->remove(name(i));
        present[i] = false;
      }
      driver_->run_for(std::chrono::milliseconds(500));
      return pss();
    };
    const auto warm = empty();
    cycle(options_.cycles - options_.cycles / 4);
    const auto churned = empty();
    const auto connections = driver_->status().connections.size();
    for (unsigned i = kKnown; i < kKnown + 3000; ++i) {
      const auto slot = driver_->add(name(i), {.commands = true}, Presence::reachable);
      driver_->say(slot, "x");
    }
    driver_->until([&] { return driver_->accepted() == driver_->said(); }, std::chrono::seconds(120));
    std::printf(
        "{\"cycles\":%u,\"messages\":%llu,\"pss_mib_warm\":%.1f,\"pss_mib_after\":%.1f,\"connections_then\":%zu,"
        "\"connections_with_3000_fresh\":%zu,\"missing\":%llu,\"refusals\":%llu}\n",
        options_.cycles, number(driver_->said()), static_cast<double>(warm) / 1024, static_cast<double>(churned) / 1024,
        connections, driver_->status().connections.size(), number(driver_->said() - driver_->accepted()),
        number(driver_->count("device_refusals_total")));
    return 0;
  }

  static std::string name(unsigned i) { return "bench-" + std::to_string(i); }

 private:
  static unsigned long long number(std::uint64_t value) { return value; }

  const Options& options_;
  identity::Directory directory_;
  std::unique_ptr<TrunkDriver> driver_;
  std::vector<DeviceSlot> slots_;
  std::size_t next_ = 0;
  std::uint64_t empty_kib_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app("the trunk alone");
  app.add_option("--address", options.address)->required();
  app.add_option("--host", options.host)->required();
  app.add_option("--ca", options.ca_file)->required();
  app.add_option("--key", options.key, "base64, of all devices")->required();
  app.add_option("--mode", options.mode)->check(CLI::IsMember({"attach", "load", "churn", "methods"}));
  app.add_option("--devices", options.devices);
  app.add_option("--per-connection", options.per_connection);
  app.add_option("--bad", options.bad);
  app.add_option("--seconds", options.seconds);
  app.add_option("--rate", options.rate);
  app.add_option("--token-seconds", options.token_seconds);
  app.add_option("--cycles", options.cycles);
  app.add_option("--messages", options.messages);
  app.add_option("--size", options.size);
  CLI11_PARSE(app, argc, argv);
  log::set_level(log::Level::error);
  Bench bench(options);
  if (options.mode == "attach") return bench.run_attach();
  if (options.mode == "churn") return bench.run_churn();
  if (options.mode == "methods") return bench.run_methods();
  return bench.run_load();
}
