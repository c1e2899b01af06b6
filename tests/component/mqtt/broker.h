// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "tests/component/mqtt/child.h"
#include "tests/support/reserved_port.h"

namespace trunkline::test {

// A directory that goes away with the test.
class ScratchDirectory {
 public:
  ScratchDirectory();
  ~ScratchDirectory();
  ScratchDirectory(const ScratchDirectory&) = delete;
  ScratchDirectory& operator=(const ScratchDirectory&) = delete;
  [[nodiscard]] std::string file(const std::string& name) const { return (path_ / name).string(); }
  std::string write(const std::string& name, const std::string& content) const;

 private:
  std::filesystem::path path_;
};

// A mosquitto of the test's own on a free loopback port, which it keeps over restarts. Its log tells each packet, so
// that tests can wait for what the broker saw.
class Broker {
 public:
  // `extra` is put into its configuration as it stands.
  explicit Broker(std::string extra = "allow_anonymous true\n");

  void start();
  // In good order: it saves its sessions first.
  void stop();
  void forget_sessions();

  // Set before start: whether it keeps any number of messages for a client that is away, or what `extra` says.
  bool unlimited = true;

  [[nodiscard]] Child& log() { return *child_; }
  [[nodiscard]] std::uint16_t port() const { return port_.value(); }
  [[nodiscard]] const ScratchDirectory& directory() const { return directory_; }

  // mosquitto_pub and mosquitto_sub at this broker with MQTT 5 and QoS 1, as this client.
  [[nodiscard]] std::vector<std::string> client(const std::string& program, const std::string& id,
                                                std::vector<std::string> arguments) const;
  // Publishes as a device and waits until the broker acknowledged it.
  void publish(const std::string& topic, const std::string& payload, std::vector<std::string> more = {});
  // A device that writes a line in `format` for each message; returns once its subscription stands.
  std::unique_ptr<Child> subscribe(const std::string& id, const std::string& topic, const std::string& format);

 private:
  ScratchDirectory directory_;
  std::string extra_;
  ReservedPort port_;
  std::unique_ptr<Child> child_;
};

}  // namespace trunkline::test
