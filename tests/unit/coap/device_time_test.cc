// SPDX-License-Identifier: Apache-2.0
#include "adapters/coap/device_time.h"

#include <string>

#include "tests/support/catch.h"

using namespace trunkline;
using namespace trunkline::coap;
using Format = DeviceTime::Format;

namespace {

CoapTime by_option(Format format) {
  return {65000, {}, {{}, format, false}};
}

std::optional<WallTime> said(std::string_view option, Format format) {
  Request request;
  request.own_options = {{65002, "other"}, {65000, option}};
  return device_time(request, by_option(format));
}

}  // namespace

TEST_CASE("a device's time is read from its option, as a number of its unit") {
  CHECK(said({"\x65\x53\xf1\x00", 4}, Format::unix_seconds) == WallTime(Milliseconds(1'700'000'000'000)));
  CHECK(said({"\x01\x8b\xcf\xe5\x68\x7b", 6}, Format::unix_milliseconds) == WallTime(Milliseconds(1'700'000'000'123)));
  CHECK_FALSE(said("", Format::unix_seconds));
  CHECK_FALSE(said({"\0", 1}, Format::unix_seconds));
  CHECK_FALSE(said(std::string(8, '\xff'), Format::unix_seconds));
  CHECK_FALSE(said(std::string(9, '\1'), Format::unix_seconds));
  CHECK_FALSE(device_time({}, by_option(Format::unix_seconds)));
}

TEST_CASE("a device's time is read from its query, in the form that its map says") {
  Request request;
  request.queries = {"id=1", "ts=2023-11-14T22:13:20.5Z"};
  const CoapTime where{0, "ts", {{}, Format::iso8601, false}};
  CHECK(device_time(request, where) == WallTime(Milliseconds(1'700'000'000'500)));
  request.queries = {"ts=1700000000.5"};
  CHECK(device_time(request, {0, "ts", {{}, Format::unix_seconds, false}}) ==
        WallTime(Milliseconds(1'700'000'000'500)));
  CHECK_FALSE(device_time(request, where));
  request.queries = {"ts=\xff\xfe"};
  CHECK_FALSE(device_time(request, where));
}

TEST_CASE("a device without a clock asks by an empty option and is told the time in its unit") {
  Request request;
  const WallTime now(Milliseconds(1'700'000'000'123));
  CHECK_FALSE(time_for(request, by_option(Format::unix_seconds), now));
  request.own_options = {{65000, ""}};
  CHECK(time_for(request, by_option(Format::unix_seconds), now) == std::pair(65000U, std::uint64_t{1'700'000'000}));
  CHECK(time_for(request, by_option(Format::unix_milliseconds), now) ==
        std::pair(65000U, std::uint64_t{1'700'000'000'123}));
  CHECK_FALSE(time_for(request, {0, "ts", {}}, now));
}
