// SPDX-License-Identifier: Apache-2.0
// usage: tcp_bench [SECONDS]       lines of 200 bytes, each acknowledged: the adapter with an ingress that answers at
// once, beside Asio alone with the same framing that answers at once. Prints one line of each for 10, 1000 and 10000
// connections: rate, CPU of the server per message, and its memory per connection.
//        tcp_bench serve     prints a port and serves Asio alone there, for gateway_tcp_bench.py.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "adapters/tcp/frame_reader.h"
#include "adapters/tcp/tcp_adapter.h"
#include "gateway/base/log.h"
#include "gateway/net/connect.h"
#include "tests/bench/served.h"

using namespace trunkline;
using Steady = std::chrono::steady_clock;
using bench::Served;
using bench::Usage;
using bench::usage_of;

namespace {

constexpr std::string_view kAck = "K\n";

class SafeAtOnce final : public Ingress {
 public:
  void submit(Telemetry /*telemetry*/, Completion<Admission> done) override { done(Admission::safe()); }
  void presence(const DeviceId& /*device*/, Presence /*presence*/) override {}
  Result<void> report(const DeviceId& /*device*/, std::string_view /*patch*/) override { return {}; }
  [[nodiscard]] Result<Secret> handshake_key(const DeviceId& /*device*/) const override {
    return fail(ErrorCode::not_found, "no key");
  }
};

std::uint16_t port_of(const std::string& address) {
  return static_cast<std::uint16_t>(std::stoi(address.substr(address.rfind(':') + 1)));
}

void serve_ours(std::size_t devices, const Served::Ready& ready) {
  log::set_level(log::Level::error);
  SystemClock clock;
  Metrics metrics;
  SafeAtOnce ingress;
  std::vector<DeviceMap> maps;
  for (std::size_t i = 0; i < devices; ++i) {
    DeviceMap map{.id = *DeviceId::parse("device-" + std::to_string(i))};
    map.tcp = TcpMap{"127.0.0.1:0", {}, std::string(kAck), {}};
    map.tcp->line.identify.by = TcpIdentify::By::registration;
    map.tcp->line.identify.field = {.from = FrameField::From::match, .pattern = *Pattern::parse("^REG (.*)$")};
    map.tcp->line.identify.answer = kAck;
    maps.push_back(std::move(map));
  }
  TcpAdapter adapter(maps, clock, metrics);
  if (const auto started = adapter.start(ingress); !started) {
    std::fprintf(stderr, "%s\n", started.error().message.c_str());
    std::exit(1);
  }
  ready(port_of(adapter.listening(maps.front().id)));
  for (;;) ::pause();
}

// Asio, the same codec, and an answer for each line.
struct BareLine : std::enable_shared_from_this<BareLine> {
  explicit BareLine(std::unique_ptr<net::Stream> of) : stream(std::move(of)), frames(framing) {}
  void read() {
    const auto space = frames.space();
    stream->async_read_some(net::asio::buffer(space.data(), space.size()),
                            [self = shared_from_this()](net::error_code error, std::size_t count) {
                              if (error) return;
                              self->frames.commit(count);
                              while (self->frames.next()) self->next += kAck;
                              self->write();
                              self->read();
                            });
  }
  void write() {
    if (!out.empty() || next.empty()) return;
    out.swap(next);
    stream->async_write(net::asio::buffer(out), [self = shared_from_this()](net::error_code error, std::size_t) {
      self->out.clear();
      if (!error) self->write();
    });
  }
  Framing framing{};
  std::unique_ptr<net::Stream> stream;
  tcp::FrameReader frames;
  std::string out, next;
};

void serve_bare(std::size_t /*devices*/, const Served::Ready& ready) {
  net::asio::io_context io{1};
  const auto listener = net::Listener::open(io, {"127.0.0.1", 0}, [](net::asio::ip::tcp::socket socket) {
    std::make_shared<BareLine>(net::tcp_stream(std::move(socket)))->read();
  });
  ready((*listener)->local().port);
  io.run();
}

struct Client {
  int fd = -1;
  std::string out;
  std::size_t acknowledged = 0;
};

void say(Client& client) {
  const auto count = ::send(client.fd, client.out.data(), client.out.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  if (count > 0) client.out.erase(0, static_cast<std::size_t>(count));
}

// Acknowledgements that came; two bytes each, perhaps cut.
std::size_t hear(Client& client, std::size_t& half) {
  char bytes[4096];
  const auto count = ::recv(client.fd, bytes, sizeof bytes, MSG_DONTWAIT);
  if (count <= 0) return 0;
  half += static_cast<std::size_t>(count);
  const auto whole = half / kAck.size();
  half %= kAck.size();
  return whole;
}

void measure(const char* what, std::size_t connections, std::size_t window, double seconds, const Served& server) {
  const auto before = usage_of(server.pid);
  std::vector<Client> clients(connections);
  std::vector<std::size_t> halves(connections);
  const int epoll = ::epoll_create1(EPOLL_CLOEXEC);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(server.port);
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  for (std::size_t i = 0; i < connections; ++i) {
    clients[i].fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (::connect(clients[i].fd, reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0) {
      std::perror("connect");
      return;
    }
    clients[i].out = "REG device-" + std::to_string(i) + "\n";
    say(clients[i]);
    epoll_event event{EPOLLIN, {.u64 = i}};
    ::epoll_ctl(epoll, EPOLL_CTL_ADD, clients[i].fd, &event);
  }
  const std::string line = std::string(199, 'x') + "\n";
  std::size_t registered = 0, messages = 0;
  std::vector<epoll_event> events(512);
  auto idle = before;
  Usage cpu;
  auto start = Steady::now();
  auto end = start + std::chrono::seconds(60);
  bool talking = false;
  while (Steady::now() < end) {
    const int count = ::epoll_wait(epoll, events.data(), static_cast<int>(events.size()), 200);
    for (int i = 0; i < count; ++i) {
      const auto at = events[static_cast<std::size_t>(i)].data.u64;
      const auto heard = hear(clients[at], halves[at]);
      if (!talking) {
        registered += heard;
        continue;
      }
      messages += heard;
      for (std::size_t n = 0; n < heard; ++n) clients[at].out += line;
      say(clients[at]);
    }
    if (talking || registered < connections) continue;
    talking = true;
    idle = usage_of(server.pid);
    for (auto& client : clients) {
      for (std::size_t n = 0; n < window; ++n) client.out += line;
      say(client);
    }
    cpu = usage_of(server.pid);
    start = Steady::now();
    end = start + std::chrono::duration_cast<Steady::duration>(std::chrono::duration<double>(seconds));
  }
  const auto after = usage_of(server.pid);
  const std::chrono::duration<double> took = Steady::now() - start;
  for (auto& client : clients) ::close(client.fd);
  ::close(epoll);
  if (messages == 0) {
    std::printf("%-9s %5zu connections: %zu registered, no acknowledgement\n", what, connections, registered);
    return;
  }
  std::printf("%-9s %5zu connections x %2zu: %8.0f msg/s  CPU %6.2f us/msg  %6.2f KiB/connection idle, %6.2f talking\n",
              what, connections, window, static_cast<double>(messages) / took.count(),
              (after.cpu_us - cpu.cpu_us) / static_cast<double>(messages),
              static_cast<double>(idle.pss_kib - before.pss_kib) / static_cast<double>(connections),
              static_cast<double>(after.pss_kib - before.pss_kib) / static_cast<double>(connections));
  std::fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc > 1 && std::string_view(argv[1]) == "serve") {
    serve_bare(0, [](std::uint16_t port) {
      std::printf("%u\n", port);
      std::fflush(stdout);
    });
    return 0;
  }
  const double seconds = argc > 1 ? std::atof(argv[1]) : 2;
  rlimit files{};
  ::getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &files);
  struct Load {
    std::size_t connections, window;
  };
  for (const auto& [connections, window] : {Load{10, 50}, Load{1000, 10}, Load{10'000, 1}}) {
    {
      const Served bare([n = connections](const auto& ready) { serve_bare(n, ready); });
      measure("bare Asio", connections, window, seconds, bare);
    }
    const Served ours([n = connections](const auto& ready) { serve_ours(n, ready); });
    measure("adapter", connections, window, seconds, ours);
  }
}
