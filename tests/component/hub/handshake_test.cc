// SPDX-License-Identifier: Apache-2.0
// From TCP connect to the first answer of $cbs, and where the hub sends us meanwhile.
#include <openssl/ssl.h>

#include <proton/annotation_key.hpp>
#include <proton/binary.hpp>
#include <proton/message.hpp>
#include <proton/timestamp.hpp>
#include <proton/value.hpp>

#include "tests/component/hub/odd_rig.h"

using namespace trunkline;
using namespace trunkline::tests;
using Kind = LinkFault::Kind;

namespace {

bool wait_lost(Rig& rig, std::size_t count = 1) {
  return rig.until([&] { return rig.lost.size() == count; });
}

bool has(const std::string& text, std::string_view part) {
  INFO(text);
  return text.find(part) != std::string::npos;
}

struct TwoAddresses : Rig {
  TwoAddresses() : Rig({}, [](hubsim::HubOptions& hub) { hub.also_listen = {"127.0.0.1:0"}; }) {}
  // Redirected once, and back again.
  void redirect_once() { control(R"({"op":"redirect","count":1})"); }
};

// A server that makes handshakes by a context of its own.
struct TlsPeer {
  TlsPeer(boost::asio::io_context& io, std::shared_ptr<boost::asio::ssl::context> tls) : context(std::move(tls)) {
    listener = *net::Listener::open(io, {"127.0.0.1", 0}, [this](boost::asio::ip::tcp::socket socket) {
      attempts.push_back(net::accept_tls(std::move(socket), context, std::chrono::seconds(10), [this](auto stream) {
        if (stream) streams.push_back(std::move(*stream));
      }));
    });
  }
  std::shared_ptr<boost::asio::ssl::context> context;
  std::vector<std::unique_ptr<net::ConnectAttempt>> attempts;
  std::vector<std::unique_ptr<net::Stream>> streams;
  std::unique_ptr<net::Listener> listener;
};

// The link's attempt at a hub with that certificate; what it was lost for.
LinkFault attempt(Rig& rig, TlsPeer& peer, const std::string& host, const std::string& ca_file) {
  hub::HubLink::Options options;
  options.host = host;
  options.address = peer.listener->local();
  options.ca_file = ca_file;
  options.gateway_id = "gateway-1";
  rig.link = std::make_unique<hub::HubLink>(rig.io, options, rig.clock, rig.metrics);
  rig.link->set_events(rig);
  rig.link->open();
  REQUIRE(wait_lost(rig));
  return rig.lost[0];
}

}  // namespace

TEST_CASE("a hub that never answers the first put-token is left at the limit", "[R-01]") {
  Rig rig([](auto& options) { options.handshake_timeout = Milliseconds(300); });
  rig.control(R"({"op":"cbs","mode":"never"})");
  rig.connect();
  const auto begin = rig.clock.steady();
  rig.authorise(rig.add("d"));
  REQUIRE(wait_lost(rig));
  CHECK(rig.lost[0].kind == Kind::timeout);
  CHECK(rig.lost[0].condition == "trunkline:cbs-stalled");  // counts as a stall
  CHECK(rig.clock.steady() - begin >= Milliseconds(300));
}

TEST_CASE("once $cbs has answered, silence is the matter of each put-token", "[I-01]") {
  Rig rig([](auto& options) {
    options.handshake_timeout = Milliseconds(300);
    options.put_token_timeout = Milliseconds(900);
  });
  rig.connect();
  const auto slot = rig.add("d");
  SECTION("with a yes") {
    rig.online(slot);
  }
  SECTION("with a no") {
    rig.wrong_key(slot);
    rig.authorise(slot);
    REQUIRE(rig.until([&] { return rig.events(slot).refused.size() == 1; }));
  }
  const auto before = rig.events(slot).refused.size();
  rig.control(R"({"op":"cbs","mode":"never"})");
  rig.authorise(slot);
  REQUIRE(rig.until([&] { return rig.events(slot).refused.size() == before + 1; }));
  CHECK(rig.events(slot).refused.back().kind == Kind::timeout);
  CHECK(rig.lost.empty());
}

