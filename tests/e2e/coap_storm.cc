// SPDX-License-Identifier: Apache-2.0
// usage: trunkline-coap-storm PORT dtls|plain COUNT SECONDS KEY
//
// COUNT CoAP devices that come within SECONDS: over DTLS "storm-0", "storm-1", … each with a session of its own and
// KEY, POST to /t; plain ones each with a port of its own, POST to /p/0 … /p/9. Each says one confirmable message and
// waits for its 2.04. Then, and again for each line on standard input, one JSON line: how many were answered, and how
// long that took, handshake included. All sessions stay until standard input ends.
#include <sys/resource.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/coap_peer.h"
#include "tests/support/dtls_peer.h"

using namespace trunkline::test;
using Steady = std::chrono::steady_clock;

namespace {

constexpr std::size_t kThreads = 8;

struct Device {
  std::unique_ptr<CoapPeer> plain;
  std::unique_ptr<DtlsPeer> secure;
  CoapMessage request;
  double milliseconds = -1;  // until its last message was answered; negative: it was not

  template <class Peer>
  bool ask(Peer& peer) {
    request.id = static_cast<std::uint16_t>(request.id + 1);
    request.token = std::to_string(request.id);
    // A confirmable message is sent again until it is acknowledged (RFC 7252 section 4.2).
    for (int attempt = 0; attempt < 6; ++attempt) {
      peer.send(request);
      for (auto answer = peer.receive(std::chrono::seconds(2 << attempt)); answer;
           answer = peer.receive(std::chrono::seconds(30))) {
        if (answer->type == CoapMessage::con) peer.acknowledge(*answer);
        if (answer->code != 0 && answer->token == request.token) return answer->code == 204;
      }
    }
    return false;
  }
};

class Storm {
 public:
  explicit Storm(char** arguments)
      : address_(std::string("127.0.0.1:") + arguments[1]),
        secure_(std::string(arguments[2]) == "dtls"),
        devices_(std::strtoul(arguments[3], nullptr, 10)),
        spread_(std::strtod(arguments[4], nullptr)),
        key_(arguments[5]) {}

  void round() {
    const auto start = Steady::now();
    std::vector<std::thread> threads;
    for (std::size_t first = 0; first < kThreads; ++first) {
      threads.emplace_back([this, first, start] {
        for (auto i = first; i < devices_.size(); i += kThreads) {
          const std::chrono::duration<double> due(spread_ * static_cast<double>(i) /
                                                  static_cast<double>(devices_.size()));
          std::this_thread::sleep_until(start + due);
          say(i);
        }
      });
    }
    for (auto& thread : threads) thread.join();
    tell(std::chrono::duration<double>(Steady::now() - start).count());
    spread_ = 0;
  }

 private:
  void say(std::size_t i) {
    auto& device = devices_[i];
    const auto begun = Steady::now();
    if (!device.plain && !device.secure) {
      device.request.code = 2;
      device.request.path(secure_ ? "/t" : "/p/" + std::to_string(i % 10)).payload = std::string(200, 'x');
      if (secure_) {
        device.secure = std::make_unique<DtlsPeer>(address_, DtlsProof{"storm-" + std::to_string(i), key_, {}, {}});
      } else {
        device.plain = std::make_unique<CoapPeer>(address_);
      }
    }
    const bool answered =
        secure_ ? device.secure->ok() && device.ask(*device.secure) : device.plain->ok() && device.ask(*device.plain);
    const std::chrono::duration<double, std::milli> took = Steady::now() - begun;
    device.milliseconds = answered ? took.count() : -1;
  }

  void tell(double seconds) const {
    std::vector<double> times;
    for (const auto& device : devices_) {
      if (device.milliseconds >= 0) times.push_back(device.milliseconds);
    }
    std::sort(times.begin(), times.end());
    const auto at = [&times](double share) {
      return times.empty() ? 0.0 : times[static_cast<std::size_t>(share * static_cast<double>(times.size() - 1))];
    };
    std::printf(R"({"answered":%zu,"seconds":%.2f,"p50_ms":%.2f,"p99_ms":%.2f})"
                "\n",
                times.size(), seconds, at(0.5), at(0.99));
    std::fflush(stdout);
  }

  std::string address_;
  bool secure_;
  std::vector<Device> devices_;
  double spread_;
  std::string key_;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 6) return 2;
  rlimit files{};
  ::getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &files);
  Storm storm(argv);
  storm.round();
  for (std::string line; std::getline(std::cin, line);) storm.round();
}
