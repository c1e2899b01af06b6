// SPDX-License-Identifier: Apache-2.0
#include "tests/hubsim/hub_server.h"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <cstdlib>
#include <future>
#include <thread>

#include "gateway/base/crypto.h"
#include "gateway/base/encoding.h"
#include "gateway/base/json.h"
#include "gateway/base/log.h"
#include "gateway/net/connect.h"
#include "tests/hubsim/certificate.h"
#include "tests/hubsim/control.h"
#include "tests/hubsim/control_socket.h"
#include "tests/hubsim/hub.h"
#include "tests/hubsim/hub_connection.h"
#include "tests/hubsim/rest_api.h"

namespace trunkline::hubsim {

// Members in start order: the hub and the control socket die before the loop that they use.
class HubServer::Impl {
 public:
  boost::asio::io_context io{1};
  std::unique_ptr<Hub> hub;
  std::unique_ptr<RestApi> rest;
  std::unique_ptr<HttpServer> https;
  std::unique_ptr<ControlSocket> control_socket;
  std::string host;
  std::vector<net::Endpoint> endpoints;
  std::string https_address;
  CertificateFiles files;
  std::vector<NamedKey> policies;
  std::thread thread;

  ~Impl() {
    if (thread.joinable()) {
      boost::asio::post(io, [this] { stop(); });
      thread.join();
    }
  }

  // Runs on the hub's thread and waits there for what it asked for, never for another thread.
  template <class F>
  auto on_thread(F f) {
    using Value = std::invoke_result_t<F&>;
    std::promise<Value> promise;
    auto future = promise.get_future();
    boost::asio::post(io, [&promise, &f] {
      if constexpr (std::is_void_v<Value>) {
        f();
        promise.set_value();
      } else {
        promise.set_value(f());
      }
    });
    return future.get();
  }

  void run() {
    work_.emplace(io.get_executor());
    thread = std::thread([this] {
      try {
        io.run();
      } catch (const std::exception& error) {
        log::error("hubsim_failed", {{"error", error.what()}});
        std::abort();
      }
    });
  }

