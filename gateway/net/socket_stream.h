// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <utility>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <memory>

#include "gateway/net/connect.h"
#include "gateway/net/endpoint.h"
#include "gateway/net/stream.h"

namespace trunkline::net {

// Inside gateway/net only: what connect.cc and accept_tls build streams from.

using TlsSocket = asio::ssl::stream<asio::ip::tcp::socket>;

// Keepalive, no delay, and a limit on unacknowledged bytes, so that a dead path is found without traffic of ours.
void set_tcp_options(asio::ip::tcp::socket& socket, const TcpOptions& options);

// What tls.cc learned in the handshake.
std::string peer_identity(SSL* ssl);
// A client that proves and wants proof by a pre-shared key.
bool expects_psk(SSL* ssl);

std::unique_ptr<Stream> tls_stream(std::shared_ptr<TlsSocket> socket);

Endpoint to_endpoint(const asio::ip::tcp::endpoint& address);

}  // namespace trunkline::net
