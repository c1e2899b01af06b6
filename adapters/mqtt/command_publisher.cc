// SPDX-License-Identifier: Apache-2.0
#include "adapters/mqtt/command_publisher.h"

#include <mosquitto.h>
#include <mqtt_protocol.h>
#include <netdb.h>
#include <pthread.h>
#include <sys/socket.h>

#include <atomic>
#include <csignal>
#include <mutex>
#include <thread>
#include <unordered_map>

namespace trunkline::mqtt {

namespace {

// MQTT 5.0 section 2.4.
constexpr int kNobodySubscribed = 0x10;
constexpr int kFirstFailure = 0x80;
constexpr int kLoopMilliseconds = 500;
constexpr int kLeastKeepAlive = 5;  // libmosquitto's own

void initialise() {
  static std::once_flag once;
  std::call_once(once, [] { ::mosquitto_lib_init(); });
}

// The errno tells more where a system call failed.
std::string failure_text(int code) {
  return code == MOSQ_ERR_ERRNO ? errno_text(errno) : ::mosquitto_strerror(code);
}

bool has_ipv4_address(const std::string& host) {
  addrinfo hints{};
  hints.ai_family = AF_INET;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (::getaddrinfo(host.c_str(), nullptr, &hints, &found) != 0) return false;
  ::freeaddrinfo(found);
  return true;
}

struct FreeProperties {
  void operator()(mosquitto_property* list) const { ::mosquitto_property_free_all(&list); }
};

std::unique_ptr<mosquitto_property, FreeProperties> to_properties(const Outgoing& message) {
  mosquitto_property* list = nullptr;
  if (const auto seconds = message.expiry_seconds()) {
    ::mosquitto_property_add_int32(&list, MQTT_PROP_MESSAGE_EXPIRY_INTERVAL, static_cast<std::uint32_t>(*seconds));
  }
  if (!message.content_type.empty() && carries(message.content_type)) {
    ::mosquitto_property_add_string(&list, MQTT_PROP_CONTENT_TYPE, message.content_type.c_str());
  }
  if (!message.correlation.empty() && message.correlation.size() <= UINT16_MAX) {
    ::mosquitto_property_add_binary(&list, MQTT_PROP_CORRELATION_DATA, message.correlation.data(),
                                    static_cast<std::uint16_t>(message.correlation.size()));
  }
  if (!message.response_topic.empty()) {
    ::mosquitto_property_add_string(&list, MQTT_PROP_RESPONSE_TOPIC, message.response_topic.c_str());
  }
  for (const auto& [name, value] : message.properties) {
    if (carries(name) && carries(value)) {
      ::mosquitto_property_add_string_pair(&list, MQTT_PROP_USER_PROPERTY, name.c_str(), value.c_str());
    }
  }
  return std::unique_ptr<mosquitto_property, FreeProperties>(list);
}

}  // namespace

class CommandPublisher::Connection {
 public:
  Connection(std::uint64_t epoch, SessionEvents& events) : epoch_(epoch), events_(events) {}
  ~Connection() {
    stop_ = true;
    if (thread_.joinable()) {
      ::mosquitto_disconnect(client_);
      thread_.join();
    }
    if (client_ != nullptr) ::mosquitto_destroy(client_);
  }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  Result<void> start(const SessionOptions& options) {
    initialise();
    client_ = ::mosquitto_new((options.client_id + "-commands").c_str(), true, this);
    if (client_ == nullptr) return fail(ErrorCode::internal, "no MQTT client for commands: " + errno_text(errno));
    int code = ::mosquitto_int_option(client_, MOSQ_OPT_PROTOCOL_VERSION, MQTT_PROTOCOL_V5);
    if (code == MOSQ_ERR_SUCCESS) code = ::mosquitto_threaded_set(client_, true);
    if (code == MOSQ_ERR_SUCCESS && !options.user.empty()) {
      code = ::mosquitto_username_pw_set(client_, options.user.c_str(), std::string(options.password.reveal()).c_str());
    }
    if (code == MOSQ_ERR_SUCCESS && options.tls) code = set_tls(options);
    if (code != MOSQ_ERR_SUCCESS) return fail(ErrorCode::invalid, "the connection for commands: " + failure_text(code));
    ::mosquitto_connect_v5_callback_set(client_,
                                        [](mosquitto*, void* self, int reason, int, const mosquitto_property*) {
                                          static_cast<Connection*>(self)->on_connect(reason);
                                        });
    ::mosquitto_publish_v5_callback_set(client_,
                                        [](mosquitto*, void* self, int packet, int reason, const mosquitto_property*) {
                                          static_cast<Connection*>(self)->on_publish(packet, reason);
                                        });
    thread_ = std::thread([this, host = options.host, port = options.port,
                           alive = std::max(kLeastKeepAlive, static_cast<int>(options.keep_alive.count() / 1000))] {
      ::pthread_setname_np(::pthread_self(), "mqtt-commands");
      // libmosquitto writes to sockets that may be closed already; that is its error, not our end.
      sigset_t pipe{};
      ::sigemptyset(&pipe);
      ::sigaddset(&pipe, SIGPIPE);
      ::pthread_sigmask(SIG_BLOCK, &pipe, nullptr);
      run(host, port, alive);
    });
    return {};
  }

