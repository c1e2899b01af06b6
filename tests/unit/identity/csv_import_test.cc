// SPDX-License-Identifier: Apache-2.0
#include "identity/csv_import.h"

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <random>
#include <sstream>

#include "identity/key_text.h"
#include "tests/support/catch.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size);

namespace trunkline::identity {
namespace {

const std::string kKey = "AAECAwQFBgcICQoLDA0ODw==";
const std::string kKeyBytes("\0\1\2\3\4\5\6\7\10\11\12\13\14\15\16\17", 16);

std::string report(const CsvIdentities& import) {
  std::string out;
  for (const auto& problem : import.problems) out += std::to_string(problem.line) + ": " + problem.message + "\n";
  return out;
}

}  // namespace

TEST_CASE("a file with every column is read", "[identity]") {
  const auto import = parse_identities("id,primary,secondary,psk\na," + kKey + "," + kKey + ",hex:0aFF\nb," + kKey +
                                       ",,base64:AAEC\nc," + kKey + ",,plain text\nd," + kKey + "\n");
  CHECK(report(import).empty());
  REQUIRE(import.identities.size() == 4);
  CHECK(import.identities[0].device.text() == "a");
  CHECK(import.identities[0].primary.reveal() == kKeyBytes);
  CHECK(import.identities[0].secondary.reveal() == kKeyBytes);
  CHECK(import.identities[0].psk.reveal() == "\x0A\xFF");
  CHECK(import.identities[0].enabled);
  CHECK(import.identities[1].secondary.empty());
  CHECK(import.identities[1].psk.reveal() == std::string("\0\1\2", 3));
  CHECK(import.identities[2].psk.reveal() == "plain text");
  CHECK(import.identities[3].psk.empty());
}

TEST_CASE("quotes, CRLF, a byte order mark and empty lines are read as RFC 4180 and Excel write them", "[identity]") {
  const auto import = parse_identities("\xEF\xBB\xBFid,primary,psk\r\n\"a\",\"" + kKey +
                                       "\",\"x \"\"y\"\", z\"\r\n\r\nb," + kKey + ",\r\nc," + kKey);
  CHECK(report(import).empty());
  REQUIRE(import.identities.size() == 3);
  CHECK(import.identities[0].psk.reveal() == "x \"y\", z");
  CHECK(import.identities[2].device.text() == "c");
}

TEST_CASE("a header is needed", "[identity]") {
  for (const std::string text : {"", "a,b", "id", "primary,id,id", "id,primary,colour", "id;primary", "\"id"}) {
    INFO(text);
    CHECK(report(parse_identities(text)) ==
          "1: the first line must be the header id,primary,secondary,psk (the last two may be left out)\n");
  }
  CHECK(parse_identities("id,primary").problems.empty());
}

TEST_CASE("every problem of a file is reported with its line and without its keys", "[identity][S-01]") {
  const auto import = parse_identities(
      "id,primary,secondary,psk\n"
      "a b," +
      kKey + "\n" + "b,AAAA\n" + "c,no base64!\n" + "d,\n" + "e," + kKey + ",AAAA,hex:0\n" + "f," + kKey + ",,,\n" +
      "\"g\nh\"," + kKey + "\n" + "i," + kKey + "\n" + "i," + kKey + "\n" + "j\"," + kKey + "\n" + "\"k\"x," + kKey +
      "\n" + "\"l,never closed");
  CHECK(report(import).find("no base64!") == std::string::npos);
  CHECK(report(import) ==
        "2: a device id has a character that the hub refuses; allowed are letters, digits and -.+%_#*?!(),=@$':;\n"
        "3: primary: the key is shorter than 16 bytes\n"
        "4: primary: the key is not base64: a character outside A-Z a-z 0-9 + /\n"
        "5: primary: the key is empty\n"
        "6: secondary: the key is shorter than 16 bytes\n"
        "6: psk: the pre-shared key is not hex: an odd number of digits\n"
        "7: 5 fields, the header has 4; remove the rest\n"
        "8: a device id has a character that the hub refuses; allowed are letters, digits and -.+%_#*?!(),=@$':;\n"
        "11: device i is in line 10 already; keep one\n"
        "12: a quote within a field; put the whole field in quotes\n"
        "13: text after a closing quote\n"
        "14: a quote is never closed\n");
}

TEST_CASE("sizes are bounded", "[identity]") {
  CHECK(report(parse_identities("id,primary\na," + std::string(5000, 'A') + "\n")) ==
        "2: a field is longer than 4096 bytes\n");
  CHECK(report(parse_identities("id,primary\na,\"" + std::string(5000, 'A') + "\"\n")) ==
        "2: a field is longer than 4096 bytes\n");
  std::string many = "id,primary\n";
  for (int i = 0; i < 3000; ++i) many += "a,\n";
  CHECK(parse_identities(many).problems.size() <= kMaxCsvProblems + 2);
  CHECK(!decode_key(std::string(600, 'A')));
  CHECK(!decode_psk(std::string(129, 'a')));
  CHECK(!decode_psk("hex:"));
  CHECK(decode_psk(std::string(128, 'a')));
  CHECK(parse_identities(std::string(kMaxCsvBytes + 1, '\n')).problems.size() == 1);
}

TEST_CASE("the importer survives its corpus, whole and damaged", "[identity][fuzz]") {
  std::mt19937 random(11);
  std::size_t files = 0;
  const auto run = [](const std::string& text) {
    LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(text.data()), text.size());
  };
  for (const auto& entry :
       std::filesystem::directory_iterator(std::string(TRUNKLINE_SOURCE_DIR) + "/tests/fuzz/identity/corpus")) {
    std::stringstream read;
    read << std::ifstream(entry.path()).rdbuf();
    const auto text = read.str();
    ++files;
    run(text);
    for (int round = 0; round < 200; ++round) {
      auto damaged = text;
      damaged[random() % damaged.size()] = static_cast<char>(random());
      run(damaged);
      run(text.substr(0, random() % text.size()));
    }
  }
  CHECK(files >= 6);
}

}  // namespace trunkline::identity
