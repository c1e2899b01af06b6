// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "tests/support/coap_peer.h"

namespace trunkline::test {

// How a DtlsPeer says who it is: by a pre-shared key, or by a certificate of files.
struct DtlsProof {
  std::string identity;
  std::string key;
  std::string certificate_file;
  std::string key_file;
  bool tickets = false;    // offers to resume its last session
  std::uint16_t port = 0;  // its own
  std::string suites{};    // instead of those that fit
};

// A CoAP device over DTLS 1.2, with OpenSSL and without libcoap. One thread.
class DtlsPeer {
 public:
  static constexpr std::chrono::milliseconds kPatience{20'000};

  DtlsPeer(const std::string& server, DtlsProof proof, SSL_SESSION* resumed = nullptr) : proof_(std::move(proof)) {
    const auto colon = server.rfind(':');
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(static_cast<std::uint16_t>(std::stoi(server.substr(colon + 1))));
    ::inet_pton(AF_INET, server.substr(0, colon).c_str(), &to.sin_addr);
    fd_ = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    sockaddr_in from{};
    from.sin_family = AF_INET;
    from.sin_port = htons(proof_.port);
    from.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd_ < 0 || ::bind(fd_, reinterpret_cast<const sockaddr*>(&from), sizeof from) != 0) return;
    if (::connect(fd_, reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0) return;
    SSL_CTX_set_min_proto_version(context_.get(), DTLS1_2_VERSION);
    SSL_CTX_set_verify(context_.get(), SSL_VERIFY_NONE, nullptr);
    if (proof_.certificate_file.empty()) {
      SSL_CTX_set_cipher_list(context_.get(), "PSK-AES128-CCM8:@SECLEVEL=0");
      SSL_CTX_set_psk_client_callback(context_.get(), give_key);
    } else {
      SSL_CTX_set_cipher_list(context_.get(), "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256");
      SSL_CTX_use_certificate_file(context_.get(), proof_.certificate_file.c_str(), SSL_FILETYPE_PEM);
      SSL_CTX_use_PrivateKey_file(context_.get(), proof_.key_file.c_str(), SSL_FILETYPE_PEM);
    }
    if (!proof_.suites.empty()) SSL_CTX_set_cipher_list(context_.get(), proof_.suites.c_str());
    if (!proof_.tickets) SSL_CTX_set_options(context_.get(), SSL_OP_NO_TICKET);
    ssl_.reset(SSL_new(context_.get()));
    SSL_set_app_data(ssl_.get(), this);
    auto* bio = BIO_new_dgram(fd_, BIO_NOCLOSE);
    BIO_ctrl(bio, BIO_CTRL_DGRAM_SET_CONNECTED, 0, &to);
    set_patience(bio, kPatience);
    SSL_set_bio(ssl_.get(), bio, bio);
    if (resumed != nullptr) SSL_set_session(ssl_.get(), resumed);
    ERR_clear_error();
    ok_ = SSL_connect(ssl_.get()) == 1;
  }
  DtlsPeer(const DtlsPeer&) = delete;
  DtlsPeer& operator=(const DtlsPeer&) = delete;
  ~DtlsPeer() {
    if (ok_) SSL_shutdown(ssl_.get());
    ssl_.reset();
    if (fd_ >= 0) ::close(fd_);
  }

  // Ends without a word, as a device that loses its power.
  void vanish() { ok_ = false; }

  // The handshake was completed.
  [[nodiscard]] bool ok() const { return ok_; }
  [[nodiscard]] int fd() const { return fd_; }
  [[nodiscard]] std::uint16_t port() const {
    sockaddr_in local{};
    socklen_t size = sizeof local;
    ::getsockname(fd_, reinterpret_cast<sockaddr*>(&local), &size);
    return ntohs(local.sin_port);
  }
  [[nodiscard]] bool resumed() const { return SSL_session_reused(ssl_.get()) == 1; }
  [[nodiscard]] SSL_SESSION* session() const { return SSL_get1_session(ssl_.get()); }

  void send(const CoapMessage& message) {
    const auto bytes = message.encode();
    SSL_write(ssl_.get(), bytes.data(), static_cast<int>(bytes.size()));
  }
  std::optional<CoapMessage> receive(std::chrono::milliseconds patience = kPatience) {
    set_patience(SSL_get_rbio(ssl_.get()), patience);
    return try_receive();
  }
  // The same with the patience of the last time.
  std::optional<CoapMessage> try_receive() {
    char bytes[2048];
    ERR_clear_error();
    const int count = SSL_read(ssl_.get(), bytes, sizeof bytes);
    if (count <= 0) return std::nullopt;
    return CoapMessage::decode({bytes, static_cast<std::size_t>(count)});
  }
  void acknowledge(const CoapMessage& message) { send({CoapMessage::ack, 0, message.id, {}, {}, {}}); }

 private:
  struct Free {
    void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
    void operator()(SSL* ssl) const { SSL_free(ssl); }
  };
  static void set_patience(BIO* bio, std::chrono::milliseconds patience) {
    timeval time{patience.count() / 1000, patience.count() % 1000 * 1000};
    BIO_ctrl(bio, BIO_CTRL_DGRAM_SET_RECV_TIMEOUT, 0, &time);
  }
  static unsigned give_key(SSL* ssl, const char* /*hint*/, char* identity, unsigned identity_size, unsigned char* key,
                           unsigned key_size) {
    const auto& proof = static_cast<DtlsPeer*>(SSL_get_app_data(ssl))->proof_;
    if (proof.identity.size() + 1 > identity_size || proof.key.size() > key_size) return 0;
    proof.identity.copy(identity, proof.identity.size());
    identity[proof.identity.size()] = '\0';
    std::copy(proof.key.begin(), proof.key.end(), key);
    return static_cast<unsigned>(proof.key.size());
  }

  DtlsProof proof_;
  int fd_ = -1;
  bool ok_ = false;
  std::unique_ptr<SSL_CTX, Free> context_{SSL_CTX_new(DTLS_client_method())};
  std::unique_ptr<SSL, Free> ssl_;
};

}  // namespace trunkline::test
