// SPDX-License-Identifier: Apache-2.0
#include "gateway/hub/route.h"

#include "tests/support/catch.h"

using namespace trunkline;
using hub::Route;
using Kind = LinkFault::Kind;

namespace {

using Info = std::map<std::string, std::string, std::less<>>;

LinkFault redirect(Route& route, Info info) {
  return route.redirect({"amqp:connection:redirect", "", std::move(info)});
}

}  // namespace

TEST_CASE("a redirect within the hub's domain is followed, at that address and under the hub's name", "[R-01]") {
  Route route("contoso.azure-devices.net", {"contoso.azure-devices.net", 5671});
  const auto fault = redirect(route, {{"network-host", "gw-7.eu.azure-devices.net"}, {"port", "5672"}});
  CHECK(fault.kind == Kind::redirect);
  CHECK(route.redirected());
  CHECK(route.stop().address == net::Endpoint{"gw-7.eu.azure-devices.net", 5672});
  CHECK(route.stop().name == "contoso.azure-devices.net");
  SECTION("and left when it does not work") {
    route.ended(false);
    CHECK_FALSE(route.redirected());
    CHECK(route.stop().address == net::Endpoint{"contoso.azure-devices.net", 5671});
  }
  SECTION("and kept when it worked") {
    route.ended(true);
    CHECK(route.redirected());
  }
}

TEST_CASE("the name of a redirect counts for the certificate only within the domain") {
  Route route("contoso.azure-devices.net", {"contoso.azure-devices.net", 5671});
  redirect(route, {{"network-host", "a.azure-devices.net"}, {"hostname", "B.azure-devices.net."}});
  CHECK(route.stop().name == "b.azure-devices.net");
  CHECK(route.stop().address.port == 5671);
  redirect(route, {{"network-host", "a.azure-devices.net"}, {"hostname", "evil.example"}});
  CHECK(route.stop().name == "contoso.azure-devices.net");
  redirect(route, {{"hostname", "c.azure-devices.net"}, {"port", "70000"}});
  CHECK(route.stop().address == net::Endpoint{"c.azure-devices.net", 5671});
}

TEST_CASE("a redirect outside of the hub's domain is refused and says so", "[I-02]") {
  struct Row {
    const char* host;
    const char* address;
    const char* target;
    bool follow;
  };
  const Row rows[] = {
      {"contoso.azure-devices.net", "contoso.azure-devices.net", "contoso.azure-devices.net", true},
      {"contoso.azure-devices.net", "contoso.azure-devices.net", "Other.Azure-Devices.NET.", true},
      {"contoso.azure-devices.net", "contoso.azure-devices.net", "azure-devices.net", false},
      {"contoso.azure-devices.net", "contoso.azure-devices.net", "evilazure-devices.net", false},
      {"contoso.azure-devices.net", "contoso.azure-devices.net", "azure-devices.net.evil.example", false},
      {"contoso.azure-devices.net", "contoso.azure-devices.net", "10.0.0.1", false},
      {"contoso.azure-devices.net", "contoso.azure-devices.net", "a b.azure-devices.net", false},
      {"contoso.azure-devices.net", "contoso.azure-devices.net", "", false},
      {"contoso.azure-devices.net", "127.0.0.1", "127.0.0.1", true},
      {"contoso.azure-devices.net", "127.0.0.1", "127.0.0.2", false},
      {"example.net", "example.net", "other.net", false},
      {"example.net", "example.net", "example.net", true},
      {"hub", "hub", "hub", true},
      {"hub", "hub", "bub", false},
      {"10.1.2.3", "10.1.2.3", "9.1.2.3", false},
      {"10.1.2.3", "10.1.2.3", "10.1.2.3", true},
  };
  for (const auto& row : rows) {
    INFO(row.host << " at " << row.address << " to " << row.target);
    Route route(row.host, {row.address, 5671});
    const auto fault = redirect(route, {{"network-host", row.target}, {"port", "5673"}});
    CHECK((fault.kind == Kind::redirect) == row.follow);
    CHECK(route.redirected() == row.follow);
    if (row.follow) continue;
    CHECK(fault.kind == Kind::transport);
    CHECK(route.stop().address == net::Endpoint{row.address, 5671});
    if (*row.target != 0) CHECK(fault.description.find("outside the hub's domain") != std::string::npos);
  }
}

TEST_CASE("a hub that redirects for ever is asked at the configured address again") {
  Route route("hub.example.net", {"hub.example.net", 5671});
  const Info there = {{"network-host", "b.example.net"}};
  for (unsigned i = 0; i < Route::kMaxRedirects; ++i) CHECK(redirect(route, there).kind == Kind::redirect);
  SECTION("when it does so without serving us") {
    CHECK(redirect(route, there).kind == Kind::transport);
    CHECK_FALSE(route.redirected());
    CHECK(redirect(route, there).kind == Kind::redirect);
  }
  SECTION("unless it serves us between") {
    route.worked();
    CHECK(redirect(route, there).kind == Kind::redirect);
  }
}
