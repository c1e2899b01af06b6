// SPDX-License-Identifier: Apache-2.0
// Legacy devices under load: one TCP connection per device, lines of a given size, a window of unacknowledged lines
// each. One epoll thread. Prints one JSON line when every line was acknowledged.
//   trunkline-bench-tcp-load --ports FILE --messages M [--size B] [--window W]
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <string>
#include <vector>

namespace {

struct Device {
  int socket = -1;
  std::size_t sent = 0, acknowledged = 0, quota = 0;
  std::string out;
};

[[noreturn]] void die(const std::string& what) {
  std::fprintf(stderr, "tcp load: %s\n", what.c_str());
  std::exit(1);
}

int connect_to(std::uint16_t port) {
  const int made = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (made < 0 || ::connect(made, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
    die("cannot connect to port " + std::to_string(port) + ": " + std::strerror(errno));
  }
  const int one = 1;
  ::setsockopt(made, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  return made;
}

}  // namespace

int main(int argc, char** argv) {
  std::string ports_file;
  std::size_t messages = 100'000, size = 200, window = 64;
  CLI::App app("TCP devices under load");
  app.add_option("--ports", ports_file, "file with one port a line, one device each")->required();
  app.add_option("--messages", messages)->check(CLI::PositiveNumber);
  app.add_option("--size", size)->check(CLI::Range(16, 60'000));
  app.add_option("--window", window, "unacknowledged lines per device")->check(CLI::PositiveNumber);
  CLI11_PARSE(app, argc, argv);

  std::vector<Device> devices;
  std::ifstream ports(ports_file);
  for (unsigned port = 0; ports >> port;)
    devices.push_back({connect_to(static_cast<std::uint16_t>(port)), 0, 0, 0, {}});
  if (devices.empty()) die("no ports in " + ports_file);
  for (std::size_t i = 0; i < devices.size(); ++i) {
    devices[i].quota = messages / devices.size() + (i < messages % devices.size() ? 1 : 0);
  }

  const int poll = ::epoll_create1(EPOLL_CLOEXEC);
  for (std::size_t i = 0; i < devices.size(); ++i) {
    epoll_event wanted{};
    wanted.events = EPOLLIN;
    wanted.data.u64 = i;
    ::epoll_ctl(poll, EPOLL_CTL_ADD, devices[i].socket, &wanted);
  }
  const auto refill = [size, window](Device& device) {
    device.out.clear();
    while (device.sent < device.quota && device.sent - device.acknowledged < window) {
      auto line = "{\"n\":" + std::to_string(++device.sent) + ",\"pad\":\"";
      line.resize(size - 2, 'x');
      device.out += line + "\"}\n";
    }
    std::size_t done = 0;
    while (done < device.out.size()) {  // blocking: the gateway pushing back slows this thread, as it would a device
      const auto n = ::send(device.socket, device.out.data() + done, device.out.size() - done, MSG_NOSIGNAL);
      if (n < 0) die(std::string("send: ") + std::strerror(errno));
      done += static_cast<std::size_t>(n);
    }
  };
  const auto started = std::chrono::steady_clock::now();
  for (auto& device : devices) refill(device);
  std::size_t acknowledged = 0;
  std::vector<epoll_event> events(256);
  std::vector<char> buffer(64 * 1024);
  while (acknowledged < messages) {
    const int count = ::epoll_wait(poll, events.data(), static_cast<int>(events.size()), 120'000);
    if (count <= 0)
      die("no acknowledgement for 120 s, " + std::to_string(acknowledged) + " of " + std::to_string(messages));
    for (int i = 0; i < count; ++i) {
      auto& device = devices[events[static_cast<std::size_t>(i)].data.u64];
      const auto n = ::recv(device.socket, buffer.data(), buffer.size(), 0);
      if (n <= 0) die("the gateway closed a connection");
      for (ssize_t k = 0; k < n; ++k) {
        if (buffer[static_cast<std::size_t>(k)] == '\n') ++device.acknowledged, ++acknowledged;
      }
      if (device.sent - device.acknowledged <= window / 2 || device.acknowledged == device.sent) refill(device);
    }
  }
  const double wall = std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
  std::printf("{\"messages\":%zu,\"devices\":%zu,\"safe_per_s\":%.0f}\n", messages, devices.size(),
              static_cast<double>(messages) / wall);
  for (auto& device : devices) ::close(device.socket);
  return 0;
}
