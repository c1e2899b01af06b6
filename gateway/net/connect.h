// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "gateway/base/result.h"
#include "gateway/base/secret.h"
#include "gateway/net/endpoint.h"
#include "gateway/net/stream.h"

namespace trunkline::net {

// The key of a pre-shared identity as it is now; on the handshake's thread, from memory.
using PskLookup = std::function<Result<Secret>(std::string_view identity)>;

struct TlsClientOptions {
  std::string server_name;         // SNI, and the name that the certificate must carry
  std::string ca_file;             // PEM; empty: the system's store
  std::string certificate_file{};  // ours, PEM with its chain; empty: none
  std::string key_file{};
  std::string psk_identity{};  // who we are when `psk` is set
  PskLookup psk{};             // if set, the peer must prove this key, and no certificate of anybody counts
};

// A client context: TLS 1.2 or newer, peer certificate and name verified. Fails if a file cannot be read, naming it.
Result<std::shared_ptr<asio::ssl::context>> tls_client_context(TlsClientOptions options);

// A server context from PEM files. Fails naming the file.
Result<std::shared_ptr<asio::ssl::context>> tls_server_context(const std::string& certificate_file,
                                                               const std::string& key_file);

struct TlsServerOptions {
  std::string certificate_file;  // PEM with its chain; empty: pre-shared keys only
  std::string key_file;
  std::string ca_file;  // if set, a client without a certificate from there is refused (but one with a key)
  PskLookup psk{};      // if set, clients may come with a pre-shared key
};
Result<std::shared_ptr<asio::ssl::context>> tls_server_context(TlsServerOptions options);

// How a connection is made and kept.
struct TcpOptions {
  // A path is dead when the peer acknowledges neither bytes nor keepalives for about so long. 0: 30 s for bytes, and an
  // idle path is asked after 30 s and dead 30 s later.
  std::chrono::milliseconds dead_after{0};
  std::string bind{};  // dialling: our own address, or the name of an interface
};

// One attempt to reach a peer. Destroying it cancels the attempt and the handler is not called.
class ConnectAttempt {
 public:
  virtual ~ConnectAttempt() = default;
};

using ConnectHandler = std::function<void(Result<std::unique_ptr<Stream>>)>;

// Resolves, connects (each address in turn) and, with a context, makes the TLS handshake with options.server_name, all
// within `timeout`. The handler is called at most once, on the io_context's thread, never from within this call. TCP
// keepalive, TCP_NODELAY and TCP_USER_TIMEOUT are set.
std::unique_ptr<ConnectAttempt> connect_tcp(asio::io_context& io, const Endpoint& peer,
                                            std::chrono::milliseconds timeout, ConnectHandler handler,
                                            const TcpOptions& options = {});
std::unique_ptr<ConnectAttempt> connect_tls(asio::io_context& io, const Endpoint& peer,
                                            std::shared_ptr<asio::ssl::context> context, const std::string& server_name,
                                            std::chrono::milliseconds timeout, ConnectHandler handler,
                                            const TcpOptions& options = {});

// Wraps an accepted socket.
std::unique_ptr<Stream> tcp_stream(asio::ip::tcp::socket socket, const TcpOptions& options = {});

// Server side of a TLS handshake on an accepted socket; the same rules as connect_tls.
std::unique_ptr<ConnectAttempt> accept_tls(asio::ip::tcp::socket socket, std::shared_ptr<asio::ssl::context> context,
                                           std::chrono::milliseconds timeout, ConnectHandler handler,
                                           const TcpOptions& options = {});

// Accepts TCP connections until destroyed. `local` shows the port that was chosen for port 0. An accept that fails for
// lack of descriptors is tried again after 100 ms.
class Listener {
 public:
  using Handler = std::function<void(asio::ip::tcp::socket)>;
  // Fails with the address and the reason if it cannot listen.
  static Result<std::unique_ptr<Listener>> open(asio::io_context& io, const Endpoint& local, Handler handler);
  virtual ~Listener() = default;
  [[nodiscard]] virtual Endpoint local() const = 0;
};

}  // namespace trunkline::net
