// SPDX-License-Identifier: Apache-2.0
#include <openssl/ssl.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/write.hpp>
#include <cstring>
#include <string>
#include <vector>

#include "tests/component/tcp/tcp_rig.h"
#include "tests/support/tls_identity.h"

using namespace trunkline;
using namespace trunkline::test;
namespace asio = boost::asio;

namespace {

const std::string kKey = "a key of sixteen";

// A device that speaks TLS, blocking: with a certificate, or with a pre-shared key.
class TlsDevice {
 public:
  TlsDevice(const std::string& address, const tests::TlsIdentity* certificate, const char* psk_identity)
      : context_(asio::ssl::context::tls_client), stream_(prepare(certificate, psk_identity)) {
    const auto colon = address.rfind(':');
    boost::system::error_code error;
    stream_.lowest_layer().connect({asio::ip::make_address(address.substr(0, colon)),
                                    static_cast<std::uint16_t>(std::stoi(address.substr(colon + 1)))},
                                   error);
    if (!error) stream_.handshake(asio::ssl::stream_base::client, error);
    ok_ = !error;
  }

  // In TLS 1.3 a server refuses a client after the client's own handshake is done: only an answer is proof.
  std::string ask(const std::string& line) {
    boost::system::error_code error;
    if (!ok_) return {};
    asio::write(stream_, asio::buffer(line), error);
    std::string out;
    if (!error) asio::read_until(stream_, asio::dynamic_buffer(out), '\n', error);
    return error ? std::string() : out;
  }

 private:
  // Asio keeps its own in the application data.
  static int identity_index() {
    static const int index = SSL_CTX_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);
    return index;
  }
  static unsigned give_key(SSL* ssl, const char* /*hint*/, char* identity, unsigned most, unsigned char* key,
                           unsigned most_key) {
    const auto* name = static_cast<const char*>(SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), identity_index()));
    if (std::strlen(name) >= most || kKey.size() > most_key) return 0;
    std::strcpy(identity, name);
    std::copy(kKey.begin(), kKey.end(), key);
    return static_cast<unsigned>(kKey.size());
  }
  asio::ssl::stream<asio::ip::tcp::socket> prepare(const tests::TlsIdentity* certificate, const char* psk_identity) {
    if (certificate != nullptr) {
      context_.use_certificate_chain_file(certificate->certificate_file());
      context_.use_private_key_file(certificate->key_file(), asio::ssl::context::pem);
    }
    if (psk_identity != nullptr) {
      identity_ = psk_identity;
      SSL_CTX_set_ex_data(context_.native_handle(), identity_index(), identity_.data());
      SSL_CTX_set_psk_client_callback(context_.native_handle(), give_key);
    }
    return {io_, context_};
  }

  asio::io_context io_;
  asio::ssl::context context_;
  std::string identity_;
  asio::ssl::stream<asio::ip::tcp::socket> stream_;
  bool ok_ = false;
};

DeviceMap secure_map(const std::string& id, TcpIdentify::By by, const TcpTls& tls) {
  auto map = tcp_map(id);
  map.tcp->line.identify.by = by;
  map.tcp->line.tls = tls;
  return map;
}

}  // namespace

TEST_CASE("a client certificate says which device speaks, and none gets nobody in", "[I-02]") {
  const tests::TlsIdentity server("127.0.0.1");
  TcpTls tls;
  tls.cert = server.certificate_file();
  tls.key = server.key_file();
  tls.ca_file = server.ca_file();
  const tests::TlsIdentity stranger("127.0.0.1");
  auto map = secure_map("scale-2", TcpIdentify::By::certificate, tls);
  map.tcp->is = "trunkline test server";  // the common name of both
  TcpRig rig({map});
  rig.ingress.answer_by([](const Telemetry& /*telemetry*/) { return Admission::safe(); });
  const auto address = rig.adapter.listening(tcp_id("scale-2"));
  TlsDevice device(address, &server, nullptr);
  CHECK(device.ask("1.5\n") == "ACK\n");
  CHECK(TlsDevice(address, &stranger, nullptr).ask("x\n").empty());  // of another authority
  CHECK(TlsDevice(address, nullptr, nullptr).ask("x\n").empty());
  CHECK(rig.ingress.bodies() == std::vector<std::string>{"1.5"});
}

TEST_CASE("a pre-shared key of the identity store says which device speaks", "[I-02]") {
  TcpTls tls;
  tls.psk = true;
  TcpRig rig({secure_map("pump-1", TcpIdentify::By::psk, tls), secure_map("pump-2", TcpIdentify::By::psk, tls)});
  rig.ingress.answer_by([](const Telemetry& /*telemetry*/) { return Admission::safe(); });
  rig.ingress.set_key(tcp_id("pump-1"), kKey);
  rig.ingress.set_key(tcp_id("pump-2"), "another key of..");
  rig.ingress.set_key(tcp_id("elsewhere"), kKey);
  const auto address = rig.adapter.listening(tcp_id("pump-1"));
  TlsDevice device(address, nullptr, "pump-1");
  CHECK(device.ask("1.5\n") == "ACK\n");
  CHECK(TlsDevice(address, nullptr, "pump-2").ask("x\n").empty());     // the wrong key
  CHECK(TlsDevice(address, nullptr, "elsewhere").ask("x\n").empty());  // no device of this listener
  CHECK(rig.ingress.bodies() == std::vector<std::string>{"1.5"});
  CHECK(rig.ingress.received().front().device.text() == "pump-1");
}
