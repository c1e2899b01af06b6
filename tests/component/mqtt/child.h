// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace trunkline::test {

// A program that a test started, with every line that it writes. Ended by its pid when it goes out of scope.
class Child {
 public:
  static constexpr std::chrono::seconds kPatience{20};

  explicit Child(std::vector<std::string> arguments);
  ~Child();
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  // Waits until `count` lines so far contain the text, or for `patience`; says whether it came to that.
  bool wait_line(std::string_view text, std::size_t count = 1, std::chrono::milliseconds patience = kPatience);
  [[nodiscard]] std::size_t lines_with(std::string_view text) const;
  [[nodiscard]] std::string output() const;

  // Sends a signal and waits for the end.
  void end(int signal);
  // Waits for the end; nothing if it does not come in time.
  std::optional<int> wait_exit(std::chrono::milliseconds patience = kPatience);
  [[nodiscard]] pid_t pid() const { return pid_; }

 private:
  void read_all(int fd);
  [[nodiscard]] std::size_t count_locked(std::string_view text) const;

  pid_t pid_ = -1;
  std::thread reader_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::string> lines_;
  bool closed_ = false;
  std::optional<int> status_;
};

}  // namespace trunkline::test
