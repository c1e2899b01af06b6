// SPDX-License-Identifier: Apache-2.0
#include "gateway/ops/control_server.h"

#include <sys/stat.h>
#include <unistd.h>

#include <utility>

#include <boost/asio/buffer.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/streambuf.hpp>
#include <boost/asio/write.hpp>
#include <filesystem>

#include "gateway/base/json.h"
#include "gateway/base/log.h"
#include "gateway/ops/guests.h"

namespace trunkline::ops {
namespace {

namespace asio = boost::asio;
using asio::local::stream_protocol;
using boost::system::error_code;

constexpr std::size_t kMaxRequest = 64 * 1024;
constexpr std::size_t kMaxConnections = 32;
constexpr std::chrono::seconds kIdle{30};
constexpr std::chrono::milliseconds kAcceptPause{100};

class Connection : public std::enable_shared_from_this<Connection>, private Guests::Guest {
 public:
  Connection(stream_protocol::socket socket, Control& control, std::shared_ptr<Guests> guests)
      : Guest(std::move(guests)),
        socket_(std::move(socket)),
        timer_(socket_.get_executor()),
        control_(control),
        in_(kMaxRequest) {}

  void read() {
    wait();
    asio::async_read_until(socket_, in_, '\n', [self = shared_from_this()](error_code failed, std::size_t size) {
      self->timer_.cancel();
      self->works();
      if (failed == asio::error::not_found) self->write(R"({"error":"a request has 64 KiB at most"})", true);
      if (failed) return;
      std::string line(asio::buffers_begin(self->in_.data()),
                       asio::buffers_begin(self->in_.data()) + static_cast<std::ptrdiff_t>(size));
      self->in_.consume(size);
      self->serve(line);
    });
  }

 private:
  void leave() override {
    error_code ignored;
    socket_.close(ignored);
  }

  // Until the client asked for something, or took its answer.
  void wait() {
    waits();
    timer_.expires_after(kIdle);
    timer_.async_wait([weak = weak_from_this()](error_code cancelled) {
      if (const auto self = weak.lock(); self && !cancelled) self->leave();
    });
  }

  void serve(const std::string& line) {
    error_code bad;
    const auto request = json::parse(line, bad);
    const json::value* op = bad || !request.is_object() ? nullptr : request.as_object().if_contains("op");
    if (op == nullptr || !op->is_string()) {
      write(R"({"error":"a request is one JSON object with \"op\""})");
      return;
    }
    const std::string_view name = op->as_string();
    if (name == "status") {
      control_.status([self = shared_from_this()](std::string text) { self->write(std::move(text)); });
    } else if (name == "ledger" || name == "spool" || name == "deadletters") {
      control_.kept(line, [self = shared_from_this()](std::string text) { self->write(std::move(text)); });
    } else if (name == "reload") {
      const auto* dry = request.as_object().if_contains("dry_run");
      control_.reload(dry != nullptr && dry->is_bool() && dry->as_bool(),
                      [self = shared_from_this()](std::string text) { self->write(std::move(text)); });
    } else if (name == "identities_changed") {
      const auto failed = control_.identities_changed();
      write(failed.empty() ? R"({"ok":true})" : json::serialize(json::object{{"error", failed}}));
    } else if (name == "metrics") {
      write(json::serialize(json::object{{"text", control_.metrics()}}));
    } else {
      write(json::serialize(json::object{
          {"error", "unknown op; known are status, ledger, spool, deadletters, metrics, reload, identities_changed"}}));
    }
  }

  void write(std::string text, bool last = false) {
    out_ = std::move(text);
    out_ += '\n';
    wait();
    asio::async_write(socket_, asio::buffer(out_), [self = shared_from_this(), last](error_code failed, std::size_t) {
      self->timer_.cancel();
      if (!failed && !last) self->read();
    });
  }

  stream_protocol::socket socket_;
  asio::steady_timer timer_;
  Control& control_;
  asio::streambuf in_;
  std::string out_;
};

class Server final : public ControlServer {
 public:
  Server(asio::io_context& io, std::string path, Control& control)
      : acceptor_(io),
        later_(io),
        path_(std::move(path)),
        control_(control),
        guests_(std::make_shared<Guests>(kMaxConnections)) {}
  ~Server() override {
    error_code ignored;
    acceptor_.close(ignored);
    ::unlink(path_.c_str());
  }

  error_code listen() {
    error_code failed;
    // One that is too busy to take us is there, too; it must not hold us up.
    stream_protocol::socket probe(acceptor_.get_executor(), stream_protocol());
    probe.non_blocking(true);
    probe.connect(stream_protocol::endpoint(path_), failed);
    if (!failed || failed == asio::error::would_block) return asio::error::address_in_use;
    // Nobody answers there: a leftover of a process that died, or nothing.
    if (struct stat found{}; ::lstat(path_.c_str(), &found) == 0 && S_ISSOCK(found.st_mode)) ::unlink(path_.c_str());
    const auto mask = ::umask(0117);
    failed = {};
    acceptor_.open(stream_protocol(), failed);
    if (!failed) acceptor_.bind(stream_protocol::endpoint(path_), failed);
    ::umask(mask);
    if (!failed) acceptor_.listen(asio::socket_base::max_listen_connections, failed);
    if (!failed) accept();
    return failed;
  }

 private:
  void accept() {
    acceptor_.async_accept([this](error_code failed, stream_protocol::socket socket) {
      if (failed == asio::error::operation_aborted) return;
      if (failed) return accept_later();
      if (guests_->make_room()) std::make_shared<Connection>(std::move(socket), control_, guests_)->read();
      accept();
    });
  }

  // No descriptors or memory: the queue stays as it is, so spinning on it does not help.
  void accept_later() {
    later_.expires_after(kAcceptPause);
    later_.async_wait([this](error_code cancelled) {
      if (!cancelled) accept();
    });
  }

  stream_protocol::acceptor acceptor_;
  asio::steady_timer later_;
  std::string path_;
  Control& control_;
  std::shared_ptr<Guests> guests_;
};

}  // namespace

Result<std::unique_ptr<ControlServer>> ControlServer::open(asio::io_context& io, const std::string& path,
                                                           Control& control) {
  if (path.size() >= sizeof(sockaddr_un{}.sun_path)) {
    return fail(ErrorCode::invalid, "status.control: " + path + " is too long for a socket (107 bytes)");
  }
  std::error_code ignored;
  std::filesystem::create_directories(std::filesystem::path(path).parent_path(), ignored);
  auto server = std::make_unique<Server>(io, path, control);
  if (const auto failed = server->listen()) {
    return fail(failed == asio::error::address_in_use ? ErrorCode::exists : ErrorCode::unavailable,
                "status.control: " + path + ": " +
                    (failed == asio::error::address_in_use ? std::string("another trunkline answers there")
                                                           : failed.message()));
  }
  return std::unique_ptr<ControlServer>(std::move(server));
}

}  // namespace trunkline::ops
