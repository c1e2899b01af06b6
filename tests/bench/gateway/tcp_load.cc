// SPDX-License-Identifier: Apache-2.0
// Legacy devices under load: one TCP connection per device, lines of a given size, a window of unacknowledged lines
// each. One epoll thread. Prints one JSON line when every line was acknowledged.
//   trunkline-bench-tcp-load --ports FILE --messages M [--size B] [--window W]
//   trunkline-bench-tcp-load --port P --connections N --register "REG d-" [--size B] [--window W]
// The second form connects N devices to one listener, each says "REG d-0" and so on and is answered a line. Then it
// says "ready", and each line of standard input is a number of messages to send over the same connections.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
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

struct Load {
  std::vector<Device> devices;
  std::size_t size = 200, window = 64;
  int poll = ::epoll_create1(EPOLL_CLOEXEC);
  std::vector<epoll_event> events{256};
  std::vector<char> buffer = std::vector<char>(64 * 1024);

  void watch() {
    for (std::size_t i = 0; i < devices.size(); ++i) {
      epoll_event wanted{};
      wanted.events = EPOLLIN;
      wanted.data.u64 = i;
      ::epoll_ctl(poll, EPOLL_CTL_ADD, devices[i].socket, &wanted);
    }
  }

  // Blocking: the gateway pushing back slows this thread, as it would a device.
  static void send_all(const Device& device, const std::string& text) {
    std::size_t done = 0;
    while (done < text.size()) {
      const auto n = ::send(device.socket, text.data() + done, text.size() - done, MSG_NOSIGNAL);
      if (n < 0) die(std::string("send: ") + std::strerror(errno));
      done += static_cast<std::size_t>(n);
    }
  }

  void refill(Device& device) const {
    device.out.clear();
    while (device.sent < device.quota && device.sent - device.acknowledged < window) {
      auto line = "{\"n\":" + std::to_string(++device.sent) + ",\"pad\":\"";
      line.resize(size - 2, 'x');
      device.out += line + "\"}\n";
    }
    send_all(device, device.out);
  }

  // Whoever is heard next, and how many lines he said.
  template <class Heard>
  void hear(const Heard& heard) {
    const int count = ::epoll_wait(poll, events.data(), static_cast<int>(events.size()), 120'000);
    if (count <= 0) die("nothing was heard for 120 s");
    for (int i = 0; i < count; ++i) {
      auto& device = devices[events[static_cast<std::size_t>(i)].data.u64];
      const auto n = ::recv(device.socket, buffer.data(), buffer.size(), 0);
      if (n <= 0) die("the gateway closed a connection");
      heard(device, static_cast<std::size_t>(std::count(buffer.begin(), buffer.begin() + n, '\n')));
    }
  }

  void enter(const std::string& registration) {
    for (std::size_t i = 0; i < devices.size(); ++i) send_all(devices[i], registration + std::to_string(i) + "\n");
    std::size_t known = 0;
    while (known < devices.size()) hear([&known](Device& /*device*/, std::size_t lines) { known += lines; });
  }

  void run(std::size_t messages) {
    for (std::size_t i = 0; i < devices.size(); ++i) {
      devices[i].sent = devices[i].acknowledged = 0;
      devices[i].quota = messages / devices.size() + (i < messages % devices.size() ? 1 : 0);
    }
    const auto started = std::chrono::steady_clock::now();
    for (auto& device : devices) refill(device);
    std::size_t acknowledged = 0;
    while (acknowledged < messages) {
      hear([&](Device& device, std::size_t lines) {
        device.acknowledged += lines;
        acknowledged += lines;
        if (device.sent - device.acknowledged <= window / 2 || device.acknowledged == device.sent) refill(device);
      });
    }
    const double wall = std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
    std::printf("{\"messages\":%zu,\"devices\":%zu,\"safe_per_s\":%.0f}\n", messages, devices.size(),
                static_cast<double>(messages) / wall);
    std::fflush(stdout);
  }
};

}  // namespace

int main(int argc, char** argv) {
  std::string ports_file, registration;
  std::size_t messages = 100'000, connections = 0;
  std::uint16_t port = 0;
  Load load;
  CLI::App app("TCP devices under load");
  auto* one_each = app.add_option("--ports", ports_file, "file with one port a line, one device each");
  app.add_option("--port", port, "of one listener")->excludes(one_each);
  app.add_option("--connections", connections);
  app.add_option("--register", registration, "what a device says first, in front of its number");
  app.add_option("--messages", messages)->check(CLI::PositiveNumber);
  app.add_option("--size", load.size)->check(CLI::Range(16, 60'000));
  app.add_option("--window", load.window, "unacknowledged lines per device")->check(CLI::PositiveNumber);
  CLI11_PARSE(app, argc, argv);

  std::ifstream ports(ports_file);
  for (unsigned each = 0; ports >> each;)
    load.devices.push_back({connect_to(static_cast<std::uint16_t>(each)), 0, 0, 0, {}});
  for (std::size_t i = 0; i < connections; ++i) load.devices.push_back({connect_to(port), 0, 0, 0, {}});
  if (load.devices.empty()) die("no devices; see --ports and --connections");
  load.watch();
  if (connections == 0) {
    load.run(messages);
  } else {
    if (!registration.empty()) load.enter(registration);
    std::puts("ready");
    std::fflush(stdout);
    while (std::scanf("%zu", &messages) == 1) load.run(messages);
  }
  for (auto& device : load.devices) ::close(device.socket);
  return 0;
}
