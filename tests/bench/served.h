// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <signal.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <string>

namespace trunkline::bench {

// What a process has taken so far.
struct Usage {
  double cpu_us = 0;
  long pss_kib = 0;
};

inline Usage usage_of(pid_t pid) {
  Usage out;
  std::ifstream stat("/proc/" + std::to_string(pid) + "/stat");
  std::string word;
  long user = 0, system = 0;
  for (int i = 1; i <= 13; ++i) stat >> word;
  stat >> user >> system;
  out.cpu_us = static_cast<double>(user + system) * 1e6 / static_cast<double>(::sysconf(_SC_CLK_TCK));
  std::ifstream memory("/proc/" + std::to_string(pid) + "/smaps_rollup");
  while (memory >> word) {
    if (word == "Pss:") memory >> out.pss_kib;
  }
  return out;
}

// A server in a process of its own, so that its CPU and memory are its own. `serve` tells the port it has chosen.
struct Served {
  using Ready = std::function<void(std::uint16_t port)>;

  pid_t pid = 0;
  std::uint16_t port = 0;

  explicit Served(const std::function<void(const Ready&)>& serve) {
    int pipe[2];
    if (::pipe(pipe) != 0) std::abort();
    pid = ::fork();
    if (pid < 0) std::abort();
    if (pid == 0) {
      serve([&pipe](std::uint16_t chosen) {
        if (::write(pipe[1], &chosen, sizeof chosen) != sizeof chosen) std::abort();
      });
      std::_Exit(0);
    }
    ::close(pipe[1]);  // so that a server that dies is noticed
    if (::read(pipe[0], &port, sizeof port) != sizeof port) std::abort();
    ::close(pipe[0]);
  }
  Served(const Served&) = delete;
  Served& operator=(const Served&) = delete;
  ~Served() {
    ::kill(pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
  }
};

}  // namespace trunkline::bench
