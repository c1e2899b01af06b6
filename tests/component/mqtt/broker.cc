// SPDX-License-Identifier: Apache-2.0
#include "tests/component/mqtt/broker.h"

#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <fstream>
#include <stdexcept>

namespace trunkline::test {

namespace {

std::string program_path() {
  // Debian puts it where a user's PATH does not look.
  return ::access("/usr/sbin/mosquitto", X_OK) == 0 ? "/usr/sbin/mosquitto" : "mosquitto";
}

}  // namespace

ScratchDirectory::ScratchDirectory() {
  auto name = (std::filesystem::temp_directory_path() / "trunkline-mqtt-XXXXXX").string();
  if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp");
  path_ = name;
}

ScratchDirectory::~ScratchDirectory() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::string ScratchDirectory::write(const std::string& name, const std::string& content) const {
  std::ofstream(file(name), std::ios::binary | std::ios::trunc) << content;
  return file(name);
}

Broker::Broker(std::string extra) : extra_(std::move(extra)) {}

void Broker::start() {
  std::string config = "listener " + std::to_string(port_.value()) + " 127.0.0.1\n" + extra_ +
                       "persistence true\npersistence_location " + directory_.file("") +
                       (unlimited ? "\nmax_queued_messages 0" : "") + "\nlog_dest stderr\nlog_type all\n";
  // As root it would become a user that cannot write into our directory.
  if (::geteuid() == 0) config += "user root\n";
  const auto file = directory_.write("mosquitto.conf", config);
  child_ = std::make_unique<Child>(std::vector<std::string>{program_path(), "-c", file});
  if (!child_->wait_line(" running")) throw std::runtime_error("mosquitto does not start:\n" + child_->output());
}

void Broker::stop() {
  child_->end(SIGTERM);
}

void Broker::forget_sessions() {
  std::filesystem::remove(directory_.file("mosquitto.db"));
}

std::vector<std::string> Broker::client(const std::string& program, const std::string& id,
                                        std::vector<std::string> arguments) const {
  std::vector<std::string> out{program, "-h", "127.0.0.1", "-p", std::to_string(port_.value()), "-V", "5",
                               "-q",    "1",  "-i",        id};
  out.insert(out.end(), arguments.begin(), arguments.end());
  return out;
}

void Broker::publish(const std::string& topic, const std::string& payload, std::vector<std::string> more) {
  std::vector<std::string> arguments{"-t", topic, "-m", payload};
  arguments.insert(arguments.end(), more.begin(), more.end());
  Child child(client("mosquitto_pub", "publisher", std::move(arguments)));
  if (child.wait_exit() != 0) throw std::runtime_error("mosquitto_pub failed:\n" + child.output());
}

std::unique_ptr<Child> Broker::subscribe(const std::string& id, const std::string& topic, const std::string& format) {
  const auto seen = child_->lines_with("Sending SUBACK to " + id);
  auto child = std::make_unique<Child>(client("mosquitto_sub", id, {"-t", topic, "-F", format}));
  if (!child_->wait_line("Sending SUBACK to " + id, seen + 1))
    throw std::runtime_error("no SUBACK:\n" + child->output());
  return child;
}

}  // namespace trunkline::test
