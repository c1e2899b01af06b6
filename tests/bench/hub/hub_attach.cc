// SPDX-License-Identifier: Apache-2.0
// What devices cost while they do nothing: authorises N devices at a hub and attaches all six links of each over one
// connection, pacing off, then stays. Prints one JSON line: the time that took, memory per device and idle CPU.
//   trunkline-bench-hub-attach --host NAME --address HOST:PORT --ca FILE --key BASE64 [--devices N] [--idle SECONDS]
// The devices are d0, d1, …, all with that key.
#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <string>
#include <vector>

#include "gateway/base/encoding.h"
#include "gateway/hub/hub_link.h"
#include "identity/sas.h"

using namespace trunkline;

namespace {

struct Options {
  std::string host, address, ca, key;
  std::size_t devices = 1000;
  int idle = 5;
};

double cpu_seconds() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

// Proportional set size of this process in KiB.
long pss() {
  std::ifstream file("/proc/self/smaps_rollup");
  for (std::string word; file >> word;) {
    if (word != "Pss:") continue;
    long value = 0;
    file >> value;
    return value;
  }
  return 0;
}

double milliseconds_since(std::chrono::steady_clock::time_point begin) {
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin).count();
}

class Crowd final : public UplinkEvents {
 public:
  Crowd(const Options& options, const net::Endpoint& address)
      : options_(options), key_(*base64_decode(options.key)), link_(io_, link_options(address), clock_, metrics_) {
    link_.set_events(*this);
    for (std::size_t i = 0; i < options.devices; ++i) devices_.push_back(*DeviceId::parse("d" + std::to_string(i)));
  }

  int run() {
    link_.open();
    io_.run();
    return done_ ? 0 : 1;
  }

 private:
  static constexpr DeviceLink kAll[] = {DeviceLink::telemetry, DeviceLink::commands, DeviceLink::methods,
                                        DeviceLink::twin};

  hub::HubLink::Options link_options(const net::Endpoint& address) const {
    hub::HubLink::Options link;
    link.host = options_.host;
    link.address = address;
    link.ca_file = options_.ca;
    link.gateway_id = "trunkline-bench";
    link.spool_uuid = std::string(32, '0');
    return link;
  }

  void on_ready(ConnectionSlot) override {
    before_ = pss();
    started_ = std::chrono::steady_clock::now();
    const auto expires = clock_.wall() + std::chrono::hours(1);
    for (std::uint32_t i = 0; i < devices_.size(); ++i) {
      const auto audience = options_.host + "/devices/" + devices_[i].text();
      link_.authorise({i}, devices_[i], {audience, identity::sign_token(audience, key_, expires), expires});
    }
  }
  void on_authorised(DeviceSlot slot) override {
    for (const auto which : kAll) link_.attach(slot, which);
  }
  void on_attached(DeviceSlot, DeviceLink) override {
    if (++attached_ < devices_.size() * std::size(kAll)) return;
    took_ = milliseconds_since(started_);
    cpu_ = cpu_seconds();
    idle_.expires_after(std::chrono::seconds(options_.idle));
    idle_.async_wait([this](const boost::system::error_code&) { report(); });
  }
  void on_lost(ConnectionSlot, LinkFault fault) override {
    if (fault.kind != LinkFault::Kind::stopped) fail(fault);
    io_.stop();
  }
  void on_refused(DeviceSlot, LinkFault fault) override { fail(fault); }
  void on_detached(DeviceSlot, DeviceLink, LinkFault fault) override { fail(fault); }
  void on_sendable(DeviceSlot) override {}
  void on_outcome(DeviceSlot, Position, Outcome) override {}
  void on_command(DeviceSlot, Command, CommandTag) override {}

  void fail(const LinkFault& fault) {
    std::fprintf(stderr, "hub attach: %s\n", fault.description.c_str());
    io_.stop();
  }

  void report() {
    const double idle = (cpu_seconds() - cpu_) / options_.idle;
    std::printf(
        "{\"devices\":%zu,\"attach_ms\":%.0f,\"kib_per_device\":%.2f,\"pss_mib\":%.1f,\"idle_cpu_percent\":%.3f}\n",
        devices_.size(), took_, static_cast<double>(pss() - before_) / static_cast<double>(devices_.size()),
        static_cast<double>(pss()) / 1024, idle * 100);
    done_ = true;
    link_.close();
  }

  const Options& options_;
  boost::asio::io_context io_;
  boost::asio::steady_timer idle_{io_};
  SystemClock clock_;
  Metrics metrics_;
  Secret key_;
  hub::HubLink link_;
  std::vector<DeviceId> devices_;
  std::size_t attached_ = 0;
  std::chrono::steady_clock::time_point started_;
  double took_ = 0, cpu_ = 0;
  long before_ = 0;
  bool done_ = false;
};

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app("Idle devices over one hub link");
  app.add_option("--host", options.host)->required();
  app.add_option("--address", options.address)->required();
  app.add_option("--ca", options.ca)->required();
  app.add_option("--key", options.key)->required();
  app.add_option("--devices", options.devices)->check(CLI::Range(1, 8000));
  app.add_option("--idle", options.idle)->check(CLI::Range(1, 3600));
  CLI11_PARSE(app, argc, argv);
  const auto address = net::Endpoint::parse(options.address);
  if (!address) {
    std::fprintf(stderr, "hub attach: %s\n", address.error().message.c_str());
    return 2;
  }
  return Crowd(options, *address).run();
}
