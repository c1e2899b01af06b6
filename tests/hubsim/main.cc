// SPDX-License-Identifier: Apache-2.0
#include <pthread.h>

#include <csignal>
#include <cstdio>
#include <string>
#include <vector>

#include "gateway/base/json.h"
#include "gateway/net/endpoint.h"
#include "tests/hubsim/command_line.h"
#include "tests/hubsim/control_socket.h"
#include "tests/hubsim/hub_server.h"

namespace trunkline::hubsim {
namespace {

int complain(const std::string& why, int status) {
  std::fprintf(stderr, "trunkline-hubsim: %s\n", why.c_str());
  return status;
}

std::string first_line(const HubServer& hub, const HubOptions& options) {
  json::object policies;
  for (const auto& [name, key] : hub.policies()) policies[name] = key;
  json::array addresses;
  for (const auto& address : hub.addresses()) addresses.push_back(json::string(address));
  json::object line{{"host", hub.host()},
                    {"address", hub.address()},
                    {"addresses", std::move(addresses)},
                    {"ports", json::object{{"amqps", hub.port()}}},
                    {"ca_file", hub.ca_file()},
                    {"policies", std::move(policies)}};
  if (!options.https.empty()) {
    line["https"] = hub.https_address();
    line["ports"].get_object()["https"] = net::Endpoint::parse(hub.https_address())->port;
  }
  if (!options.control_socket.empty()) line["control"] = options.control_socket;
  return json::serialize(line);
}

int ask_once(const CommandLine& line) {
  const auto answer = ask(line.options.control_socket, line.request);
  if (!answer) return complain(answer.error().message, 1);
  std::puts(answer->c_str());
  boost::system::error_code error;
  const auto value = json::parse(*answer, error);
  const auto* ok = value.is_object() ? value.get_object().if_contains("ok") : nullptr;
  return !error && ok != nullptr && ok->is_bool() && ok->get_bool() ? 0 : 1;
}

int run(const HubOptions& options) {
  // Before any thread exists, so that all of them leave these signals to sigwait.
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  std::signal(SIGPIPE, SIG_IGN);

  auto hub = HubServer::start(options);
  if (!hub) return complain(hub.error().message, 1);
  std::puts(first_line(**hub, options).c_str());
  std::fflush(stdout);
  int signal = 0;
  sigwait(&signals, &signal);
  return 0;
}

}  // namespace
}  // namespace trunkline::hubsim

int main(int argc, char* argv[]) {
  using namespace trunkline::hubsim;
  const auto line = parse_command_line(std::vector<std::string>(argv + 1, argv + argc));
  if (!line) return complain(line.error().message + " (see --help)", 2);
  switch (line->what) {
    case CommandLine::What::help:
      std::fputs(help_text().c_str(), stdout);
      return 0;
    case CommandLine::What::ask:
      return ask_once(*line);
    case CommandLine::What::run:
      return run(line->options);
  }
  return 1;
}
