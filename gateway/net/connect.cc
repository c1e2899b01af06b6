// SPDX-License-Identifier: Apache-2.0
#include "gateway/net/connect.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>

#include <boost/asio/error.hpp>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/ssl/error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <ctime>
#include <vector>

#include "gateway/base/clock.h"
#include "gateway/net/socket_stream.h"

namespace trunkline::net {

namespace {

using asio::ip::tcp;
using std::chrono::steady_clock;

Error io_error(const error_code& error) {
  const auto code = error == asio::error::timed_out ? ErrorCode::timed_out : ErrorCode::unavailable;
  return Error{code, error.message()};
}

// The name that the certificate must carry; SNI is for names only (RFC 6066 section 3).
bool expect_name(SSL* ssl, const std::string& name) {
  error_code not_an_address;
  asio::ip::make_address(name, not_an_address);
  auto* parameters = SSL_get0_param(ssl);
  if (!not_an_address) return X509_VERIFY_PARAM_set1_ip_asc(parameters, name.c_str()) == 1;
  X509_VERIFY_PARAM_set_hostflags(parameters, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  // SSL_set_tlsext_host_name is a macro of C casts around this call.
  return X509_VERIFY_PARAM_set1_host(parameters, name.c_str(), name.size()) == 1 &&
         SSL_ctrl(ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name, const_cast<char*>(name.c_str())) == 1;
}

std::string time_text(const ASN1_TIME* time) {
  std::tm utc{};
  if (time == nullptr || ASN1_TIME_to_tm(time, &utc) != 1) return "an unreadable time";
  return to_rfc3339(WallTime(std::chrono::seconds(::timegm(&utc))));
}

// Names what to do: most refused certificates are a wrong clock, name or CA file of ours.
Error certificate_error(SSL* ssl, long verdict, const std::string& name) {
  if (expects_psk(ssl)) {
    return Error{
        ErrorCode::denied,
        "pre-shared key: the peer shows a certificate instead; it does not know our identity, or takes no keys"};
  }
  std::string text = std::string("certificate: ") + X509_verify_cert_error_string(verdict);
  // The chain is kept even when it was refused. It is valid when all of it is.
  const auto* chain = SSL_get0_verified_chain(ssl);
  const ASN1_TIME* begins = nullptr;
  const ASN1_TIME* ends = nullptr;
  for (int i = 0; chain != nullptr && i < sk_X509_num(chain); ++i) {
    const auto* certificate = sk_X509_value(chain, i);
    const auto* from = X509_get0_notBefore(certificate);
    const auto* to = X509_get0_notAfter(certificate);
    if (begins == nullptr || ASN1_TIME_compare(from, begins) > 0) begins = from;
    if (ends == nullptr || ASN1_TIME_compare(to, ends) < 0) ends = to;
  }
  switch (verdict) {
    case X509_V_ERR_CERT_NOT_YET_VALID:
      text += ": it begins at " + time_text(begins) + "; this machine's clock may be behind, check it";
      break;
    case X509_V_ERR_CERT_HAS_EXPIRED:
      text += ": it ended at " + time_text(ends) + "; if that is not past, this machine's clock is ahead, check it";
      break;
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
      text += ": it is not for '" + name + "'; check the configured host and address";
      break;
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_CERT_SIGNATURE_FAILURE:  // an authority of the same name with another key
      text += ": its authority is not among those that we trust; check the CA file";
      break;
    default:
      break;
  }
  return Error{ErrorCode::denied, std::move(text)};
}

// One attempt in progress. Asio's operations keep it alive; cancel() takes its voice away.
class Attempt final : public std::enable_shared_from_this<Attempt> {
 public:
  Attempt(const asio::any_io_executor& executor, Endpoint peer, std::shared_ptr<asio::ssl::context> tls,
          std::string server_name, std::chrono::milliseconds timeout, ConnectHandler handler, TcpOptions options)
      : options_(std::move(options)),
        peer_(std::move(peer)),
        tls_(std::move(tls)),
        server_name_(std::move(server_name)),
        deadline_(steady_clock::now() + timeout),
        handler_(std::move(handler)),
        resolver_(executor),
        timer_(executor),
        address_timer_(executor),
        socket_(executor) {}

  void connect() {
    arm();
    error_code no_literal;
    const auto literal = asio::ip::make_address(peer_.host, no_literal);
    if (!no_literal) {
      addresses_.emplace_back(literal, peer_.port);
      asio::post(socket_.get_executor(), [self = shared_from_this()] { self->try_next({}); });
      return;
    }
    resolver_.async_resolve(peer_.host, std::to_string(peer_.port),
                            [self = shared_from_this()](error_code error, const tcp::resolver::results_type& found) {
                              if (error) {
                                auto why = io_error(error).in("resolving the name");
                                why.message += "; check the name, and this machine's name servers";
                                return self->failed(std::move(why));
                              }
                              for (const auto& entry : found) self->addresses_.push_back(entry.endpoint());
                              self->try_next({});
                            });
  }

  void accept(tcp::socket socket) {
    socket_ = std::move(socket);
    arm();
    asio::post(socket_.get_executor(), [self = shared_from_this()] { self->connected(); });
  }

  void cancel() {
    handler_ = nullptr;
    stop();
  }

 private:
  void arm() {
    timer_.expires_at(deadline_);
    timer_.async_wait([self = shared_from_this()](error_code error) {
      if (error) return;
      auto text = std::string("no answer in time while ") + self->doing_;
      if (!self->is_connected_) text += "; a firewall may drop it, or the address is wrong";
      self->failed(Error{ErrorCode::timed_out, std::move(text)});
    });
  }

  void try_next(const error_code& last) {
    if (!handler_) return;
    if (next_ == addresses_.size()) return failed(connect_error(last));
    doing_ = "connecting";
    const auto address = addresses_[next_++];
    error_code ignored;
    socket_.close(ignored);
    if (auto bound = bind(address); !bound) return failed(bound.error());
    // An address that swallows packets must leave time for the others.
    const auto now = steady_clock::now();
    const auto share = (deadline_ - now) / static_cast<int>(addresses_.size() - next_ + 1);
    const bool others = next_ < addresses_.size();
    if (others) {
      address_timer_.expires_at(now + share);
      address_timer_.async_wait([self = shared_from_this(), turn = next_](error_code error) {
        if (error || self->next_ != turn || self->is_connected_) return;
        error_code unused;
        self->socket_.close(unused);
      });
    }
    socket_.async_connect(address, [self = shared_from_this()](error_code error) {
      if (!self->handler_) return;
      if (error) return self->try_next(error == asio::error::operation_aborted ? asio::error::timed_out : error);
      self->connected();
    });
  }

  static Error connect_error(const error_code& last) {
    auto why = io_error(last ? last : make_error_code(asio::error::host_not_found));
    if (last == asio::error::connection_refused) why.message += "; nothing listens on that port there";
    if (last == asio::error::timed_out) why.message += "; a firewall may drop it, or the address is wrong";
    return why;
  }

  // Our side of the connection, where the operator says which.
  Result<void> bind(const tcp::endpoint& address) {
    if (options_.bind.empty()) return {};
    error_code error;
    socket_.open(address.protocol(), error);
    const auto own = asio::ip::make_address(options_.bind, error);
    if (error) {
      const auto size = static_cast<socklen_t>(options_.bind.size());
      if (::setsockopt(socket_.native_handle(), SOL_SOCKET, SO_BINDTODEVICE, options_.bind.c_str(), size) == 0)
        return {};
      error = error_code(errno, boost::system::system_category());
    } else {
      socket_.bind({own, 0}, error);
    }
    if (!error) return {};
    return fail(ErrorCode::unavailable, "cannot use " + options_.bind + ": " + error.message());
  }

  void connected() {
    if (!handler_) return;
    is_connected_ = true;
    address_timer_.cancel();
    set_tcp_options(socket_, options_);
    if (!tls_) return finished(tcp_stream(std::move(socket_), options_));
    doing_ = "making the TLS handshake";
    secure_ = std::make_shared<TlsSocket>(std::move(socket_), *tls_);
    const bool server = server_name_.empty();
    if (!server && !expect_name(secure_->native_handle(), server_name_)) {
      return failed(Error{ErrorCode::invalid, "'" + server_name_ + "' is no name for a certificate"});
    }
    secure_->async_handshake(server ? asio::ssl::stream_base::server : asio::ssl::stream_base::client,
                             [self = shared_from_this(), keep = secure_](error_code error) {
                               if (error) return self->failed(self->handshake_error(error));
                               self->finished(tls_stream(keep));
                             });
  }

  Error handshake_error(const error_code& error) {
    if (secure_ && !server_name_.empty()) {
      const long verdict = SSL_get_verify_result(secure_->native_handle());
      if (verdict != X509_V_OK) return certificate_error(secure_->native_handle(), verdict, server_name_);
    }
    const auto reason = error.category() == asio::error::get_ssl_category()
                            ? ERR_GET_REASON(static_cast<unsigned long>(error.value()))
                            : 0;
    if (reason == SSL_R_UNSUPPORTED_PROTOCOL || reason == SSL_R_TLSV1_ALERT_PROTOCOL_VERSION) {
      return Error{ErrorCode::denied, "TLS handshake: the two sides share no version of TLS; ours begin at 1.2"};
    }
    return io_error(error).in("TLS handshake");
  }

  void finished(std::unique_ptr<Stream> stream) {
    if (!handler_) return;
    secure_.reset();
    timer_.cancel();
    std::exchange(handler_, nullptr)(std::move(stream));
  }

  void failed(Error error) {
    if (!handler_) return;
    stop();
    std::exchange(handler_, nullptr)(fail(error.in(peer_.text())));
  }

  void stop() {
    error_code ignored;
    resolver_.cancel();
    timer_.cancel();
    address_timer_.cancel();
    if (secure_) {
      secure_->next_layer().close(ignored);
    } else {
      socket_.close(ignored);
    }
  }

  const TcpOptions options_;
  Endpoint peer_;
  std::shared_ptr<asio::ssl::context> tls_;
  std::string server_name_;  // empty: we are the server
  steady_clock::time_point deadline_;
  ConnectHandler handler_;
  tcp::resolver resolver_;
  asio::steady_timer timer_;
  asio::steady_timer address_timer_;
  tcp::socket socket_;
  std::shared_ptr<TlsSocket> secure_;
  std::vector<tcp::endpoint> addresses_;
  std::size_t next_ = 0;
  bool is_connected_ = false;
  const char* doing_ = "resolving the name";
};

class OwnedAttempt final : public ConnectAttempt {
 public:
  explicit OwnedAttempt(std::shared_ptr<Attempt> attempt) : attempt_(std::move(attempt)) {}
  ~OwnedAttempt() override { attempt_->cancel(); }

 private:
  std::shared_ptr<Attempt> attempt_;
};

}  // namespace

std::unique_ptr<ConnectAttempt> connect_tcp(asio::io_context& io, const Endpoint& peer,
                                            std::chrono::milliseconds timeout, ConnectHandler handler,
                                            const TcpOptions& options) {
  auto attempt =
      std::make_shared<Attempt>(io.get_executor(), peer, nullptr, std::string(), timeout, std::move(handler), options);
  attempt->connect();
  return std::make_unique<OwnedAttempt>(std::move(attempt));
}

std::unique_ptr<ConnectAttempt> connect_tls(asio::io_context& io, const Endpoint& peer,
                                            std::shared_ptr<asio::ssl::context> context, const std::string& server_name,
                                            std::chrono::milliseconds timeout, ConnectHandler handler,
                                            const TcpOptions& options) {
  auto attempt =
      std::make_shared<Attempt>(io.get_executor(), peer, std::move(context),
                                server_name.empty() ? peer.host : server_name, timeout, std::move(handler), options);
  attempt->connect();
  return std::make_unique<OwnedAttempt>(std::move(attempt));
}

std::unique_ptr<ConnectAttempt> accept_tls(tcp::socket socket, std::shared_ptr<asio::ssl::context> context,
                                           std::chrono::milliseconds timeout, ConnectHandler handler,
                                           const TcpOptions& options) {
  error_code error;
  const auto address = socket.remote_endpoint(error);
  auto attempt = std::make_shared<Attempt>(socket.get_executor(), error ? Endpoint{"unknown", 0} : to_endpoint(address),
                                           std::move(context), std::string(), timeout, std::move(handler), options);
  attempt->accept(std::move(socket));
  return std::make_unique<OwnedAttempt>(std::move(attempt));
}

}  // namespace trunkline::net
