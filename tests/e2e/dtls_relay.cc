// SPDX-License-Identifier: Apache-2.0
// usage: trunkline-dtls-relay HOST PORT psk IDENTITY KEY | HOST PORT certificate FILE KEY_FILE
//
// Gives a device that speaks plain CoAP a DTLS 1.2 session of its own, made by Mbed TLS: neither the gateway's TLS
// library nor its CoAP library. Says "listening PORT" and then takes datagrams on that loopback port; "session N" for
// each handshake that was completed and "refused CODE" for each that was not. SIGHUP forgets the session, as a device
// that restarts does; the next datagram makes another, from another port.
#include <arpa/inet.h>
#include <mbedtls/ctr_drbg.h>
#include <mbedtls/entropy.h>
#include <mbedtls/ssl.h>
#include <mbedtls/timing.h>
#include <mbedtls/version.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <utility>

namespace {

volatile std::sig_atomic_t restarted = 0;

[[noreturn]] void give_up(const char* what) {
  std::perror(what);
  std::exit(1);
}

sockaddr_in loopback(const char* host, const char* port) {
  sockaddr_in out{};
  out.sin_family = AF_INET;
  out.sin_port = htons(static_cast<std::uint16_t>(std::atoi(port)));
  if (::inet_pton(AF_INET, host, &out.sin_addr) != 1) give_up(host);
  return out;
}

// What all sessions of a device have in common: who it is, and chance.
class Device {
 public:
  Device(const std::string& kind, const char* name, const char* proof) {
    mbedtls_entropy_init(&entropy_);
    mbedtls_ctr_drbg_init(&random_);
    mbedtls_ssl_config_init(&config_);
    mbedtls_x509_crt_init(&certificate_);
    mbedtls_pk_init(&key_);
    if (mbedtls_ctr_drbg_seed(&random_, mbedtls_entropy_func, &entropy_, nullptr, 0) != 0 ||
        mbedtls_ssl_config_defaults(&config_, MBEDTLS_SSL_IS_CLIENT, MBEDTLS_SSL_TRANSPORT_DATAGRAM,
                                    MBEDTLS_SSL_PRESET_DEFAULT) != 0) {
      give_up("mbedtls");
    }
    mbedtls_ssl_conf_rng(&config_, mbedtls_ctr_drbg_random, &random_);
    mbedtls_ssl_conf_authmode(&config_, MBEDTLS_SSL_VERIFY_NONE);
    mbedtls_ssl_conf_handshake_timeout(&config_, 1'000, 8'000);
    mbedtls_ssl_conf_read_timeout(&config_, 1);
    kind == "psk" ? use_key(name, proof) : use_certificate(name, proof);
  }
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;
  ~Device() {
    mbedtls_ssl_config_free(&config_);
    mbedtls_pk_free(&key_);
    mbedtls_x509_crt_free(&certificate_);
    mbedtls_ctr_drbg_free(&random_);
    mbedtls_entropy_free(&entropy_);
  }
  [[nodiscard]] const mbedtls_ssl_config* config() const { return &config_; }

 private:
  void use_key(const std::string& identity, const std::string& key) {
    static constexpr std::array<int, 2> kSuites{MBEDTLS_TLS_PSK_WITH_AES_128_CCM_8, 0};
    mbedtls_ssl_conf_ciphersuites(&config_, kSuites.data());
    const auto* bytes = reinterpret_cast<const unsigned char*>(key.data());
    const auto* name = reinterpret_cast<const unsigned char*>(identity.data());
    if (mbedtls_ssl_conf_psk(&config_, bytes, key.size(), name, identity.size()) != 0) give_up("psk");
  }
  void use_certificate(const char* certificate, const char* key) {
    if (mbedtls_x509_crt_parse_file(&certificate_, certificate) != 0) give_up(certificate);
#if MBEDTLS_VERSION_MAJOR >= 3
    const int parsed = mbedtls_pk_parse_keyfile(&key_, key, nullptr, mbedtls_ctr_drbg_random, &random_);
#else
    const int parsed = mbedtls_pk_parse_keyfile(&key_, key, nullptr);
#endif
    if (parsed != 0 || mbedtls_ssl_conf_own_cert(&config_, &certificate_, &key_) != 0) give_up(key);
  }

