// SPDX-License-Identifier: Apache-2.0
#include <boost/asio/buffer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/write.hpp>

#include "tests/component/hubsim/hub_fixture.h"
#include "tests/hubsim/amqp_value.h"

using namespace trunkline;
using namespace trunkline::hubsim;
using namespace std::chrono_literals;
using namespace std::string_literals;
namespace asio = boost::asio;

namespace {

const auto kBare = "AMQP\x00\x01\x00\x00"s;
const auto kSasl = "AMQP\x03\x01\x00\x00"s;

// A TLS client that sends bytes and reads until the hub has nothing more to say.
class Bytes {
 public:
  explicit Bytes(HubServer& hub) : context_(asio::ssl::context::tls_client), stream_(io_, context_) {
    context_.load_verify_file(hub.ca_file());
    stream_.next_layer().connect({asio::ip::make_address("127.0.0.1"), hub.port()});
    stream_.handshake(asio::ssl::stream_base::client);
  }
  void write(const std::string& bytes) { asio::write(stream_, asio::buffer(bytes)); }
  // Until `end` has come, or the hub closed.
  std::string read_until(const std::string& end) {
    std::string got;
    boost::system::error_code error;
    char in[4096];
    while (!error && (end.empty() || got.find(end) == got.npos)) {
      const auto count = stream_.read_some(asio::buffer(in), error);
      got.append(in, count);
    }
    return got;
  }

 private:
  asio::io_context io_;
  asio::ssl::context context_;
  asio::ssl::stream<asio::ip::tcp::socket> stream_;
};

std::string init(const std::string& mechanism, const std::string& response) {
  std::string fields;
  wire::put_symbol(fields, mechanism);
  wire::put_binary(fields, response);
  std::string body;
  wire::put_descriptor(body, 0x41);
  wire::put_list(body, 2, fields);
  const auto size = body.size() + 8;
  std::string out{static_cast<char>(size >> 24), static_cast<char>(size >> 16), static_cast<char>(size >> 8),
                  static_cast<char>(size)};
  return out + "\x02\x01\x00\x00"s + body;
}

}  // namespace

TEST_CASE("MSSBCBS is welcomed and AMQP follows, sent ahead or not") {
  HubFixture fixture;
  Bytes client(*fixture.hub);
  client.write(kSasl + init("MSSBCBS", "") + kBare);
  const auto got = client.read_until(kBare);
  CHECK(got.starts_with(kSasl));
  CHECK(got.find("Welcome!") != got.npos);
  CHECK(got.find(kBare) != got.npos);
}

TEST_CASE("a plain login with a device's token is welcomed, with another's it is not") {
  HubFixture fixture;
  const auto token = make_token(fixture.hub->host() + "/devices/d1", kKey, 1h);
  Bytes good(*fixture.hub);
  good.write(kSasl + init("PLAIN", "\0d1@sas.hub1\0"s + token));
  CHECK(good.read_until("Welcome!").ends_with("Welcome!"));
  Bytes bad(*fixture.hub);
  bad.write(kSasl + init("PLAIN", "\0d2@sas.hub1\0"s + token));
  CHECK(bad.read_until("").ends_with("\x50\x01"s));
}

TEST_CASE("a peer that says nothing, or stops half way, is let go") {
  HubLimits limits;
  limits.handshake = 1s;
  HubFixture fixture(limits);
  Bytes silent(*fixture.hub);
  Bytes half(*fixture.hub);
  half.write(kSasl);
  Bytes headed(*fixture.hub);
  headed.write(kBare);
  CHECK(silent.read_until("").empty());
  CHECK(half.read_until("").starts_with(kSasl));
  CHECK(headed.read_until("").starts_with(kBare));
}

TEST_CASE("garbage after the AMQP header ends that connection only") {
  HubFixture fixture;
  RawClient other(*fixture.hub, true);
  fixture.attach_d1(other, 1);
  Bytes client(*fixture.hub);
  client.write(kBare + std::string(4000, '\x7F'));
  client.read_until("");
  CHECK(other.send(kUp, telemetry("m1", "x")) == "accepted");
}