TEST_CASE("a redirect is followed at the next open, with the same audience and name", "[R-01]") {
  TwoAddresses rig;
  const auto slot = rig.add("d");
  rig.redirect_once();
  rig.link->open();
  REQUIRE(wait_lost(rig));
  CHECK(rig.lost[0].kind == Kind::redirect);
  rig.connect();
  rig.online(slot);
  REQUIRE(rig.send(slot, "x") == Uplink::SendResult::sent);
  REQUIRE(rig.until([&] { return rig.events(slot).outcomes.size() == 1; }));
  CHECK(rig.lost.size() == 1);
}

TEST_CASE("a redirect that leads nowhere leads back to the configured address", "[R-01]") {
  Rig rig;
  net::Endpoint closed;
  {
    auto listener = net::Listener::open(rig.io, {"127.0.0.1", 0}, [](boost::asio::ip::tcp::socket) {});
    closed = (*listener)->local();
  }
  rig.control(R"({"op":"redirect","count":1,"to":")" + closed.text() + R"("})");
  rig.link->open();
  REQUIRE(wait_lost(rig));
  CHECK(rig.lost[0].kind == Kind::redirect);
  rig.link->open();
  REQUIRE(wait_lost(rig, 2));
  CHECK(rig.lost[1].kind == Kind::transport);
  rig.connect();
}

TEST_CASE("a redirect to a stranger is not followed", "[I-02]") {
  Rig rig;
  rig.control(R"({"op":"redirect","count":1,"to":"127.0.0.2:5671"})");
  rig.link->open();
  REQUIRE(wait_lost(rig));
  CHECK(rig.lost[0].kind == Kind::transport);
  CHECK(has(rig.lost[0].description, "outside the hub's domain"));
  rig.connect();
}

TEST_CASE("a hub that speaks nothing newer than TLS 1.1 is refused", "[S-01]") {
  OddRig rig;
  TlsIdentity identity;
  auto old = *net::tls_server_context(identity.certificate_file(), identity.key_file());
  SSL_CTX_set_min_proto_version(old->native_handle(), TLS1_VERSION);
  SSL_CTX_set_max_proto_version(old->native_handle(), TLS1_1_VERSION);
  SSL_CTX_set_cipher_list(old->native_handle(), "ALL:@SECLEVEL=0");
  TlsPeer peer(rig.io, old);
  // A client that allows it would get through: it is our minimum that refuses.
  auto lax = *net::tls_client_context({"127.0.0.1", identity.ca_file()});
  SSL_CTX_set_min_proto_version(lax->native_handle(), TLS1_VERSION);
  SSL_CTX_set_cipher_list(lax->native_handle(), "ALL:@SECLEVEL=0");
  std::optional<bool> through;
  const auto control = net::connect_tls(rig.io, peer.listener->local(), lax, "127.0.0.1", std::chrono::seconds(10),
                                        [&](auto stream) { through = stream.has_value(); });
  REQUIRE(rig.until([&] { return through.has_value(); }));
  CHECK(*through);
  const auto fault = attempt(rig, peer, "127.0.0.1", identity.ca_file());
  CHECK(fault.kind == Kind::transport);
  CHECK(has(fault.description, "TLS; ours begin at 1.2"));
}

