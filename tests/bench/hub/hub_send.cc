// SPDX-License-Identifier: Apache-2.0
// The hub thread alone: HubLink sending stamped messages of many devices, without intake or spool, to a receiver in
// another process (trunkline-bench-raw-proton --serve). Prints one JSON line with this process's CPU per message.
//   trunkline-bench-hub-send --port P --ca FILE [--devices N] [--messages M] [--size B] [--inflight W]
#include <sys/resource.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "gateway/hub/dialect.h"
#include "gateway/hub/hub_link.h"

using namespace trunkline;

namespace {

struct Options {
  std::string ca;
  std::uint16_t port = 0;
  std::size_t devices = 1, messages = 200'000, size = 200, inflight = 1000;
};

// The receiver of raw Proton takes any link and no tokens.
hub::Dialect without_tokens() {
  auto dialect = hub::iot_hub();
  dialect.token_node = {};
  return dialect;
}

double cpu_seconds() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

// Round robin over the devices that may send, with a window over all of them.
class Sender final : public UplinkEvents {
 public:
  explicit Sender(const Options& options) : options_(options), link_(io_, link_options(), clock_, metrics_) {
    link_.set_events(*this);
    for (std::size_t i = 0; i < options.devices; ++i) devices_.push_back(*DeviceId::parse("d" + std::to_string(i)));
    for (std::uint64_t i = 0; i < kPool; ++i) {
      const auto& device = devices_[i % devices_.size()];
      Telemetry telemetry{device, std::string(options.size, 'x'), "application/json", {}, {}, {}, Source::tcp};
      pool_.push_back(
          std::make_shared<Message>(Message{Position::make(1, i + 1), clock_.wall(), std::move(telemetry)}));
    }
  }

  int run() {
    link_.open();
    io_.run();
    return settled_ == options_.messages ? 0 : 1;
  }

 private:
  static constexpr std::size_t kPool = 4096;

  hub::HubLink::Options link_options() const {
    hub::HubLink::Options link;
    link.host = "localhost";
    link.address = {"127.0.0.1", options_.port};
    link.ca_file = options_.ca;
    link.gateway_id = "trunkline-bench";
    link.spool_uuid = std::string(32, '0');
    link.dialect = &dialect_;
    return link;
  }

  void on_ready(ConnectionSlot) override {
    for (std::uint32_t i = 0; i < devices_.size(); ++i) link_.authorise({i}, devices_[i], {});
  }
  void on_authorised(DeviceSlot slot) override { link_.attach(slot, DeviceLink::telemetry); }
  void on_attached(DeviceSlot slot, DeviceLink) override {
    ring_.push_back(slot);
    if (ring_.size() < devices_.size()) return;
    started_ = std::chrono::steady_clock::now();
    cpu_ = cpu_seconds();
    running_ = true;
    send();
  }
  void on_sendable(DeviceSlot slot) override {
    ring_.push_back(slot);
    send();
  }
  void on_outcome(DeviceSlot, Position, Outcome outcome) override {
    if (outcome.kind != Outcome::Kind::accepted) return fail("not accepted");
    if (++settled_ < options_.messages) return send();
    report();
    link_.close();
  }
  void on_lost(ConnectionSlot, LinkFault fault) override {
    if (fault.kind != LinkFault::Kind::stopped) fail(fault.description.c_str());
    io_.stop();
  }
  void on_refused(DeviceSlot, LinkFault fault) override { fail(fault.description.c_str()); }
  void on_detached(DeviceSlot, DeviceLink, LinkFault fault) override { fail(fault.description.c_str()); }
  void on_command(DeviceSlot, Command, CommandTag) override {}
  void on_method(DeviceSlot, MethodCall, MethodTag) override {}
  void on_twin_answer(DeviceSlot, TwinAnswer) override {}
  void on_desired(DeviceSlot, std::string) override {}

  void fail(const char* why) {
    std::fprintf(stderr, "hub send: %s\n", why);
    io_.stop();
  }

  void send() {
    while (running_ && sent_ < options_.messages && sent_ - settled_ < options_.inflight && !ring_.empty()) {
      const auto slot = ring_.front();
      ring_.pop_front();
      // Not now: on_sendable will list it again.
      if (link_.send(slot, pool_[sent_ % kPool]) != Uplink::SendResult::sent) continue;
      ++sent_;
      ring_.push_back(slot);
    }
  }

  void report() const {
    const double wall = std::chrono::duration<double>(std::chrono::steady_clock::now() - started_).count();
    const auto count = static_cast<double>(options_.messages);
    std::printf("{\"messages\":%zu,\"devices\":%zu,\"messages_per_s\":%.0f,\"cpu_us_per_message\":%.3f}\n",
                options_.messages, options_.devices, count / wall, (cpu_seconds() - cpu_) * 1e6 / count);
    std::fflush(stdout);
  }

  const Options& options_;
  const hub::Dialect dialect_ = without_tokens();
  boost::asio::io_context io_;
  SystemClock clock_;
  Metrics metrics_;
  hub::HubLink link_;
  std::vector<DeviceId> devices_;
  std::vector<MessagePtr> pool_;
  std::deque<DeviceSlot> ring_;
  std::size_t sent_ = 0, settled_ = 0;
  bool running_ = false;
  std::chrono::steady_clock::time_point started_;
  double cpu_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app("The hub link alone: CPU per message");
  app.add_option("--port", options.port)->required();
  app.add_option("--ca", options.ca)->required();
  app.add_option("--devices", options.devices)->check(CLI::Range(1, 8000));
  app.add_option("--messages", options.messages)->check(CLI::PositiveNumber);
  app.add_option("--size", options.size)->check(CLI::Range(1, 100'000));
  app.add_option("--inflight", options.inflight)->check(CLI::PositiveNumber);
  CLI11_PARSE(app, argc, argv);
  return Sender(options).run();
}
