// SPDX-License-Identifier: Apache-2.0
#include "gateway/amqp/deliveries.h"

#include <proton/connection.h>
#include <proton/event.h>
#include <proton/transport.h>

#include <stdexcept>

#include "gateway/amqp/engine.h"

namespace trunkline::amqp {

void Deliveries::take(pn_connection_t* connection, const Connection::Options& options) {
  if (!options.on_bytes && !options.on_update) return;
  links_.clear();
  updates_.clear();
  // Proton would have us wait for its events instead, but those are dispatched only together, and its own handler of
  // them decodes.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
  for (auto* d = pn_work_head(connection); d != nullptr; d = pn_work_next(d)) {
    if (pn_delivery_readable(d)) {
      if (options.on_bytes) links_.push_back(pn_delivery_link(d));
    } else if (options.on_update && pn_delivery_updated(d) && pn_link_is_sender(pn_delivery_link(d))) {
      updates_.push_back(d);
    }
  }
#pragma GCC diagnostic pop
  try {
    for (auto* delivery : updates_) {
      pn_delivery_clear(delivery);
      options.on_update(delivery);
    }
    for (auto* link : links_) take(link, options);
  } catch (const std::exception& e) {
    auto* condition = pn_transport_condition(pn_connection_transport(connection));
    if (!pn_condition_is_set(condition)) amqp::write(condition, {"exception", e.what()});
  }
  if (options.on_update) drop_handled(connection);
}

// Proton's handler would find nothing left to do for an update that was taken, but at a price for each.
void Deliveries::drop_handled(pn_connection_t* connection) {
  auto* collector = pn_connection_collector(connection);
  for (auto* event = pn_collector_peek(collector); event != nullptr; event = pn_collector_peek(collector)) {
    const auto type = pn_event_type(event);
    const bool handled = type == PN_TRANSPORT || (type == PN_DELIVERY && pn_link_is_sender(pn_event_link(event)) &&
                                                  !pn_delivery_updated(pn_event_delivery(event)));
    if (!handled) return;
    pn_collector_pop(collector);
  }
}

void Deliveries::take(pn_link_t* link, const Connection::Options& options) {
  for (auto* d = pn_link_current(link); d != nullptr; d = pn_link_current(link)) {
    if (pn_delivery_aborted(d)) {
      pn_delivery_settle(d);
      continue;
    }
    const auto size = pn_delivery_pending(d);
    if (size > options.max_delivery) throw std::length_error("a delivery is larger than we take");
    if (pn_delivery_partial(d)) return;
    bytes_.resize(size);
    if (size > 0 && pn_link_recv(link, bytes_.data(), size) != static_cast<ssize_t>(size)) {
      throw std::runtime_error("a delivery cannot be read");
    }
    pn_link_advance(link);
    options.on_bytes(d, bytes_);
  }
}

}  // namespace trunkline::amqp