  mbedtls_entropy_context entropy_{};
  mbedtls_ctr_drbg_context random_{};
  mbedtls_ssl_config config_{};
  mbedtls_x509_crt certificate_{};
  mbedtls_pk_context key_{};
};

class Session {
 public:
  Session(const Device& device, const sockaddr_in& to) : fd_(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
    mbedtls_ssl_init(&ssl_);
    if (fd_ < 0 || ::connect(fd_, reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0) give_up("socket");
    if (mbedtls_ssl_setup(&ssl_, device.config()) != 0) give_up("ssl");
    mbedtls_ssl_set_timer_cb(&ssl_, &timer_, mbedtls_timing_set_delay, mbedtls_timing_get_delay);
    mbedtls_ssl_set_bio(&ssl_, this, send, nullptr, receive);
    result_ = mbedtls_ssl_handshake(&ssl_);
  }
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  ~Session() {
    mbedtls_ssl_free(&ssl_);
    ::close(fd_);
  }

  [[nodiscard]] int result() const { return result_; }
  [[nodiscard]] int fd() const { return fd_; }
  bool write(const std::string& bytes) {
    return mbedtls_ssl_write(&ssl_, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size()) > 0;
  }
  enum class Read { message, nothing, ended };
  Read read(std::string& bytes) {
    std::array<unsigned char, 4096> buffer{};
    const int count = mbedtls_ssl_read(&ssl_, buffer.data(), buffer.size());
    if (count == MBEDTLS_ERR_SSL_TIMEOUT || count == MBEDTLS_ERR_SSL_WANT_READ) return Read::nothing;
    if (count <= 0) return Read::ended;
    bytes.assign(buffer.begin(), buffer.begin() + count);
    return Read::message;
  }

 private:
  static int send(void* self, const unsigned char* bytes, std::size_t size) {
    const auto sent = ::send(static_cast<Session*>(self)->fd_, bytes, size, 0);
    // What nobody listens to is lost, as on any network.
    return sent < 0 ? static_cast<int>(size) : static_cast<int>(sent);
  }
  static int receive(void* self, unsigned char* bytes, std::size_t size, std::uint32_t timeout) {
    const int fd = static_cast<Session*>(self)->fd_;
    pollfd wait{fd, POLLIN, 0};
    if (::poll(&wait, 1, timeout == 0 ? -1 : static_cast<int>(timeout)) <= 0) return MBEDTLS_ERR_SSL_TIMEOUT;
    const auto count = ::recv(fd, bytes, size, MSG_DONTWAIT);
    return count < 0 ? MBEDTLS_ERR_SSL_TIMEOUT : static_cast<int>(count);
  }

  int fd_;
  int result_ = 0;
  mbedtls_ssl_context ssl_{};
  mbedtls_timing_delay_context timer_{};
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 6) return 2;
  struct sigaction action {};
  action.sa_handler = [](int /*signal*/) { restarted = 1; };
  ::sigaction(SIGHUP, &action, nullptr);
  const auto gateway = loopback(argv[1], argv[2]);
  const Device device(argv[3], argv[4], argv[5]);
  const int inside = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  auto local = loopback("127.0.0.1", "0");
  socklen_t size = sizeof local;
  if (::bind(inside, reinterpret_cast<const sockaddr*>(&local), size) != 0) give_up("bind");
  ::getsockname(inside, reinterpret_cast<sockaddr*>(&local), &size);
  std::printf("listening %d\n", ntohs(local.sin_port));
  std::fflush(stdout);

  std::unique_ptr<Session> session;
  sockaddr_in speaker{};
  int sessions = 0;
  std::string bytes;
  for (;;) {
    std::array<pollfd, 2> wait{pollfd{inside, POLLIN, 0}, pollfd{session ? session->fd() : -1, POLLIN, 0}};
    const int ready = ::poll(wait.data(), wait.size(), -1);
    if (std::exchange(restarted, 0) != 0) session.reset();
    if (ready <= 0) continue;
    if (session && wait[1].revents != 0) {
      // One datagram may hold several records, and mbedtls_ssl_read has them all by then.
      auto read = session->read(bytes);
      for (; read == Session::Read::message; read = session->read(bytes)) {
        ::sendto(inside, bytes.data(), bytes.size(), 0, reinterpret_cast<const sockaddr*>(&speaker), sizeof speaker);
      }
      if (read == Session::Read::ended) session.reset();
    }
    if ((wait[0].revents & POLLIN) == 0) continue;
    std::array<char, 4096> buffer{};
    socklen_t length = sizeof speaker;
    const auto count =
        ::recvfrom(inside, buffer.data(), buffer.size(), 0, reinterpret_cast<sockaddr*>(&speaker), &length);
    if (count < 0) continue;
    if (!session) {
      session = std::make_unique<Session>(device, gateway);
      if (session->result() != 0) {
        std::printf("refused %#x\n", static_cast<unsigned>(-session->result()));
        session.reset();
      } else {
        std::printf("session %d\n", ++sessions);
      }
      std::fflush(stdout);
    }
    if (session && !session->write({buffer.data(), static_cast<std::size_t>(count)})) session.reset();
  }
}
