// SPDX-License-Identifier: Apache-2.0
#include "tests/component/mqtt/child.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <stdexcept>

extern char** environ;

namespace trunkline::test {

Child::Child(std::vector<std::string> arguments) {
  int ends[2] = {-1, -1};
  if (::pipe2(ends, O_CLOEXEC) != 0) throw std::runtime_error("pipe");
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
  ::posix_spawn_file_actions_adddup2(&actions, ends[1], STDERR_FILENO);
  std::vector<char*> argv;
  for (auto& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  const int rc = ::posix_spawnp(&pid_, argv[0], &actions, nullptr, argv.data(), environ);
  ::posix_spawn_file_actions_destroy(&actions);
  ::close(ends[1]);
  if (rc != 0) {
    ::close(ends[0]);
    throw std::runtime_error("cannot start " + arguments[0]);
  }
  reader_ = std::thread([this, fd = ends[0]] { read_all(fd); });
}

Child::~Child() {
  if (!status_) end(SIGKILL);
  reader_.join();
}

bool Child::wait_line(std::string_view text, std::size_t count, std::chrono::milliseconds patience) {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, patience, [&] { return closed_ || count_locked(text) >= count; });
  return count_locked(text) >= count;
}

std::size_t Child::lines_with(std::string_view text) const {
  std::lock_guard lock(mutex_);
  return count_locked(text);
}

std::string Child::output() const {
  std::lock_guard lock(mutex_);
  std::string out;
  for (const auto& line : lines_) out += line + "\n";
  return out;
}

void Child::end(int signal) {
  if (status_) return;
  ::kill(pid_, signal);
  {
    // mosquitto 2.0.11 forgets a SIGTERM that comes between its word that it runs and its loop.
    std::unique_lock lock(mutex_);
    while (!changed_.wait_for(lock, std::chrono::seconds(1), [this] { return closed_; })) ::kill(pid_, signal);
  }
  int status = 0;
  ::waitpid(pid_, &status, 0);
  status_ = status;
}

std::optional<int> Child::wait_exit(std::chrono::milliseconds patience) {
  {
    std::unique_lock lock(mutex_);
    if (!changed_.wait_for(lock, patience, [this] { return closed_; })) return std::nullopt;
  }
  // Its output has ended, so it has, too.
  int status = 0;
  ::waitpid(pid_, &status, 0);
  status_ = status;
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

void Child::read_all(int fd) {
  std::string partial;
  char buffer[4096];
  for (;;) {
    const auto got = ::read(fd, buffer, sizeof buffer);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    partial.append(buffer, static_cast<std::size_t>(got));
    std::size_t end = 0;
    while ((end = partial.find('\n')) != std::string::npos) {
      {
        std::lock_guard lock(mutex_);
        lines_.push_back(partial.substr(0, end));
      }
      partial.erase(0, end + 1);
      changed_.notify_all();
    }
  }
  ::close(fd);
  {
    std::lock_guard lock(mutex_);
    closed_ = true;
  }
  changed_.notify_all();
}

std::size_t Child::count_locked(std::string_view text) const {
  return static_cast<std::size_t>(std::count_if(
      lines_.begin(), lines_.end(), [&](const std::string& line) { return line.find(text) != std::string::npos; }));
}

}  // namespace trunkline::test
