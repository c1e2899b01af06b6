// SPDX-License-Identifier: Apache-2.0
// The limit to compare with: Proton's own proactor sending to Proton's own proactor, one TLS connection, N links over S
// sessions, each message built, encoded and awaited. Prints one JSON line with the sender's CPU per message.
//   trunkline-bench-raw-proton --cert FILE --key FILE --ca FILE [--links N] [--messages M] [--size B] [--inflight W]
// With --serve it only receives, for another sender: prints its port and ends with the connection.
#include <proton/condition.h>
#include <proton/connection.h>
#include <proton/delivery.h>
#include <proton/event.h>
#include <proton/link.h>
#include <proton/listener.h>
#include <proton/message.h>
#include <proton/netaddr.h>
#include <proton/proactor.h>
#include <proton/sasl.h>
#include <proton/session.h>
#include <proton/ssl.h>
#include <proton/transport.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <deque>
#include <string>
#include <vector>

namespace {

struct Options {
  std::string cert, key, ca;
  bool serve = false;
  std::size_t links = 1, messages = 200'000, size = 200, inflight = 1000;
};

double cpu_seconds() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

[[noreturn]] void die(const char* what) {
  std::fprintf(stderr, "raw proton: %s\n", what);
  ::_exit(1);
}

// Accepts one connection, grants 1000 credits a link as the hub does, accepts everything.
[[noreturn]] void receive(const Options& options, int port_pipe) {
  constexpr int kCredit = 1000;
  auto* proactor = pn_proactor();
  auto* listener = pn_listener();
  char address[PN_MAX_ADDR];
  pn_proactor_addr(address, sizeof address, "127.0.0.1", "0");
  pn_proactor_listen(proactor, listener, address, 1);
  auto* domain = pn_ssl_domain(PN_SSL_MODE_SERVER);
  if (pn_ssl_domain_set_credentials(domain, options.cert.c_str(), options.key.c_str(), nullptr) != 0)
    die("cannot use --cert and --key");
  std::vector<char> buffer(1 << 20);
  for (;;) {
    auto* batch = pn_proactor_wait(proactor);
    while (auto* event = pn_event_batch_next(batch)) {
      switch (pn_event_type(event)) {
        case PN_LISTENER_OPEN: {
          const auto* local = pn_listener_addr(listener);
          char host[64];
          char port[16];
          if (local == nullptr || pn_netaddr_host_port(local, host, sizeof host, port, sizeof port) != 0)
            die("cannot listen");
          if (::write(port_pipe, port, std::strlen(port)) < 0) die("the parent is gone");
          ::close(port_pipe);
          break;
        }
        case PN_LISTENER_ACCEPT: {
          auto* transport = pn_transport();
          pn_transport_set_server(transport);
          pn_sasl_allowed_mechs(pn_sasl(transport), "ANONYMOUS");
          if (pn_ssl_init(pn_ssl(transport), domain, nullptr) != 0) die("TLS cannot start");
          pn_listener_accept2(listener, nullptr, transport);
          break;
        }
        case PN_CONNECTION_REMOTE_OPEN:
          pn_connection_open(pn_event_connection(event));
          break;
        case PN_SESSION_REMOTE_OPEN:
          pn_session_open(pn_event_session(event));
          break;
        case PN_LINK_REMOTE_OPEN: {
          auto* link = pn_event_link(event);
          pn_terminus_copy(pn_link_source(link), pn_link_remote_source(link));
          pn_terminus_copy(pn_link_target(link), pn_link_remote_target(link));
          pn_link_open(link);
          pn_link_flow(link, kCredit);
          break;
        }
        case PN_DELIVERY: {
          auto* delivery = pn_event_delivery(event);
          auto* link = pn_delivery_link(delivery);
          if (!pn_delivery_readable(delivery) || pn_delivery_partial(delivery)) break;
          if (pn_link_recv(link, buffer.data(), buffer.size()) < 0) die("cannot receive");
          pn_link_advance(link);
          pn_delivery_update(delivery, PN_ACCEPTED);
          pn_delivery_settle(delivery);
          if (const int left = pn_link_credit(link); left <= kCredit / 2) pn_link_flow(link, kCredit - left);
          break;
        }
        case PN_CONNECTION_REMOTE_CLOSE:
          pn_connection_close(pn_event_connection(event));
          break;
        case PN_TRANSPORT_CLOSED:
          ::_exit(0);
        default:
          break;
      }
    }
    pn_proactor_done(proactor, batch);
  }
}

class Sender {
 public:
  explicit Sender(const Options& options) : options_(options), body_(options.size, 'x'), buffer_(options.size + 1024) {}

  int run(const std::string& port) {
    auto* proactor = pn_proactor();
    auto* connection = pn_connection();
    auto* transport = pn_transport();
    pn_connection_set_hostname(connection, "localhost");
    pn_connection_set_container(connection, "trunkline-bench");
    pn_sasl_allowed_mechs(pn_sasl(transport), "ANONYMOUS");
    auto* domain = pn_ssl_domain(PN_SSL_MODE_CLIENT);
    pn_ssl_domain_set_trusted_ca_db(domain, options_.ca.c_str());
    pn_ssl_domain_set_peer_authentication(domain, PN_SSL_VERIFY_PEER_NAME, nullptr);
    pn_ssl_set_peer_hostname(pn_ssl(transport), "localhost");
    if (pn_ssl_init(pn_ssl(transport), domain, nullptr) != 0) die("TLS cannot start");
    char address[PN_MAX_ADDR];
    pn_proactor_addr(address, sizeof address, "127.0.0.1", port.c_str());
    pn_proactor_connect2(proactor, connection, transport, address);
    for (;;) {
      auto* batch = pn_proactor_wait(proactor);
      while (auto* event = pn_event_batch_next(batch)) {
        if (!handle(event, connection)) return settled_ == options_.messages ? 0 : 1;
      }
      pn_proactor_done(proactor, batch);
    }
  }

