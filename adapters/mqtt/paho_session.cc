// SPDX-License-Identifier: Apache-2.0
#include "adapters/mqtt/paho_session.h"

#include <mqtt/async_client.h>

#include <algorithm>
#include <atomic>
#include <functional>

#include "gateway/base/encoding.h"

namespace trunkline::mqtt {

namespace {

constexpr int kAtLeastOnce = 1;
constexpr std::chrono::seconds kConnectTimeout{10};
constexpr std::size_t kMaxProperties = 64;
// Paho takes memory for a whole packet before anybody can refuse it. Far above what the hub takes, so that what a
// device says too large by mistake is still refused by name; the broker keeps back what is beyond (MQTT 5.0
// section 3.1.2.11.4).
constexpr std::int32_t kMaxPacket = (16 << 20) + (128 << 10);

// Paho ends its threads and frees its globals when the last client of the process goes, without regard to one that
// another thread makes at that moment. This client never connects and never goes.
void keep_library_alive() {
  static std::atomic<const ::mqtt::async_client*> anchor{new ::mqtt::async_client("tcp://127.0.0.1:1", "")};
  static_cast<void>(anchor.load());
}

template <class F>
Result<void> guarded_call(const char* what, F&& f) {
  try {
    f();
    return {};
  } catch (const ::mqtt::exception& e) {
    const auto code = e.get_return_code() == MQTTASYNC_DISCONNECTED ? ErrorCode::unavailable : ErrorCode::internal;
    return fail(code, std::string(what) + ": " + e.what());
  } catch (const std::exception& e) {
    return fail(ErrorCode::internal, std::string(what) + ": " + e.what());
  }
}

std::string reason_name(int reason) {
  const auto* name = ::MQTTReasonCode_toString(static_cast<MQTTReasonCodes>(reason));
  return name != nullptr ? name : "reason " + std::to_string(reason);
}

// Paho puts a refused CONNECT's reason into the return code and others' into the reason code.
std::string failure_text(const ::mqtt::token& token) {
  for (const int reason : {static_cast<int>(token.get_reason_code()), token.get_return_code()}) {
    if (reason >= MQTTREASONCODE_UNSPECIFIED_ERROR && reason < 0x100)
      return "the broker says \"" + reason_name(reason) + "\"";
  }
  const int code = token.get_return_code();
  const auto* name = ::MQTTAsync_strerror(code);
  return (name != nullptr ? std::string(name) : "failure") + " (" + std::to_string(code) + ")";
}

// What Paho says of a connection that did not come about; it has no other way to ask for it.
std::string paho_message(const ::mqtt::token& token) {
  try {
    static_cast<void>(token.get_connect_response());
  } catch (const ::mqtt::exception& e) {
    return e.get_message();
  }
  return {};
}

std::string connect_failure(const ::mqtt::token& token, bool tls, bool host_checked) {
  if (token.get_return_code() != MQTTASYNC_FAILURE) return failure_text(token);
  const auto message = paho_message(token);
  if (message == "TCP connect timeout") {
    return "no answer within " + std::to_string(kConnectTimeout.count()) + " s; is it a broker, and is it alive?";
  }
  if (message == "TCP connect completion failure") {
    return "closed before it answered CONNECT; is it an MQTT broker" +
           std::string(tls ? "?" : " without TLS? (mqtts:// is with TLS)");
  }
  // Paho does not tell TLS's reasons from a closed port; probe_tls does, where everything is checked.
  const std::string refused = "nobody listens there, or it cannot be reached";
  if (!tls) return refused;
  return refused + ", or TLS failed" +
         (host_checked ? " (its certificate, its host, or ours)" : " (its certificate, or ours)");
}

// Forwards the answer of one kind of request; the token's user context says which one.
class Listener final : public ::mqtt::iaction_listener {
 public:
  using Handler = std::function<void(const ::mqtt::token&)>;
  Listener(Handler success, Handler failure) : success_(std::move(success)), failure_(std::move(failure)) {}

  void on_success(const ::mqtt::token& token) override { call(success_, token); }
  void on_failure(const ::mqtt::token& token) override { call(failure_, token); }

