// SPDX-License-Identifier: Apache-2.0
#include "gateway/hub/service_link.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <memory>
#include <optional>
#include <proton/annotation_key.hpp>
#include <proton/binary.hpp>
#include <proton/connection.hpp>
#include <proton/delivery.hpp>
#include <proton/error_condition.hpp>
#include <proton/map.hpp>
#include <proton/message.hpp>
#include <proton/message_id.hpp>
#include <proton/messaging_handler.hpp>
#include <proton/receiver.hpp>
#include <proton/receiver_options.hpp>
#include <proton/scalar.hpp>
#include <proton/sender.hpp>
#include <proton/sender_options.hpp>
#include <proton/session.hpp>
#include <proton/source_options.hpp>
#include <proton/symbol.hpp>
#include <proton/target_options.hpp>
#include <proton/timestamp.hpp>
#include <proton/tracker.hpp>
#include <proton/transport.hpp>

#include "gateway/amqp/connection.h"
#include "gateway/amqp/engine.h"
#include "gateway/base/crypto.h"
#include "gateway/base/encoding.h"
#include "gateway/hub/dialect.h"
#include "gateway/hub/errors.h"
#include "gateway/hub/message_body.h"
#include "gateway/net/connect.h"

namespace trunkline::hub {

namespace {

constexpr const char* kDeviceBound = "/messages/devicebound";
constexpr const char* kFeedback = "/messages/serviceBound/feedback";
constexpr Milliseconds kCloseLimit{2'000};

Error error_of(const LinkFault& fault) {
  const bool denied = fault.kind == LinkFault::Kind::unauthorised;
  return Error{denied ? ErrorCode::denied : ErrorCode::unavailable, fault.text()};
}

amqp::Condition condition_of(const proton::error_condition& error) {
  return {error.name(), amqp::printable(error.description())};
}

// One conversation, from connecting to its end.
class Talk final : public proton::messaging_handler {
 public:
  explicit Talk(const ServiceLink::Options& options) : options_(options), limit_(io_) {}

  // What is done once the token is taken.
  std::function<void(proton::session&)> act;
  std::function<void(proton::sender&)> when_sendable;
  std::function<void(const proton::message&)> when_message;
  std::optional<Outcome> outcome;
  bool limit_is_failure = true;

  Result<void> run() {
    auto context = net::tls_client_context({options_.host, options_.ca_file});
    if (!context) return fail(context.error());
    limit_.expires_after(options_.limit);
    limit_.async_wait([this](boost::system::error_code cancelled) {
      if (cancelled) return;
      if (limit_is_failure || !acting_) failed({ErrorCode::timed_out, "the hub did not answer in time"});
      finish();
    });
    const auto attempt = net::connect_tls(io_, options_.address, *context, options_.host, options_.limit,
                                          [this](Result<std::unique_ptr<net::Stream>> stream) {
                                            if (stream) {
                                              connected(std::move(*stream));
                                            } else {
                                              failed(stream.error());
                                              io_.stop();
                                            }
                                          });
    io_.run();
    connection_.reset();
    if (error_) return fail(*error_);
    return {};
  }

  void finish() {
    if (std::exchange(finished_, true)) return;
    limit_.cancel();
    if (connection_) {
      connection_->close(kCloseLimit);
    } else {
      io_.stop();
    }
  }

  void on_connection_open(proton::connection& connection) override {
    auto session = connection.open_session();
    const std::string node(iot_hub().token_node);
    cbs_sender_ = session.open_sender(node, proton::sender_options().name("cbs-out-" + name_));
    cbs_receiver_ = session.open_receiver(node, proton::receiver_options().name("cbs-in-" + name_).credit_window(10));
  }
  void on_sendable(proton::sender& sender) override {
    if (sender == cbs_sender_) {
      if (!std::exchange(asked_, true)) put_token();
    } else if (when_sendable && !std::exchange(sent_, true)) {
      when_sendable(sender);
    }
  }
  void on_message(proton::delivery& delivery, proton::message& message) override {
    if (delivery.receiver() != cbs_receiver_) {
      if (when_message) when_message(message);
      return;
    }
    const auto code = message.properties().get("status-code");
    const int status = code.empty() ? 0 : proton::coerce<int>(code);
    if (status < 200 || status > 299) {
      const auto text = message.properties().get("status-description");
      failed(error_of(token_fault(
          status, text.type() == proton::STRING ? amqp::printable(proton::get<std::string>(text)) : std::string())));
      return finish();
    }
    acting_ = true;
    auto session = connection_->proton().open_session();
    act(session);
  }
  void on_tracker_accept(proton::tracker& tracker) override { settled(tracker, Outcome::accepted()); }
  void on_tracker_release(proton::tracker& tracker) override { settled(tracker, Outcome::released()); }
  void on_tracker_reject(proton::tracker& tracker) override {
    const auto condition =
        amqp::read(pn_disposition_condition(pn_delivery_remote(amqp::handle<pn_delivery_t>(tracker))));
    settled(tracker, Outcome::rejected(condition.name, condition.description));
  }
  void on_sender_error(proton::sender& sender) override { link_failed(sender.error()); }
  void on_receiver_error(proton::receiver& receiver) override { link_failed(receiver.error()); }
  void on_session_error(proton::session& session) override { link_failed(session.error()); }
  void on_error(const proton::error_condition& error) override { link_failed(error); }

 private:
  void connected(std::unique_ptr<net::Stream> stream) {
    amqp::Connection::Options options;
    options.container_id = name_;
    options.virtual_host = options_.host;
    connection_ = std::make_unique<amqp::Connection>(
        std::move(stream), std::move(options), *this, [this](const amqp::EndReason& reason) {
          if (!finished_) {
            failed(error_of(connection_fault({reason.condition, reason.description, reason.info})));
          }
          io_.stop();
        });
    connection_->start();
  }

  void put_token() {
    proton::message request;
    request.id(name_);
    request.to(std::string(iot_hub().token_node));
    request.reply_to("cbs");
    request.properties().put("operation", "put-token");
    request.properties().put("type", std::string(iot_hub().token_type));
    request.properties().put("name", options_.host);
    request.body(std::string(options_.token.reveal()));
    cbs_sender_.send(request);
  }

  void settled(const proton::tracker& tracker, Outcome verdict) {
    if (tracker.sender() == cbs_sender_) return;
    outcome = std::move(verdict);
    finish();
  }
  void link_failed(const proton::error_condition& error) {
    failed(error_of(device_fault(condition_of(error))));
    finish();
  }
  void failed(Error error) {
    if (!error_ && !finished_) error_ = std::move(error);
  }

  const ServiceLink::Options& options_;
  const std::string name_ = "trunkline-service-" + random_uuid();
  boost::asio::io_context io_{1};
  boost::asio::steady_timer limit_;
  std::unique_ptr<amqp::Connection> connection_;
  proton::sender cbs_sender_;
  proton::receiver cbs_receiver_;
  bool asked_ = false;
  bool acting_ = false;
  bool sent_ = false;
  bool finished_ = false;
  std::optional<Error> error_;
};

std::string path_of(const DeviceId& device) {
  auto out = "/devices/" + percent_encode(device.device());
  if (!device.module().empty()) out += "/modules/" + percent_encode(device.module());
  return out + kDeviceBound;
}

proton::message to_amqp(const ServiceLink::Message& message) {
  proton::message out;
  out.to(path_of(message.device));
  if (!message.id.empty()) out.id(message.id);
  if (!message.correlation_id.empty()) out.correlation_id(message.correlation_id);
  if (!message.content_type.empty()) out.content_type(message.content_type);
  if (message.lifetime.count() > 0) {
    const auto expires = std::chrono::system_clock::now() + message.lifetime;
    out.expiry_time(proton::timestamp(std::chrono::duration_cast<Milliseconds>(expires.time_since_epoch()).count()));
  }
  for (const auto& [name, value] : message.properties) out.properties().put(name, value);
  if (!message.ack.empty()) out.properties().put("iothub-ack", message.ack);
  out.inferred(true);
  out.body(proton::binary(message.body.begin(), message.body.end()));
  return out;
}

}  // namespace

Result<Outcome> ServiceLink::send(const Message& message) {
  Talk talk(options_);
  talk.act = [](proton::session& session) { session.open_sender(kDeviceBound); };
  talk.when_sendable = [&message](proton::sender& sender) { sender.send(to_amqp(message)); };
  if (const auto done = talk.run(); !done) return fail(done.error());
  if (!talk.outcome) return fail(ErrorCode::unavailable, "the hub ended the connection without a verdict");
  return *talk.outcome;
}

Result<void> ServiceLink::feedback(const std::function<bool(const std::string&)>& take) {
  Talk talk(options_);
  talk.limit_is_failure = false;
  talk.act = [](proton::session& session) {
    session.open_receiver(kFeedback, proton::receiver_options().credit_window(10));
  };
  talk.when_message = [&](const proton::message& message) {
    if (!take(body_of(message.body()))) talk.finish();
  };
  return talk.run();
}

}  // namespace trunkline::hub
