// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "gateway/base/clock.h"
#include "gateway/base/result.h"
#include "gateway/base/secret.h"
#include "gateway/net/endpoint.h"

namespace trunkline::service {

struct HttpsPeer {
  std::string host;       // Host header, SNI and certificate name
  net::Endpoint address;  // where to connect
  std::string ca_file;    // empty: the system's store
};

struct HttpsRequest {
  std::string_view method = "GET";
  std::string target;  // path and query, encoded
  std::string body{};  // JSON; empty: none
  Secret authorization{};
  bool any_etag = false;  // If-Match: *
};

struct HttpsAnswer {
  unsigned status = 0;
  std::string body;
};

// One request over a connection of its own, on the caller's thread, within `limit`; answers of at most 16 MiB. An HTTP
// error is an answer, not a failure.
Result<HttpsAnswer> https(const HttpsPeer& peer, const HttpsRequest& request, Milliseconds limit);

}  // namespace trunkline::service
