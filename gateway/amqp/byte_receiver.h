// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <proton/link.h>

#include <string>
#include <vector>

#include "gateway/amqp/connection.h"

namespace trunkline::amqp {

// Hands complete deliveries to Options::on_bytes. Part of one Connection. A callee that throws, or a delivery beyond
// Options::max_delivery, ends the connection by the transport's condition, as Proton does with its own handlers.
class ByteReceiver {
 public:
  // Everything that has arrived completely, link by link.
  void take(pn_connection_t* connection, const Connection::Options& options);

 private:
  void take(pn_link_t* link, const Connection::Options& options);

  std::vector<pn_link_t*> links_;
  std::string bytes_;
};

}  // namespace trunkline::amqp
