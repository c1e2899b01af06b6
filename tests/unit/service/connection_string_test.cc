// SPDX-License-Identifier: Apache-2.0
#include "gateway/service/connection_string.h"

#include "tests/support/catch.h"

using trunkline::service::ConnectionString;

TEST_CASE("a connection string is read by its names, whatever their order") {
  const auto read =
      ConnectionString::parse("SharedAccessKey=AAEC;HostName=contoso.azure-devices.net;SharedAccessKeyName=service\n");
  REQUIRE(read);
  CHECK(read->host == "contoso.azure-devices.net");
  CHECK(read->policy == "service");
  CHECK(read->key.reveal() == std::string_view("\0\1\2", 3));
}

TEST_CASE("what is no policy's connection string is refused, and never quoted", "[S-01]") {
  for (const auto* text : {"", "nonsense", "HostName=h", "HostName=h;SharedAccessKeyName=p",
                           "HostName=h;DeviceId=d;SharedAccessKey=c2VjcmV0",
                           "HostName=h;SharedAccessKeyName=p;SharedAccessKey=!secret!"}) {
    const auto read = ConnectionString::parse(text);
    REQUIRE_FALSE(read);
    CHECK(read.error().message.find("secret") == std::string::npos);
    CHECK(read.error().message.find("c2VjcmV0") == std::string::npos);
  }
}
