// SPDX-License-Identifier: Apache-2.0
#include "adapters/tcp/tls.h"

#include <utility>

namespace trunkline::tcp {

Result<std::shared_ptr<net::asio::ssl::context>> tls_context(const TcpMap& map, const std::string& own,
                                                             net::PskLookup keys) {
  const auto& tls = *map.line.tls;
  if (!tls.psk) keys = {};
  auto context = map.connect.empty()
                     ? net::tls_server_context({tls.cert, tls.key, tls.ca_file, std::move(keys)})
                     : net::tls_client_context({tls.name, tls.ca_file, tls.cert, tls.key,
                                                tls.identity.empty() ? own : tls.identity, std::move(keys)});
  if (!context) return fail(context.error().in("tcp.tls"));
  return context;
}

Result<void> check_tls(const TcpMap& map) {
  if (!map.line.tls) return {};
  const auto nobody = [](std::string_view) -> Result<Secret> { return fail(ErrorCode::not_found, "only checked"); };
  const auto context = tls_context(map, "checked", nobody);
  if (!context) return fail(context.error());
  return {};
}

}  // namespace trunkline::tcp
