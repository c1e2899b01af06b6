// SPDX-License-Identifier: Apache-2.0
#include "gateway/cli/control_client.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "gateway/base/json.h"

namespace trunkline::cli {
namespace {

constexpr std::size_t kMaxAnswer = 64 * 1024 * 1024;
constexpr Milliseconds kPatience{10'000};

class Socket {
 public:
  Socket() : number_(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) {}
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;
  ~Socket() {
    if (number_ >= 0) close(number_);
  }
  [[nodiscard]] int get() const { return number_; }

  Result<void> wait(short events, SteadyTime deadline) const {
    for (;;) {
      const auto left = std::chrono::duration_cast<Milliseconds>(deadline - std::chrono::steady_clock::now()).count();
      pollfd entry{number_, events, 0};
      const int ready = poll(&entry, 1, static_cast<int>(std::max<std::int64_t>(left, 0)));
      if (ready > 0) return {};
      if (ready == 0) return fail(ErrorCode::timed_out, "it does not answer");
      if (errno != EINTR) return fail(ErrorCode::unavailable, errno_text(errno));
    }
  }

 private:
  int number_;
};

Result<void> connect_to(const Socket& socket, const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) return fail(ErrorCode::invalid, "the path is too long for a socket");
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  if (connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) return {};
  switch (errno) {
    case ENOENT:
    case ECONNREFUSED:
    case ENOTDIR:
      return fail(ErrorCode::not_found, "trunkline is not running");
    case EACCES:
    case EPERM:
      return fail(ErrorCode::denied, "not allowed for this user; become root or trunkline");
    case EAGAIN:
      return fail(ErrorCode::unavailable, "it has too many connections");
    default:
      return fail(ErrorCode::unavailable, errno_text(errno));
  }
}

Result<std::string> exchange(const Socket& socket, std::string_view out, SteadyTime deadline) {
  while (!out.empty()) {
    const auto sent = send(socket.get(), out.data(), out.size(), MSG_NOSIGNAL);
    if (sent > 0) {
      out.remove_prefix(static_cast<std::size_t>(sent));
    } else if (errno == EAGAIN) {
      if (auto ready = socket.wait(POLLOUT, deadline); !ready) return fail(ready.error());
    } else if (errno != EINTR) {
      return fail(ErrorCode::unavailable, errno_text(errno));
    }
  }
  std::string answer;
  std::array<char, 16 * 1024> buffer{};
  for (;;) {
    const auto got = recv(socket.get(), buffer.data(), buffer.size(), 0);
    if (got > 0) {
      const std::string_view part(buffer.data(), static_cast<std::size_t>(got));
      const auto end = part.find('\n');
      answer += part.substr(0, end);
      if (end != std::string_view::npos) return answer;
      if (answer.size() > kMaxAnswer) return fail(ErrorCode::exhausted, "its answer is too long");
    } else if (got == 0) {
      return fail(ErrorCode::unavailable, "it closed the connection without an answer");
    } else if (errno == EAGAIN) {
      if (auto ready = socket.wait(POLLIN, deadline); !ready) return fail(ready.error());
    } else if (errno != EINTR) {
      return fail(ErrorCode::unavailable, errno_text(errno));
    }
  }
}

}  // namespace

Result<std::string> ask_gateway(const std::string& socket, const std::string& request, Milliseconds patience) {
  const auto deadline = std::chrono::steady_clock::now() + patience;
  const Socket connection;
  if (connection.get() < 0) return fail(ErrorCode::exhausted, socket + ": " + errno_text(errno));
  if (auto connected = connect_to(connection, socket); !connected) return fail(connected.error().in(socket));
  auto answer = exchange(connection, request + "\n", deadline);
  if (!answer) return fail(answer.error().in(socket));
  return answer;
}

Result<bool> announce_identities(const std::string& socket) {
  const auto answer = ask_gateway(socket, R"({"op":"identities_changed"})", kPatience);
  if (!answer) {
    if (answer.error().code == ErrorCode::not_found) return false;
    return fail(answer.error());
  }
  boost::system::error_code bad;
  const auto value = json::parse(*answer, bad);
  if (!bad && value.is_object()) {
    const auto* error = value.as_object().if_contains("error");
    if (error == nullptr) return true;
    if (error->is_string()) return fail(ErrorCode::internal, std::string(error->as_string()));
  }
  return fail(ErrorCode::internal, "it gave an answer that makes no sense");
}

}  // namespace trunkline::cli
