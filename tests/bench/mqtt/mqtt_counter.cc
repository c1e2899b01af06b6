// SPDX-License-Identifier: Apache-2.0
#include <mqtt/async_client.h>
#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <mutex>
#include <string>

// The least that a subscriber with Paho can do: count in the arrival callback. With the same client id, session and
// filter as the gateway it takes what the broker held, and prints its rate and its CPU for each message as one JSON
// object. The yardstick of mqtt_bench.py; with --messages 0 it only makes the session.
int main(int argc, char** argv) {
  CLI::App app("Paho's counting callback");
  std::string port, client = "trunkline", filter = "bench/+/state";
  unsigned long messages = 0;
  app.add_option("--port", port)->required();
  app.add_option("--client-id", client);
  app.add_option("--filter", filter);
  app.add_option("--messages", messages)->required();
  CLI11_PARSE(app, argc, argv);

  std::mutex mutex;
  std::condition_variable done;
  std::atomic<unsigned long> count{0};
  std::chrono::steady_clock::time_point first;
  try {
    mqtt::async_client session("tcp://127.0.0.1:" + port, client, mqtt::create_options(MQTTVERSION_5));
    session.set_message_callback([&](const mqtt::const_message_ptr&) {
      const auto number = count.fetch_add(1) + 1;
      if (number == 1) first = std::chrono::steady_clock::now();
      if (number != messages) return;
      const std::lock_guard lock(mutex);
      done.notify_all();
    });
    mqtt::connect_options options;
    options.set_mqtt_version(MQTTVERSION_5);
    options.set_clean_start(false);
    options.set_properties({{mqtt::property::SESSION_EXPIRY_INTERVAL, -1}});
    session.connect(options)->wait();
    if (messages == 0) {
      session.subscribe(filter, 1, mqtt::subscribe_options(true))->wait();
    } else {
      std::unique_lock lock(mutex);
      if (!done.wait_for(lock, std::chrono::minutes(5), [&] { return count.load() >= messages; })) return 1;
    }
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - first;
    rusage used{};
    ::getrusage(RUSAGE_SELF, &used);
    const auto micros = [](const timeval& time) {
      return 1e6 * static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec);
    };
    if (messages > 0) {
      std::printf("{\"messages_per_s\": %.0f, \"cpu_us\": %.2f}\n", static_cast<double>(messages) / took.count(),
                  (micros(used.ru_utime) + micros(used.ru_stime)) / static_cast<double>(messages));
    }
    session.disconnect()->wait();
  } catch (const mqtt::exception& e) {
    std::fprintf(stderr, "%s\n", e.what());
    return 1;
  }
  return 0;
}
