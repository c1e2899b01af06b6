// SPDX-License-Identifier: Apache-2.0
#include "gateway/amqp/byte_receiver.h"

#include <proton/connection.h>
#include <proton/transport.h>

#include <stdexcept>

#include "gateway/amqp/engine.h"

namespace trunkline::amqp {

void ByteReceiver::take(pn_connection_t* connection, const Connection::Options& options) {
  links_.clear();
  // Proton would have us wait for its events instead, but those are dispatched only together, and its own handler of
  // them decodes.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
  for (auto* d = pn_work_head(connection); d != nullptr; d = pn_work_next(d)) {
    if (pn_delivery_readable(d)) links_.push_back(pn_delivery_link(d));
  }
#pragma GCC diagnostic pop
  try {
    for (auto* link : links_) take(link, options);
  } catch (const std::exception& e) {
    auto* condition = pn_transport_condition(pn_connection_transport(connection));
    if (!pn_condition_is_set(condition)) amqp::write(condition, {"exception", e.what()});
  }
}

void ByteReceiver::take(pn_link_t* link, const Connection::Options& options) {
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