  Result<void> publish(std::uint64_t ticket, const Outgoing& message) {
    const auto properties = to_properties(message);
    // The answer must not be looked up before the ticket is there.
    const std::lock_guard lock(mutex_);
    int packet = 0;
    const int code =
        ::mosquitto_publish_v5(client_, &packet, message.topic.c_str(), static_cast<int>(message.payload.size()),
                               message.payload.data(), 1, false, properties.get());
    if (code != MOSQ_ERR_SUCCESS) return fail(ErrorCode::unavailable, "publish: " + failure_text(code));
    tickets_[packet] = ticket;
    return {};
  }

 private:
  int set_tls(const SessionOptions& options) {
    const auto or_null = [](const std::string& text) { return text.empty() ? nullptr : text.c_str(); };
    int code =
        options.ca_file.empty() ? ::mosquitto_int_option(client_, MOSQ_OPT_TLS_USE_OS_CERTS, 1) : MOSQ_ERR_SUCCESS;
    if (code == MOSQ_ERR_SUCCESS && !(options.ca_file.empty() && options.cert.empty())) {
      code =
          ::mosquitto_tls_set(client_, or_null(options.ca_file), options.ca_file.empty() ? "/etc/ssl/certs" : nullptr,
                              or_null(options.cert), or_null(options.key), nullptr);
    }
    if (code == MOSQ_ERR_SUCCESS)
      code = ::mosquitto_tls_opts_set(client_, options.verify_certificate ? 1 : 0, nullptr, nullptr);
    if (code == MOSQ_ERR_SUCCESS) code = ::mosquitto_tls_insecure_set(client_, !options.verify_host);
    return code;
  }

  void run(const std::string& host, int port, int keep_alive) {
    // Without waiting for the handshake, so that the destructor never waits for a silent peer. Done so, libmosquitto
    // tries the first address of a name alone, such as ::1 of localhost, and does not notice that nobody is there. Paho
    // takes the IPv4 address where there is one; a socket that is bound to IPv4 makes libmosquitto do the same.
    int code = ::mosquitto_connect_bind_async(client_, host.c_str(), port, keep_alive,
                                              has_ipv4_address(host) ? "0.0.0.0" : nullptr);
    while (code == MOSQ_ERR_SUCCESS && !stop_) code = ::mosquitto_loop(client_, kLoopMilliseconds, 1);
    if (code == MOSQ_ERR_SUCCESS) ::mosquitto_loop(client_, 0, 1);  // lets the DISCONNECT out
    if (!stop_)
      events_.lost(epoch_, "the connection for commands: " + (refusal_.empty() ? failure_text(code) : refusal_));
  }

  // Both are called by mosquitto_loop on our own thread.
  void on_connect(int reason) {
    if (reason == 0) {
      events_.commands_ready(epoch_);
    } else {
      refusal_ = "the broker says \"" + std::string(::mosquitto_reason_string(reason)) + "\"";
    }
  }
  void on_publish(int packet, int reason) {
    std::uint64_t ticket = 0;
    {
      const std::lock_guard lock(mutex_);
      const auto found = tickets_.find(packet);
      if (found == tickets_.end()) return;
      ticket = found->second;
      tickets_.erase(found);
    }
    if (reason == kNobodySubscribed) {
      events_.publish_failed(ticket, kNobodySubscribed,
                             "the broker took it, but nobody listens on the command's topic");
    } else if (reason >= kFirstFailure) {
      events_.publish_failed(ticket, static_cast<unsigned>(reason),
                             "the broker says \"" + std::string(::mosquitto_reason_string(reason)) + "\"");
    } else {
      events_.published(ticket);
    }
  }

  const std::uint64_t epoch_;
  SessionEvents& events_;
  mosquitto* client_ = nullptr;
  std::atomic<bool> stop_{false};
  std::string refusal_;  // its thread only
  std::mutex mutex_;
  std::unordered_map<int, std::uint64_t> tickets_;  // packet id -> ticket
  std::thread thread_;
};

Result<std::unique_ptr<CommandPublisher>> CommandPublisher::open(const SessionOptions& options, std::uint64_t epoch,
                                                                 SessionEvents& events) {
  auto connection = std::make_unique<Connection>(epoch, events);
  if (auto started = connection->start(options); !started) return fail(started.error());
  return std::unique_ptr<CommandPublisher>(new CommandPublisher(std::move(connection)));
}

CommandPublisher::CommandPublisher(std::unique_ptr<Connection> connection) : connection_(std::move(connection)) {}
CommandPublisher::~CommandPublisher() = default;

Result<void> CommandPublisher::publish(std::uint64_t ticket, const Outgoing& message) {
  return connection_->publish(ticket, message);
}

}  // namespace trunkline::mqtt
