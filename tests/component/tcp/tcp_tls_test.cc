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

namespace {

// An adapter that dials another one; what it polls with is telemetry there, and the acknowledgement is telemetry here.
struct Dialler : TcpRig {
  Dialler(const std::string& address, const TcpTls& tls, const std::string& key)
      : TcpRig({map_of(address, tls)}, [&](FakeIngress& before) {
          before.set_key(tcp_id("plc-1"), key);
          before.answer_by([](const Telemetry& /*telemetry*/) { return Admission::safe(); });
        }) {}
  static DeviceMap map_of(const std::string& address, const TcpTls& tls) {
    auto map = tcp_map("plc-1");
    map.tcp->listen.clear();
    map.tcp->connect = address;
    map.tcp->ack.reset();
    map.tcp->polls = {{"hello\n", std::chrono::seconds(60), std::chrono::seconds(60)}};
    map.tcp->line.tls = tls;
    map.tcp->line.retry = std::chrono::milliseconds(500);
    return map;
  }
  // In TLS 1.3 a server refuses us when our own handshake is done: then it hangs up, and we dial again.
  bool refused() {
    return eventually([this] { return metric("tcp_dial_failures_total") > 0 || metric("tcp_dials_total") > 1; });
  }
};

}  // namespace

TEST_CASE("a dialled TLS device sees our certificate, and we its name and authority", "[I-02]") {
  const tests::TlsIdentity server("127.0.0.1");
  const tests::TlsIdentity stranger("127.0.0.1");
  TcpTls listening;
  listening.cert = server.certificate_file();
  listening.key = server.key_file();
  listening.ca_file = server.ca_file();
  TcpRig rig({secure_map("scale-2", TcpIdentify::By::sole, listening)});
  rig.ingress.answer_by([](const Telemetry& /*telemetry*/) { return Admission::safe(); });
  const auto address = rig.adapter.listening(tcp_id("scale-2"));
  {
    Dialler good(address, listening, {});
    REQUIRE(good.ingress.wait_count(1));
    CHECK(good.ingress.bodies().front() == "ACK");
  }
  auto other_authority = listening;
  other_authority.ca_file = stranger.ca_file();
  auto other_name = listening;
  other_name.name = "elsewhere.example";
  auto without = listening;
  without.cert.clear();
  without.key.clear();
  for (const auto& tls : {other_authority, other_name, without}) {
    Dialler bad(address, tls, {});
    CHECK(bad.refused());
    CHECK(bad.ingress.count() == 0);
  }
  CHECK(rig.ingress.bodies() == std::vector<std::string>{"hello"});
}

TEST_CASE("a dialled device proves a pre-shared key, and no certificate takes its place", "[I-02]") {
  TcpTls listening;
  listening.psk = true;
  TcpRig rig({secure_map("plc-1", TcpIdentify::By::psk, listening)});
  rig.ingress.answer_by([](const Telemetry& /*telemetry*/) { return Admission::safe(); });
  rig.ingress.set_key(tcp_id("plc-1"), kKey);
  const auto address = rig.adapter.listening(tcp_id("plc-1"));
  TcpTls dialling;
  dialling.psk = true;
  {
    Dialler good(address, dialling, kKey);
    REQUIRE(good.ingress.wait_count(1));
    CHECK(good.ingress.bodies().front() == "ACK");
  }
  dialling.identity = "somebody else";
  CHECK(Dialler(address, dialling, kKey).refused());
  dialling.identity.clear();
  CHECK(Dialler(address, dialling, "another key of..").refused());
  const tests::TlsIdentity server("127.0.0.1");
  TcpTls certified;
  certified.cert = server.certificate_file();
  certified.key = server.key_file();
  TcpRig without_keys({secure_map("plc-1", TcpIdentify::By::sole, certified)});
  CHECK(Dialler(without_keys.adapter.listening(tcp_id("plc-1")), dialling, kKey).refused());
  CHECK(rig.ingress.bodies() == std::vector<std::string>{"hello"});
  CHECK(without_keys.ingress.count() == 0);
}
