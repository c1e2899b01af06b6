// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <proton/link.h>

#include <string>
#include <vector>

#include "gateway/amqp/connection.h"

namespace trunkline::amqp {

// Hands deliveries to Options::on_bytes and Options::on_update instead of Proton's C++ handler: bytes as they are, and
// settlements at the engine's own price. Part of one Connection. A callee that throws, or a delivery beyond
// Options::max_delivery, ends the connection by the transport's condition, as Proton does with its own handlers.
class Deliveries {
 public:
  // Everything that has arrived completely, link by link, and every update of what was sent.
  void take(pn_connection_t* connection, const Connection::Options& options);

 private:
  void take(pn_link_t* link, const Connection::Options& options);
  static void drop_handled(pn_connection_t* connection);

  std::vector<pn_link_t*> links_;
  std::vector<pn_delivery_t*> updates_;
  std::string bytes_;
};

}  // namespace trunkline::amqp