 private:
  bool handle(pn_event_t* event, pn_connection_t* connection) {
    switch (pn_event_type(event)) {
      case PN_CONNECTION_INIT:
        pn_connection_open(connection);
        break;
      case PN_CONNECTION_REMOTE_OPEN:
        for (std::size_t i = 0; i < options_.links; ++i) {
          auto* session = pn_session(connection);
          pn_session_open(session);
          auto* link = pn_sender(session, ("sender-" + std::to_string(i)).c_str());
          pn_terminus_set_address(pn_link_target(link),
                                  ("/devices/d" + std::to_string(i) + "/messages/events").c_str());
          pn_link_set_context(link, reinterpret_cast<void*>(i));
          pn_link_open(link);
          listed_.push_back(false);
        }
        break;
      case PN_LINK_FLOW: {
        auto* link = pn_event_link(event);
        if (attached_ < options_.links && pn_link_credit(link) > 0) ++attached_;
        list(link);
        if (attached_ == options_.links) {
          if (sent_ == 0) started_ = std::chrono::steady_clock::now(), cpu_ = cpu_seconds();
          send();
        }
        break;
      }
      case PN_DELIVERY: {
        auto* delivery = pn_event_delivery(event);
        if (!pn_delivery_updated(delivery) || !pn_delivery_settled(delivery)) break;
        pn_delivery_settle(delivery);
        if (++settled_ == options_.messages) {
          report();
          pn_connection_close(connection);
        } else {
          send();
        }
        break;
      }
      case PN_TRANSPORT_CLOSED:
        return false;
      default:
        break;
    }
    return true;
  }

  void list(pn_link_t* link) {
    const auto index = reinterpret_cast<std::size_t>(pn_link_get_context(link));
    if (listed_[index] || pn_link_credit(link) <= 0) return;
    listed_[index] = true;
    ring_.push_back(link);
  }

  void send() {
    while (sent_ < options_.messages && sent_ - settled_ < options_.inflight && !ring_.empty()) {
      auto* link = ring_.front();
      ring_.pop_front();
      listed_[reinterpret_cast<std::size_t>(pn_link_get_context(link))] = false;
      const std::uint64_t tag = ++sent_;
      pn_delivery(link, pn_dtag(reinterpret_cast<const char*>(&tag), sizeof tag));
      const auto size = encode();
      pn_link_send(link, buffer_.data(), size);
      pn_link_advance(link);
      list(link);
    }
  }

  std::size_t encode() {
    pn_message_clear(message_);
    pn_message_set_content_type(message_, "application/json");
    pn_message_set_inferred(message_, true);
    auto* id = pn_message_id(message_);
    const auto text = "bench-1-" + std::to_string(sent_);
    pn_data_put_string(id, pn_bytes(text.size(), text.data()));
    pn_data_put_binary(pn_message_body(message_), pn_bytes(body_.size(), body_.data()));
    auto size = buffer_.size();
    if (pn_message_encode(message_, buffer_.data(), &size) != 0) die("cannot encode");
    return size;
  }

  void report() const {
    const double wall = std::chrono::duration<double>(std::chrono::steady_clock::now() - started_).count();
    const auto count = static_cast<double>(options_.messages);
    std::printf("{\"messages\":%zu,\"links\":%zu,\"messages_per_s\":%.0f,\"cpu_us_per_message\":%.3f}\n",
                options_.messages, options_.links, count / wall, (cpu_seconds() - cpu_) * 1e6 / count);
    std::fflush(stdout);
  }

  const Options& options_;
  std::string body_;
  std::vector<char> buffer_;
  pn_message_t* message_ = pn_message();
  std::deque<pn_link_t*> ring_;
  std::vector<bool> listed_;
  std::size_t attached_ = 0, sent_ = 0, settled_ = 0;
  std::chrono::steady_clock::time_point started_;
  double cpu_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app("Raw Proton over one TLS connection: the limit to compare with");
  app.add_option("--cert", options.cert)->required();
  app.add_option("--key", options.key)->required();
  app.add_option("--ca", options.ca);
  app.add_flag("--serve", options.serve);
  app.add_option("--links", options.links)->check(CLI::Range(1, 8000));
  app.add_option("--messages", options.messages)->check(CLI::PositiveNumber);
  app.add_option("--size", options.size)->check(CLI::Range(1, 100'000));
  app.add_option("--inflight", options.inflight)->check(CLI::PositiveNumber);
  CLI11_PARSE(app, argc, argv);
  if (options.serve) receive(options, STDOUT_FILENO);
  int ends[2];
  if (::pipe(ends) != 0) die("no pipe");
  const auto child = ::fork();
  if (child < 0) die("no fork");
  if (child == 0) {
    ::close(ends[0]);
    receive(options, ends[1]);
  }
  ::close(ends[1]);
  char port[16] = {};
  if (::read(ends[0], port, sizeof port - 1) <= 0) die("the receiver did not start");
  const int status = Sender(options).run(port);
  ::waitpid(child, nullptr, 0);
  std::fflush(stdout);
  ::_exit(status);  // the proactor has nothing left to say
}