 private:
  void stop() {
    control_socket.reset();
    https.reset();
    rest.reset();
    hub.reset();
    work_.reset();
    io.stop();
  }
  std::optional<boost::asio::executor_work_guard<boost::asio::io_context::executor_type>> work_;
};

HubServer::HubServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
HubServer::~HubServer() = default;

Result<std::unique_ptr<HubServer>> HubServer::start(HubOptions options) {
  auto impl = std::make_unique<Impl>();
  impl->host =
      options.hub_name.find('.') == options.hub_name.npos ? options.hub_name + ".azure-devices.net" : options.hub_name;
  auto listen = options.also_listen;
  listen.push_back(options.listen);
  for (const auto& address : listen) {
    if (auto parsed = net::Endpoint::parse(address); !parsed) return fail(parsed.error());
  }
  auto files = prepare_certificate(options.state_directory, impl->host);
  if (!files) return fail(files.error());
  impl->files = *files;
  auto tls = net::tls_server_context(files->certificate, files->key);
  if (!tls) return fail(tls.error());
  auto log = ArrivalLog::open(options.record_bodies, options.events_file);
  if (!log) return fail(log.error());

  impl->policies = options.policies;
  if (impl->policies.empty()) {
    for (const auto* name : {"iothubowner", "service"}) {
      impl->policies.push_back({name, base64_encode(random_bytes(32))});
    }
  }
  Directory directory(impl->host);
  for (const auto& [name, key] : impl->policies) {
    if (auto added = directory.add_policy(name, key); !added) return fail(added.error());
  }
  for (const auto& [id, key] : options.devices) {
    if (auto added = directory.add_device(id, key); !added) return fail(added.error());
  }
  impl->hub = std::make_unique<Hub>(impl->io, options, std::move(directory), std::move(*log), *tls);
  for (const auto& device : options.devices) static_cast<void>(impl->hub->device(device.name));
  if (auto listening = impl->hub->set_listening(Hub::ListenMode::accept); !listening) return fail(listening.error());
  impl->endpoints = impl->hub->endpoints();
  if (!options.https.empty()) {
    const auto local = net::Endpoint::parse(options.https);
    if (!local) return fail(local.error());
    impl->rest = std::make_unique<RestApi>(*impl->hub);
    auto https = HttpServer::open(
        impl->io, *local, *tls, [rest = impl->rest.get()](const HttpRequest& request, const HttpServer::Reply& reply) {
          rest->handle(request, reply);
        });
    if (!https) return fail(https.error());
    impl->https = std::move(*https);
    impl->https_address = impl->https->local().text();
  }
  if (!options.control_socket.empty()) {
    auto socket = ControlSocket::open(impl->io, options.control_socket,
                                      [hub = impl->hub.get()](std::string_view request, const Reply& reply) {
                                        hubsim::control(*hub, request, reply);
                                      });
    if (!socket) return fail(socket.error());
    impl->control_socket = std::move(*socket);
  }
  impl->run();
  return std::unique_ptr<HubServer>(new HubServer(std::move(impl)));
}

std::string HubServer::host() const {
  return impl_->host;
}
std::string HubServer::address() const {
  return impl_->endpoints.front().text();
}
std::vector<std::string> HubServer::addresses() const {
  std::vector<std::string> texts;
  for (const auto& endpoint : impl_->endpoints) texts.push_back(endpoint.text());
  return texts;
}
std::string HubServer::https_address() const {
  return impl_->https_address;
}
std::uint16_t HubServer::port() const {
  return impl_->endpoints.front().port;
}
std::string HubServer::ca_file() const {
  return impl_->files.ca;
}
std::vector<NamedKey> HubServer::policies() const {
  return impl_->policies;
}

std::string HubServer::control(std::string_view request) {
  std::promise<std::string> promise;
  auto future = promise.get_future();
  boost::asio::post(impl_->io, [this, &promise, request] {
    hubsim::control(*impl_->hub, request, [&promise](std::string answer) { promise.set_value(std::move(answer)); });
  });
  return future.get();
}

std::string HubServer::add_device(const std::string& id, const std::string& key) {
  json::object request{{"op", "add_device"}, {"device", id}};
  if (!key.empty()) request["key"] = key;
  const auto answer = json::parse(control(json::serialize(request)));
  const auto* made = answer.get_object().if_contains("key");
  return made == nullptr ? std::string() : std::string(made->get_string());
}

std::vector<Arrival> HubServer::arrivals(const std::string& device) {
  return impl_->on_thread([this, &device] {
    std::vector<Arrival> copies;
    for (const auto* arrival : impl_->hub->log().find(device, 0, static_cast<std::size_t>(-1))) {
      copies.push_back(*arrival);
    }
    return copies;
  });
}

std::uint64_t HubServer::arrival_count(const std::string& device) {
  return impl_->on_thread([this, &device]() -> std::uint64_t {
    if (device.empty()) return impl_->hub->log().total();
    const auto known = impl_->hub->device(device);
    return known ? known->arrivals : 0;
  });
}

bool HubServer::wait_arrivals(const std::string& device, std::uint64_t count, std::chrono::milliseconds timeout) {
  json::object request{{"op", "wait_arrivals"}, {"count", count}, {"timeout_ms", timeout.count()}};
  if (!device.empty()) request["device"] = device;
  return json::parse(control(json::serialize(request))).at("ok").get_bool();
}

Result<std::uint64_t> HubServer::enqueue(const std::string& device, const std::string& body,
                                         const std::string& message_id) {
  return impl_->on_thread([this, &device, &body, &message_id]() -> Result<std::uint64_t> {
    const auto known = impl_->hub->device(device);
    if (!known) return fail(ErrorCode::not_found, "no device " + device);
    Message message;
    message.body = body;
    message.message_id = message_id;
    return impl_->hub->enqueue(*known, std::move(message), {});
  });
}

std::string HubServer::wait_outcome(const std::string& device, std::uint64_t sequence,
                                    std::chrono::milliseconds timeout) {
  json::object request{
      {"op", "wait_outcome"}, {"device", device}, {"sequence", sequence}, {"timeout_ms", timeout.count()}};
  auto answer = json::parse(control(json::serialize(request)));
  if (!answer.at("ok").get_bool()) {
    request["op"] = "command";
    answer = json::parse(control(json::serialize(request)));
  }
  const auto* state = answer.get_object().if_contains("state");
  return state == nullptr ? "unknown" : std::string(state->get_string());
}

std::size_t HubServer::connections_now() {
  return impl_->on_thread([this] {
    std::size_t count = 0;
    for (const auto& [number, connection] : impl_->hub->connections()) count += connection->opened() ? 1 : 0;
    return count;
  });
}

std::uint64_t HubServer::connections_ever() {
  return impl_->on_thread([this] { return impl_->hub->connections_ever(); });
}

}  // namespace trunkline::hubsim
