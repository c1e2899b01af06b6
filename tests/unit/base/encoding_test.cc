// SPDX-License-Identifier: Apache-2.0
#include "gateway/base/encoding.h"

#include <random>

#include "tests/support/catch.h"

namespace trunkline {

TEST_CASE("base64 agrees with RFC 4648 both ways", "[base]") {
  const std::pair<std::string_view, std::string_view> vectors[] = {{"", ""},
                                                                   {"f", "Zg=="},
                                                                   {"fo", "Zm8="},
                                                                   {"foo", "Zm9v"},
                                                                   {"foob", "Zm9vYg=="},
                                                                   {"fooba", "Zm9vYmE="},
                                                                   {"foobar", "Zm9vYmFy"}};
  for (const auto& [plain, encoded] : vectors) {
    CHECK(base64_encode(plain) == encoded);
    CHECK(base64_decode(encoded).value() == plain);
  }
}

TEST_CASE("what is not base64 is refused", "[base]") {
  for (const auto* text :
       {"Z", "Zg", "Zg=", "Zg===", "=", "====", "Zg==Zg==", "Z=g=", "Zm9v\n", " Zm9v", "Zm9v ", "Zm-_", "Zm9vYg"}) {
    INFO(text);
    CHECK(!base64_decode(text));
  }
  CHECK(!base64_decode(std::string_view("Zm\0v", 4)));
}

TEST_CASE("every string survives each encoding and back", "[base]") {
  std::mt19937 random(5);
  for (int round = 0; round < 300; ++round) {
    std::string bytes(random() % 70, '\0');
    for (auto& byte : bytes) byte = static_cast<char>(random());
    CHECK(base64_decode(base64_encode(bytes)).value() == bytes);
    CHECK(hex_decode(hex_encode(bytes)).value() == bytes);
    CHECK(percent_decode(percent_encode(bytes)).value() == bytes);
  }
}

TEST_CASE("hex takes both cases and refuses the rest", "[base]") {
  CHECK(hex_encode("\x01\xAB") == "01ab");
  CHECK(hex_decode("01aB").value() == "\x01\xAB");
  CHECK(hex_decode("").value().empty());
  CHECK(!hex_decode("0"));
  CHECK(!hex_decode("0g"));
  CHECK(!hex_decode("0x"));
}

TEST_CASE("percent-encoding leaves only unreserved characters", "[base]") {
  CHECK(percent_encode("aZ09-._~") == "aZ09-._~");
  CHECK(percent_encode("a/b c%d!'()*\xFF") == "a%2Fb%20c%25d%21%27%28%29%2A%FF");
  CHECK(percent_decode("a%2fb%2F+").value() == "a/b/+");
  for (const auto* text : {"%", "%2", "%2g", "a%", "%%20"}) {
    INFO(text);
    CHECK(!percent_decode(text));
  }
}

TEST_CASE("UTF-8 is told from what only looks like it", "[base]") {
  for (const auto* text :
       {"", "plain", "\xC3\xBC", "\xE2\x82\xAC", "\xF0\x9F\x98\x80", "\xF4\x8F\xBF\xBF", "\xEF\xBF\xBF"})
    CHECK(is_utf8(text));
  for (const auto* text : {"\x80", "\xC3", "\xC0\x80", "\xC1\xBF", "\xE0\x80\x80", "\xED\xA0\x80", "\xF0\x80\x80\x80",
                           "\xF4\x90\x80\x80", "\xF8\x88\x80\x80\x80", "\xE2\x82", "a\xFFz", "\xC3\x28"}) {
    INFO(hex_encode(text));
    CHECK(!is_utf8(text));
  }
  CHECK(is_utf8(std::string_view("\0", 1)));
}

}  // namespace trunkline
