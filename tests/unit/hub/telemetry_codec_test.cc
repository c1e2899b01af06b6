// SPDX-License-Identifier: Apache-2.0
#include "gateway/hub/telemetry_codec.h"

#include <map>
#include <proton/binary.hpp>
#include <proton/codec/map.hpp>
#include <proton/map.hpp>
#include <proton/message.hpp>
#include <proton/message_id.hpp>
#include <proton/scalar.hpp>

#include "gateway/hub/dialect.h"
#include "gateway/hub/hub_link.h"
#include "tests/support/catch.h"

using namespace trunkline;

namespace {

const std::string kUuid = "00112233445566778899aabbccddeeff";

Message reading() {
  return {Position::make(3, 9), WallTime(Milliseconds(1'700'000'000'123)),
          Telemetry{*DeviceId::parse("boiler-7"), "{\"t\":1}", {}, {}, {}, {}, Source::tcp}};
}

proton::message decode(std::string_view bytes) {
  proton::message message;
  message.decode(std::vector<char>(bytes.begin(), bytes.end()));
  return message;
}

std::map<std::string, std::string> properties_of(const proton::message& message) {
  std::map<std::string, std::string> all;
  proton::get(message.properties(), all);
  return all;
}

}  // namespace

TEST_CASE("a reading is written as the hub wants it") {
  hub::TelemetryEncoder encoder(kUuid);
  auto message = reading();
  message.telemetry.content_type = "application/json";
  message.telemetry.content_encoding = "utf-8";
  message.telemetry.properties = {{"unit", "C"}};
  const auto read = decode(*encoder.encode(message));
  CHECK(proton::get<std::string>(read.id()) == message_id(kUuid, message.position));
  CHECK(read.content_type() == "application/json");
  CHECK(read.content_encoding() == "utf-8");
  const auto body = proton::get<proton::binary>(read.body());
  CHECK(std::string(body.begin(), body.end()) == message.telemetry.body);
  CHECK(properties_of(read) ==
        std::map<std::string, std::string>{{"unit", "C"}, {"iothub-creation-time-utc", "2023-11-14T22:13:20.123Z"}});
}

TEST_CASE("the device's time is the creation time, and the time of receipt goes beside it") {
  hub::TelemetryEncoder encoder(kUuid);
  auto message = reading();
  const hub::HubMessageSizer sizer;
  const auto without = sizer.size(message.telemetry);
  message.telemetry.device_time = WallTime(Milliseconds(1'600'000'000'456));
  const auto properties = properties_of(decode(*encoder.encode(message)));
  CHECK(properties == std::map<std::string, std::string>{{"iothub-creation-time-utc", "2020-09-13T12:26:40.456Z"},
                                                         {"received-time-utc", "2023-11-14T22:13:20.123Z"}});
  CHECK(sizer.size(message.telemetry) - without == std::string("received-time-utc2023-11-14T22:13:20.123Z").size());
}

TEST_CASE("the device's own creation time is kept") {
  hub::TelemetryEncoder encoder(kUuid);
  auto message = reading();
  message.telemetry.properties = {{"iothub-creation-time-utc", "2020-01-01T00:00:00Z"}};
  CHECK(properties_of(decode(*encoder.encode(message))) ==
        std::map<std::string, std::string>{{"iothub-creation-time-utc", "2020-01-01T00:00:00Z"}});
}

TEST_CASE("texts that the hub would refuse are repaired", "[I-01]") {
  hub::TelemetryEncoder encoder(kUuid);
  auto message = reading();
  message.telemetry.content_type = "text/pl\xFF";
  message.telemetry.properties = {{"a\xC3", "b"}, {"c", "\xE2\x82\xAC"}, {"d", "\xFFx"}};
  const auto read = decode(*encoder.encode(message));
  CHECK(read.content_type().empty());
  const auto properties = properties_of(read);
  CHECK(properties.at("a?") == "b");
  CHECK(properties.at("c") == "\xE2\x82\xAC");
  CHECK(properties.at("d") == "?x");
}

TEST_CASE("a message's size is never counted lower than the hub does") {
  hub::TelemetryEncoder encoder(kUuid);
  const hub::HubMessageSizer sizer;
  auto message = reading();
  message.position = Position::make((1U << 24U) - 1, (1ULL << 40U) - 1);
  message.telemetry.content_type = "text/plain";
  message.telemetry.properties = {{"name", "value"}};
  const auto read = decode(*encoder.encode(message));
  std::size_t counted = message.telemetry.body.size() + read.content_type().size() + read.content_encoding().size() +
                        proton::get<std::string>(read.id()).size();
  for (const auto& [name, value] : properties_of(read)) counted += name.size() + value.size();
  CHECK(sizer.size(message.telemetry) >= counted);
  CHECK(sizer.size(message.telemetry) <= counted + 64);
  CHECK(sizer.limit() == 256 * 1024);
}
