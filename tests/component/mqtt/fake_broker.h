// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace trunkline::test {

// A broker that does what no honest one does: it lets everybody in (MQTT 5, no session), grants every subscription,
// sends packets as the test wrote them, and answers a PUBLISH with the reason that the test wants. One thread; one
// connection at a time has its attention.
class FakeBroker {
 public:
  FakeBroker();
  ~FakeBroker();
  FakeBroker(const FakeBroker&) = delete;
  FakeBroker& operator=(const FakeBroker&) = delete;

  [[nodiscard]] std::uint16_t port() const { return port_; }

  // The reason code of each PUBACK from now on (MQTT 5.0 section 3.4.2.1); 0 is sent in its short form.
  void answer_publishes_with(std::uint8_t reason) { reason_ = reason; }

  // To the connection that subscribed last; false if there is none.
  bool send(std::string_view packet);

  // A QoS 1 PUBLISH whose parts are put in as they are; `properties` is the whole list without its length.
  static std::string publish(std::string_view topic, std::string_view payload, std::uint16_t id,
                             std::string_view properties = {});

  // Each waits until it came to that, and says whether it did.
  bool wait_subscriptions(std::size_t count);
  bool wait_pubacks(std::size_t count);
  bool wait_publishes(std::size_t count);

 private:
  struct Link {
    int fd = -1;
    std::string read;
  };
  void serve();
  bool take_packets(Link& link);
  void answer(Link& link, std::uint8_t first, std::string_view body);
  template <class F>
  bool wait(F reached);

  int listener_ = -1;
  int stop_[2] = {-1, -1};
  std::uint16_t port_ = 0;
  std::atomic<std::uint8_t> reason_{0};
  std::mutex mutex_;
  std::condition_variable changed_;
  int subscriber_ = -1;
  std::size_t subscriptions_ = 0;
  std::size_t pubacks_ = 0;
  std::size_t publishes_ = 0;
  std::thread thread_;
};

}  // namespace trunkline::test
