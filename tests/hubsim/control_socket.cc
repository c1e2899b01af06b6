// SPDX-License-Identifier: Apache-2.0
#include "tests/hubsim/control_socket.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/write.hpp>
#include <cerrno>
#include <cstring>
#include <deque>

namespace trunkline::hubsim {
namespace {

namespace asio = boost::asio;
using Protocol = asio::local::stream_protocol;
using boost::system::error_code;

constexpr std::size_t kMaxRequestBytes = 1024 * 1024;

class Client : public std::enable_shared_from_this<Client> {
 public:
  Client(Protocol::socket socket, const ControlSocket::Handle& handle) : socket_(std::move(socket)), handle_(handle) {}

  void read() {
    socket_.async_read_some(asio::buffer(in_), [self = shared_from_this()](error_code error, std::size_t count) {
      if (error) return;
      self->line_.append(self->in_.data(), count);
      self->take_lines();
      if (self->line_.size() <= kMaxRequestBytes) self->read();
    });
  }

 private:
  void take_lines() {
    std::size_t start = 0;
    for (auto end = line_.find('\n'); end != line_.npos; end = line_.find('\n', start)) {
      const auto request = line_.substr(start, end - start);
      start = end + 1;
      handle_(request, [weak = weak_from_this()](std::string answer) {
        if (const auto self = weak.lock()) self->write(std::move(answer));
      });
    }
    line_.erase(0, start);
  }

  void write(std::string answer) {
    answer.push_back('\n');
    out_.push_back(std::move(answer));
    if (out_.size() == 1) write_next();
  }

  void write_next() {
    asio::async_write(socket_, asio::buffer(out_.front()), [self = shared_from_this()](error_code error, std::size_t) {
      if (error) return;
      self->out_.pop_front();
      if (!self->out_.empty()) self->write_next();
    });
  }

  Protocol::socket socket_;
  ControlSocket::Handle handle_;
  std::array<char, 4096> in_{};
  std::string line_;
  std::deque<std::string> out_;
};

}  // namespace

class ControlSocket::Impl : public std::enable_shared_from_this<Impl> {
 public:
  Impl(asio::io_context& io, std::string path, Handle handle)
      : acceptor_(io), path_(std::move(path)), handle_(std::move(handle)) {}

  error_code listen() {
    error_code error;
    ::unlink(path_.c_str());
    acceptor_.open(Protocol(), error);
    const auto mask = ::umask(0177);
    if (!error) acceptor_.bind(Protocol::endpoint(path_), error);
    ::umask(mask);
    if (!error) acceptor_.listen(asio::socket_base::max_listen_connections, error);
    return error;
  }

  void accept() {
    acceptor_.async_accept([self = shared_from_this()](error_code error, Protocol::socket socket) {
      if (error == asio::error::operation_aborted) return;
      if (!error) std::make_shared<Client>(std::move(socket), self->handle_)->read();
      self->accept();
    });
  }

  void stop() {
    error_code ignored;
    acceptor_.close(ignored);
    ::unlink(path_.c_str());
  }

 private:
  Protocol::acceptor acceptor_;
  std::string path_;
  Handle handle_;
};

ControlSocket::ControlSocket(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}
ControlSocket::~ControlSocket() {
  impl_->stop();
}

Result<std::unique_ptr<ControlSocket>> ControlSocket::open(asio::io_context& io, const std::string& path,
                                                           Handle handle) {
  if (path.size() >= sizeof(sockaddr_un::sun_path)) return fail(ErrorCode::invalid, path + ": the path is too long");
  auto impl = std::make_shared<Impl>(io, path, std::move(handle));
  if (const auto error = impl->listen()) return fail(ErrorCode::unavailable, path + ": " + error.message());
  impl->accept();
  return std::unique_ptr<ControlSocket>(new ControlSocket(std::move(impl)));
}

Result<std::string> ask(const std::string& path, const std::string& request) {
  asio::io_context io;
  Protocol::socket socket(io);
  error_code error;
  if (path.size() >= sizeof(sockaddr_un::sun_path)) return fail(ErrorCode::invalid, path + ": the path is too long");
  socket.connect(Protocol::endpoint(path), error);
  if (!error) asio::write(socket, asio::buffer(request + "\n"), error);
  std::string answer;
  std::array<char, 64 * 1024> in{};
  while (!error && !answer.ends_with('\n')) {
    const auto count = socket.read_some(asio::buffer(in), error);
    answer.append(in.data(), count);
  }
  if (error) return fail(ErrorCode::unavailable, path + ": " + error.message());
  answer.pop_back();
  return answer;
}

}  // namespace trunkline::hubsim
