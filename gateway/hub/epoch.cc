// SPDX-License-Identifier: Apache-2.0
#include "gateway/hub/epoch.h"

#include <boost/asio/post.hpp>
#include <proton/connection.hpp>

#include "gateway/base/crypto.h"
#include "gateway/base/log.h"
#include "gateway/hub/errors.h"

namespace trunkline::hub {

namespace {

using Kind = LinkFault::Kind;

// Uplink::close promises on_lost within 2 s.
constexpr Milliseconds kCloseLimit{1'500};

LinkFault connect_fault(const Error& error) {
  const auto kind = error.code == ErrorCode::timed_out ? Kind::timeout : Kind::transport;
  return {kind, "trunkline:connect", amqp::printable(error.message), {}};
}

}  // namespace

HubLink::Epoch::Epoch(Shared& shared, LostHandler on_lost)
    : shared_(shared),
      on_lost_(std::move(on_lost)),
      number_(shared.epochs),
      name_(random_uuid()),
      alive_(std::make_shared<Epoch*>(this)),
      watchdog_(shared.io),
      timer_(shared.io),
      put_tokens_(name_, {shared.options.max_put_tokens, shared.options.put_token_timeout}) {}

HubLink::Epoch::~Epoch() = default;

void HubLink::Epoch::open() {
  watchdog_.expires_after(shared_.options.handshake_timeout);
  const auto& stop = shared_.route.stop();
  auto context = net::tls_client_context({stop.name, shared_.options.ca_file});
  if (!context) return fail(connect_fault(context.error()));
  attempt_ = net::connect_tls(shared_.io, stop.address, *context, stop.name, shared_.options.handshake_timeout,
                              [this](Result<std::unique_ptr<net::Stream>> stream) {
                                if (dying_) return;
                                if (!stream) return unreachable(stream.error());
                                connected(std::move(*stream));
                              });
}

void HubLink::Epoch::connected(std::unique_ptr<net::Stream> stream) {
  // Up to here the attempt watches itself, and says better what it waited for.
  watchdog_.async_wait([this, alive = std::weak_ptr(alive_)](const net::error_code& error) {
    if (error || alive.expired()) return;
    fail({Kind::timeout, "trunkline:watchdog", "the hub did not finish the handshake in time", {}});
  });
  amqp::Connection::Options options;
  options.container_id = shared_.options.gateway_id;
  options.virtual_host = shared_.options.host;
  options.idle_timeout = shared_.options.idle_timeout;
  options.sasl_anonymous = dialect().sasl == Dialect::Sasl::anonymous;
  options.on_bytes = [this](pn_delivery_t* delivery, std::string_view bytes) { on_bytes(delivery, bytes); };
  options.on_update = [this](pn_delivery_t* delivery) { on_update(delivery); };
  connection_ = std::make_unique<amqp::Connection>(std::move(stream), std::move(options), *this,
                                                   [this](const amqp::EndReason& reason) { ended(reason); });
  connection_->start();
}

void HubLink::Epoch::close() {
  if (closing_ || dying_) return;
  closing_ = true;
  const LinkFault stopped{Kind::stopped, "trunkline:stopped", "closed by us", {}};
  if (!connection_) return fail(stopped);
  fault_ = stopped;
  connection_->close(kCloseLimit);
}

void HubLink::Epoch::fail(LinkFault fault) {
  if (dying_) return;
  dying_ = true;
  if (!fault_) fault_ = std::move(fault);
  if (connection_) return connection_->abort({"trunkline:ended", fault_->condition});
  attempt_.reset();
  boost::asio::post(shared_.io, [this, alive = std::weak_ptr(alive_)] {
    if (!alive.expired()) finish(*fault_);
  });
}

void HubLink::Epoch::unreachable(const Error& error) {
  auto fault = connect_fault(error);
  shared_.time.handshake_failed(fault.description, shared_.clock.steady());
  name_the_clock(fault);
  finish(std::move(fault));
}

void HubLink::Epoch::ended(const amqp::EndReason& reason) {
  if (fault_) return finish(*fault_);
  const amqp::Condition condition{reason.condition, reason.description, reason.info};
  if (condition.name == kRedirect) {
    shared_.redirects.add();
    return finish(shared_.route.redirect(condition));
  }
  shared_.time.read(condition.description, shared_.clock.steady());
  finish(connection_fault(condition));
}

// A refusal whose reason is most likely the clock says so first.
void HubLink::Epoch::name_the_clock(LinkFault& fault) {
  const auto advice = shared_.time.advice(shared_.clock.wall(), shared_.clock.steady());
  if (!advice.empty()) fault.description = amqp::printable(advice + " (" + fault.description + ")");
}

void HubLink::Epoch::finish(LinkFault fault) {
  if (fault.condition != kRedirect) shared_.route.ended(ready_);
  const auto on_lost = std::move(on_lost_);
  on_lost(std::move(fault));  // destroys this
}

void HubLink::Epoch::check_ready() {
  if (ready_ || dying_ || (takes_tokens() && !(cbs_sender_open_ && cbs_receiver_open_))) return;
  ready_ = true;
  watchdog_.cancel();
  if (!takes_tokens()) shared_.route.worked();
  log::info("uplink_connected", {{"connection", shared_.options.connection.value},
                                 {"epoch", number_},
                                 {"host", shared_.options.host},
                                 {"peer", connection_->peer()},
                                 {"container", amqp::printable(connection_->proton().container_id())}});
  events().on_ready(shared_.options.connection);
}

void HubLink::Epoch::arm(SteadyTime at) {
  if (at >= timer_at_) return;
  timer_at_ = at;
  timer_.expires_after(at - shared_.clock.steady());
  timer_.async_wait([this, alive = std::weak_ptr(alive_)](const net::error_code& error) {
    if (error || alive.expired()) return;
    timer_at_ = kNever;
    if (!dying_) housekeep();
  });
}

// What happens by time alone.
void HubLink::Epoch::housekeep() {
  const auto now = shared_.clock.steady();
  if (now >= answer_due_) {
    answer_due_ = kNever;
    if (put_tokens_.outstanding() > 0) {
      return fail({Kind::timeout, "trunkline:cbs-stalled", "$cbs did not answer the first put-token in time", {}});
    }
  }
  for (const auto slot : put_tokens_.expire(now)) {
    refuse(slot, {Kind::timeout, "trunkline:put-token-timeout", "the hub did not answer in time", {}});
  }
  if (put_tokens_.stalled(now)) {
    return fail({Kind::timeout, "trunkline:cbs-stalled", "$cbs gives no answer", {}});
  }
  while (!attaching_.empty() && attaching_.front().deadline <= now) {
    const auto pending = attaching_.front();
    attaching_.pop_front();
    if (!awaited(pending)) continue;
    auto* device = find(pending.slot);
    give_up(device->channel(pending.which));
    connection_->wake();
    detached(*device, pending.which, {Kind::timeout, "trunkline:attach-timeout", "the hub did not answer in time", {}});
  }
  retry_blocked();
  if (takes_tokens()) write_put_tokens();
  if (!attaching_.empty()) arm(attaching_.front().deadline);
}

bool HubLink::Epoch::awaited(const PendingAttach& pending) {
  const auto& channel = find(pending.slot)->channel(pending.which);
  return channel.exists() && channel.serial == pending.serial && !channel.attached;
}

HubLink::Epoch::Device* HubLink::Epoch::find(DeviceSlot slot) {
  return slot.value < devices_.size() ? devices_[slot.value].get() : nullptr;
}

HubLink::Epoch::Channel* HubLink::Epoch::channel_of(pn_link_t* link) {
  return static_cast<Channel*>(pn_link_get_context(link));
}

}  // namespace trunkline::hub