TEST_CASE("a certificate that is refused says what to do", "[I-02]") {
  OddRig rig;
  constexpr long kDay = 24L * 3600;
  SECTION("not valid yet: the clock is behind, by so much at least") {
    TlsIdentity identity("127.0.0.1", 2 * kDay, 3 * kDay);
    TlsPeer peer(rig.io, *net::tls_server_context(identity.certificate_file(), identity.key_file()));
    const auto fault = attempt(rig, peer, "127.0.0.1", identity.ca_file());
    CHECK(has(fault.description, "not yet valid"));
    CHECK(has(fault.description, "this machine's clock is at least 28"));  // 2879 or 2880 min
    CHECK(has(fault.description, "set it"));
    CHECK(rig.link->clock_behind() > std::chrono::hours(47));
  }
  SECTION("expired: the clock may be ahead") {
    TlsIdentity identity("127.0.0.1", -3 * kDay, -2 * kDay);
    TlsPeer peer(rig.io, *net::tls_server_context(identity.certificate_file(), identity.key_file()));
    const auto fault = attempt(rig, peer, "127.0.0.1", identity.ca_file());
    CHECK(has(fault.description, "has expired: it ended at 20"));
    CHECK(has(fault.description, "clock is ahead"));
    CHECK(rig.link->clock_behind() == Milliseconds(0));
  }
  SECTION("of another name") {
    TlsIdentity identity("other.example.net");
    TlsPeer peer(rig.io, *net::tls_server_context(identity.certificate_file(), identity.key_file()));
    const auto fault = attempt(rig, peer, "hub.example.net", identity.ca_file());
    CHECK(has(fault.description, "not for 'hub.example.net'"));
  }
  SECTION("of an unknown authority") {
    TlsIdentity identity, stranger;
    TlsPeer peer(rig.io, *net::tls_server_context(identity.certificate_file(), identity.key_file()));
    const auto fault = attempt(rig, peer, "127.0.0.1", stranger.ca_file());
    CHECK(has(fault.description, "check the CA file"));
  }
}

TEST_CASE("a refused token names a clock that is behind", "[R-01]") {
  OddRig rig;
  rig.connect();
  rig.hub.token_status = 401;
  SECTION("the token lives for an hour, and for the hub it is over") {
    rig.hub.token_text = "The specified SAS token is expired";
    rig.authorise(rig.slot);
    REQUIRE(rig.until([&] { return rig.events(rig.slot).refused.size() == 1; }));
    const auto& fault = rig.events(rig.slot).refused[0];
    CHECK(fault.kind == Kind::unauthorised);
    CHECK(has(fault.description, " min behind the hub's: set it"));
    CHECK(has(fault.description, "The specified SAS token is expired"));
    CHECK(rig.link->clock_behind() > std::chrono::minutes(59));
  }
  SECTION("a command was taken in by the hub after the time that it is here") {
    proton::message message;
    message.body(proton::binary("open"));
    message.message_annotations().put(proton::symbol("x-opt-sequence-number"), std::uint64_t{5});
    const auto enqueued = rig.clock.wall() + std::chrono::hours(2);
    message.message_annotations().put(proton::symbol("iothub-enqueuedtime"),
                                      proton::timestamp(enqueued.time_since_epoch().count()));
    std::vector<char> bytes;
    message.encode(bytes);
    rig.hub.token_status = 200;
    rig.online(rig.slot, DeviceLink::commands);
    rig.link->grant_commands(rig.slot, 1);
    rig.run_for(std::chrono::milliseconds(20));
    rig.hub.send_command({bytes.begin(), bytes.end()});
    REQUIRE(rig.until([&] { return rig.events(rig.slot).commands.size() == 1; }));
    CHECK(rig.link->clock_behind() > std::chrono::minutes(119));
    rig.hub.token_status = 401;
    rig.hub.token_text = "Unauthorized";
    rig.authorise(rig.slot);
    REQUIRE(rig.until([&] { return rig.events(rig.slot).refused.size() == 1; }));
    CHECK(has(rig.events(rig.slot).refused[0].description, "clock is at least 1"));
  }
  SECTION("a wrong key has nothing to do with clocks") {
    rig.hub.token_text = "The SAS token has an invalid signature";
    rig.authorise(rig.slot);
    REQUIRE(rig.until([&] { return rig.events(rig.slot).refused.size() == 1; }));
    CHECK(rig.events(rig.slot).refused[0].description == rig.hub.token_text);
    CHECK(rig.link->clock_behind() == Milliseconds(0));
  }
}
