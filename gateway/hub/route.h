// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "gateway/amqp/engine.h"
#include "gateway/core/uplink.h"
#include "gateway/net/endpoint.h"

namespace trunkline::hub {

inline constexpr std::string_view kRedirect = "amqp:connection:redirect";

// Where the next connection goes: the configured address, or where the hub sent us (AMQP 1.0 section 2.8.16). Followed
// are only addresses in the hub's own domain, at most kMaxRedirects in a row, and one that does not work leads back to
// the configured one. Token audience and open.hostname never change. Pure; one thread.
class Route {
 public:
  static constexpr unsigned kMaxRedirects = 3;
  struct Stop {
    net::Endpoint address;
    std::string name;  // for SNI and the certificate
  };

  Route(std::string host, net::Endpoint configured);

  [[nodiscard]] const Stop& stop() const { return stop_; }
  [[nodiscard]] bool redirected() const { return redirected_; }

  // The connection ended by a redirect. What to tell: `redirect` if the next attempt goes there.
  LinkFault redirect(const amqp::Condition& condition);
  // The connection ended for another reason, before or after it was ready.
  void ended(bool was_ready);
  // The hub serves us here: redirects from now on are a new row.
  void worked() { in_a_row_ = 0; }

 private:
  void go_home();
  [[nodiscard]] bool in_domain(std::string_view name) const;

  std::string host_;
  net::Endpoint configured_;
  Stop stop_;
  bool redirected_ = false;
  unsigned in_a_row_ = 0;
};

}  // namespace trunkline::hub
