// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <boost/asio/io_context.hpp>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "gateway/base/result.h"

namespace trunkline::hubsim {

// A Unix socket that takes one request a line and gives one answer a line, in any number of connections; answers of one
// connection may come in another order than its requests only if one of them waits. On the io_context's thread. The
// file is replaced if it is left over, mode 0600, and removed at the end.
class ControlSocket {
 public:
  using Handle = std::function<void(std::string_view request, const std::function<void(std::string)>& reply)>;
  static Result<std::unique_ptr<ControlSocket>> open(boost::asio::io_context& io, const std::string& path,
                                                     Handle handle);
  ~ControlSocket();
  ControlSocket(const ControlSocket&) = delete;
  ControlSocket& operator=(const ControlSocket&) = delete;

 private:
  class Impl;
  explicit ControlSocket(std::shared_ptr<Impl> impl);
  std::shared_ptr<Impl> impl_;
};

// The client's side, for shell scripts: one request, one answer, blocking.
Result<std::string> ask(const std::string& path, const std::string& request);

}  // namespace trunkline::hubsim
