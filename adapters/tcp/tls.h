// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "gateway/mapping/tcp_map.h"
#include "gateway/net/connect.h"

namespace trunkline::tcp {

// What tcp.tls of a map says, made ready for handshakes; `own` is the identity that we show by a pre-shared key where
// the map names none, and `keys` finds the key of an identity. invalid, with the file's name: it cannot be read, is no
// PEM, or the key is not the certificate's.
Result<std::shared_ptr<net::asio::ssl::context>> tls_context(const TcpMap& map, const std::string& own,
                                                             net::PskLookup keys);

// The same for `trunkline check`: would it work?
Result<void> check_tls(const TcpMap& map);

}  // namespace trunkline::tcp
