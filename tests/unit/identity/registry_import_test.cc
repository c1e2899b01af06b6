// SPDX-License-Identifier: Apache-2.0
#include "identity/csv_import.h"
#include "tests/support/catch.h"

namespace trunkline::identity {
namespace {

constexpr auto kKey = "MDEyMzQ1Njc4OWFiY2RlZg==";

std::string device(const std::string& id, const std::string& more = {}) {
  return R"({"deviceId":")" + id + R"(","authentication":{"type":"sas","symmetricKey":{"primaryKey":")" + kKey +
         R"(","secondaryKey":"ZmVkY2JhOTg3NjU0MzIxMA=="}})" + more + "}";
}

std::string report(const CsvIdentities& result) {
  std::string out;
  for (const auto& problem : result.problems) out += std::to_string(problem.line) + ": " + problem.message + "\n";
  return out;
}

}  // namespace

TEST_CASE("an array and lines of device objects are read alike", "[identity]") {
  const auto disabled = device("b", R"(,"status":"disabled","etag":"x{\"")");
  for (const auto& text : {"[\n" + device("a") + ",\n" + disabled + "\n]", device("a") + "\n" + disabled + "\n",
                           "\xEF\xBB\xBF" + device("a") + "\r\n" + disabled}) {
    REQUIRE(is_registry_export(text));
    const auto result = parse_registry(text);
    INFO(report(result));
    REQUIRE(result.problems.empty());
    REQUIRE(result.identities.size() == 2);
    CHECK(result.identities[0].device.text() == "a");
    CHECK(result.identities[0].primary.reveal() == "0123456789abcdef");
    CHECK(result.identities[0].secondary.reveal() == "fedcba9876543210");
    CHECK(result.identities[0].enabled);
    CHECK_FALSE(result.identities[1].enabled);
  }
  CHECK_FALSE(is_registry_export("id,primary\na,b\n"));
}

TEST_CASE("modules and the id of an export job are read", "[identity]") {
  const auto result = parse_registry(
      R"({"id":"a","moduleId":"m","authentication":{"symmetricKey":{"primaryKey":"MDEyMzQ1Njc4OWFiY2RlZg=="}}})");
  INFO(report(result));
  REQUIRE(result.identities.size() == 1);
  CHECK(result.identities[0].device.text() == "a/m");
  CHECK(result.identities[0].secondary.empty());
}

TEST_CASE("every problem of an export is reported with its line and without its keys", "[identity][S-01]") {
  const std::string secret = "c2VjcmV0IQ==";
  const auto result = parse_registry("[\n" + device("a") + ",\n" + device("a") + ",\n" + device("no good") + ",\n" +
                                     R"({"deviceId":"b","authentication":{"symmetricKey":{"primaryKey":")" + secret +
                                     "\"}}},\n" + R"({"deviceId":"c","authentication":{"type":"selfSigned"}},)" + "\n" +
                                     R"({"deviceId":"d","authentication":{"type":"sas"}},)" +
                                     "\n{\"deviceId\": }\nnonsense\n{\"deviceId\":\"e\"");
  const auto text = report(result);
  INFO(text);
  CHECK(result.problems.size() == 8);
  CHECK(text.find("3: device a is in line 2 already") != std::string::npos);
  CHECK(text.find("4: deviceId: ") != std::string::npos);
  CHECK(text.find("5: device b: primaryKey: ") != std::string::npos);
  CHECK(text.find("6: device c has no keys at the hub") != std::string::npos);
  CHECK(text.find("7: device d comes without") != std::string::npos);
  CHECK(text.find("8: an object that is no JSON") != std::string::npos);
  CHECK(text.find("9: text that is no object") != std::string::npos);
  CHECK(text.find("10: an object that never ends") != std::string::npos);
  CHECK(text.find(secret) == std::string::npos);
}

TEST_CASE("a registry's export is bounded, whatever is in it", "[identity]") {
  CHECK(report(parse_registry("[" + std::string(100, ' ') + "]")) == "1: no device is in it\n");
  CHECK(parse_registry("{\"a\":\"" + std::string(70'000, 'x') + "\"}").problems.size() == 1);
  CHECK(parse_registry(std::string(100'000, '{')).problems.size() == 1);
  std::string many;
  for (int i = 0; i < 2000; ++i) many += "{}\n";
  CHECK(parse_registry(many).problems.size() == kMaxCsvProblems + 1);
  // Cut anywhere, it never gives a device that is not whole.
  const auto whole = "[" + device("a") + "," + device("b") + "]";
  for (std::size_t size = 0; size < whole.size(); ++size) {
    CHECK(parse_registry(whole.substr(0, size)).identities.size() <= 2);
  }
}

}  // namespace trunkline::identity