 private:
  // An exception here would unwind through C frames.
  static void call(const Handler& handler, const ::mqtt::token& token) noexcept { handler(token); }
  Handler success_;
  Handler failure_;
};

::mqtt::properties to_properties(const Outgoing& message) {
  using ::mqtt::property;
  ::mqtt::properties out;
  if (const auto seconds = message.expiry_seconds()) out.add({property::MESSAGE_EXPIRY_INTERVAL, *seconds});
  if (!message.content_type.empty() && carries(message.content_type)) {
    out.add({property::CONTENT_TYPE, message.content_type});
  }
  if (!message.correlation.empty()) out.add({property::CORRELATION_DATA, message.correlation});
  if (!message.response_topic.empty()) out.add({property::RESPONSE_TOPIC, message.response_topic});
  for (const auto& [name, value] : message.properties) {
    if (carries(name) && carries(value)) out.add({property::USER_PROPERTY, name, value});
  }
  return out;
}

Arrival to_arrival(const ::mqtt::message& message) {
  using ::mqtt::property;
  Arrival out{message.get_topic(), message.get_payload_str(), message.is_retained(), {}, {}, {}, false};
  out.damaged = !is_utf8(out.topic);
  const auto& properties = message.get_properties();
  if (properties.empty()) return out;
  if (properties.contains(property::CONTENT_TYPE)) {
    out.content_type = ::mqtt::get<std::string>(properties, property::CONTENT_TYPE);
    if (!is_utf8(out.content_type)) {
      out.content_type.clear();
      out.damaged = true;
    }
  }
  if (properties.contains(property::CORRELATION_DATA)) {
    out.correlation = ::mqtt::get<std::string>(properties, property::CORRELATION_DATA);
  }
  const auto count = std::min(properties.count(property::USER_PROPERTY), kMaxProperties);
  for (std::size_t i = 0; i < count; ++i) {
    auto [name, value] = ::mqtt::get<::mqtt::string_pair>(properties, property::USER_PROPERTY, i);
    if (is_utf8(name) && is_utf8(value)) {
      out.properties.push_back({std::move(name), std::move(value)});
    } else {
      out.damaged = true;
    }
  }
  return out;
}

void* to_context(std::uint64_t number) {
  return reinterpret_cast<void*>(static_cast<std::uintptr_t>(number));
}
std::uint64_t from_context(const ::mqtt::token& token) {
  return reinterpret_cast<std::uintptr_t>(token.get_user_context());
}

}  // namespace

class PahoSession::Client {
 public:
  Client(const SessionOptions& options, std::uint64_t epoch, SessionEvents& events)
      : epoch_(epoch),
        events_(events),
        v311_(options.v311),
        on_connect_([this](const ::mqtt::token& token) { connected(token); },
                    [this, tls = options.tls, host_checked = options.verify_host](const ::mqtt::token& token) {
                      events_.lost(epoch_, connect_failure(token, tls, host_checked));
                    }),
        on_subscribe_([this](const ::mqtt::token& token) { events_.subscribed(epoch_, from_context(token), 0); },
                      [this](const ::mqtt::token& token) {
                        events_.subscribed(epoch_, from_context(token), static_cast<unsigned>(token.get_reason_code()));
                      }),
        on_publish_([this](const ::mqtt::token& token) { events_.published(from_context(token)); },
                    [this](const ::mqtt::token& token) {
                      events_.publish_failed(from_context(token), static_cast<unsigned>(token.get_reason_code()),
                                             failure_text(token));
                    }),
        client_(options.uri, options.client_id,
                ::mqtt::create_options(options.v311 ? MQTTVERSION_3_1_1 : MQTTVERSION_5)) {
    // Before connect: what waits in the broker's session arrives right after the CONNACK.
    client_.set_connection_lost_handler(
        [this](const std::string&) { events_.lost(epoch_, "closed by the broker or the network"); });
    if (!v311_)
      client_.set_disconnected_handler([this](const ::mqtt::properties&, ::mqtt::ReasonCode reason) {
        events_.lost(epoch_, "the broker disconnects with \"" + reason_name(reason) + "\"");
      });
    client_.set_message_callback([this](const ::mqtt::const_message_ptr& message) { arrived(*message); });
    client_.connect(connect_options(options), nullptr, on_connect_);
  }

