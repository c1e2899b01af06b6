// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <boost/asio/io_context.hpp>
#include <memory>
#include <string>

#include "gateway/base/result.h"
#include "gateway/ops/control.h"

namespace trunkline::ops {

// The control socket: a Unix socket of mode 0660; one JSON request per line ({"op":"status"},
// {"op":"identities_changed"}, {"op":"metrics"}), one JSON answer per line. A request is at most 64 KiB, a connection
// without one is closed after 30 s, and at most 32 are open. Owned by Application, on the ops thread. A stale socket
// file is replaced; a live one is an error (another daemon).
class ControlServer {
 public:
  static Result<std::unique_ptr<ControlServer>> open(boost::asio::io_context& io, const std::string& path,
                                                     Control& control);
  virtual ~ControlServer() = default;
};

// /metrics, /healthz, /readyz and /status.json over plain HTTP on `listen`; GET and HEAD only. Same owner and thread.
class HttpServer {
 public:
  static Result<std::unique_ptr<HttpServer>> open(boost::asio::io_context& io, const std::string& listen,
                                                  Control& control);
  virtual ~HttpServer() = default;
  [[nodiscard]] virtual std::string local() const = 0;  // address with the port that was chosen for port 0
};

}  // namespace trunkline::ops