  void subscribe(std::size_t place, const std::string& topic, bool retained_again) {
    if (v311_) {
      client_.subscribe(topic, kAtLeastOnce, to_context(place), on_subscribe_);
      return;
    }
    // No local: what we publish ourselves never comes back. Retained messages only for a subscription that is new, so
    // that a reconnection does not repeat them. One topic a packet: with a list Paho C++ 1.2.0 loses the options and
    // reads through a null pointer.
    const ::mqtt::subscribe_options options(true, false,
                                            retained_again ? ::mqtt::subscribe_options::SEND_RETAINED_ON_SUBSCRIBE
                                                           : ::mqtt::subscribe_options::SEND_RETAINED_ON_NEW);
    client_.subscribe(topic, kAtLeastOnce, to_context(place), on_subscribe_, options);
  }

  void unsubscribe(const std::string& topic) { client_.unsubscribe(topic); }

  void publish(std::uint64_t ticket, const Outgoing& message) {
    client_.publish(::mqtt::message::create(message.topic, message.payload, kAtLeastOnce, false,
                                            v311_ ? ::mqtt::properties() : to_properties(message)),
                    to_context(ticket), on_publish_);
  }

 private:
  ::mqtt::connect_options connect_options(const SessionOptions& options) {
    ::mqtt::connect_options out;
    if (v311_) {
      out.set_mqtt_version(MQTTVERSION_3_1_1);
      out.set_clean_session(options.clean);
    } else {
      out.set_mqtt_version(MQTTVERSION_5);
      out.set_clean_start(options.clean);
      const auto expiry = static_cast<std::int32_t>(options.clean ? 0 : options.session_seconds);
      out.set_properties(
          {{::mqtt::property::SESSION_EXPIRY_INTERVAL, expiry}, {::mqtt::property::MAXIMUM_PACKET_SIZE, kMaxPacket}});
    }
    out.set_automatic_reconnect(false);
    out.set_connect_timeout(kConnectTimeout);
    out.set_keep_alive_interval(
        std::max(std::chrono::seconds(1), std::chrono::duration_cast<std::chrono::seconds>(options.keep_alive)));
    if (!options.user.empty()) {
      out.set_user_name(options.user);
      out.set_password(std::string(options.password.reveal()));
    }
    if (options.tls) {
      ::mqtt::ssl_options tls;
      if (!options.ca_file.empty()) tls.set_trust_store(options.ca_file);
      if (!options.cert.empty()) {
        tls.set_key_store(options.cert);
        tls.set_private_key(options.key);
      }
      tls.set_enable_server_cert_auth(options.verify_certificate);
      tls.set_verify(options.verify_host);
      // No error handler: Paho C++ 1.2.0 keeps its address in options that are gone when it is called.
      out.set_ssl(std::move(tls));
    }
    return out;
  }

  void connected(const ::mqtt::token& token) noexcept {
    events_.connected(epoch_, token.get_connect_response().is_session_present());
  }

  void arrived(const ::mqtt::message& message) noexcept { events_.arrived(to_arrival(message)); }

  std::uint64_t epoch_;
  SessionEvents& events_;
  bool v311_;
  Listener on_connect_;
  Listener on_subscribe_;
  Listener on_publish_;
  ::mqtt::async_client client_;  // last: destroyed first, and its destructor ends the callbacks
};

Result<std::unique_ptr<PahoSession>> PahoSession::open(const SessionOptions& options, std::uint64_t epoch,
                                                       SessionEvents& events) {
  std::unique_ptr<Client> client;
  auto made = guarded_call("connect", [&] {
    keep_library_alive();
    client = std::make_unique<Client>(options, epoch, events);
  });
  if (!made) return fail(made.error());
  return std::unique_ptr<PahoSession>(new PahoSession(std::move(client)));
}

PahoSession::PahoSession(std::unique_ptr<Client> client) : client_(std::move(client)) {}
PahoSession::~PahoSession() = default;

Result<void> PahoSession::subscribe(std::size_t place, const std::string& topic, bool retained_again) {
  return guarded_call("subscribe", [&] { client_->subscribe(place, topic, retained_again); });
}

Result<void> PahoSession::unsubscribe(const std::string& topic) {
  return guarded_call("unsubscribe", [&] { client_->unsubscribe(topic); });
}

Result<void> PahoSession::publish(std::uint64_t ticket, const Outgoing& message) {
  return guarded_call("publish", [&] { client_->publish(ticket, message); });
}

}  // namespace trunkline::mqtt
