// SPDX-License-Identifier: Apache-2.0
#include <sys/stat.h>

#include <algorithm>

#include "gateway/base/encoding.h"
#include "gateway/base/json.h"
#include "identity/identity_store.h"
#include "tests/support/catch.h"
#include "tests/unit/cli/cli_run.h"

namespace trunkline::cli {
namespace {

const std::string kKey = "AAECAwQFBgcICQoLDA0ODw==";
const std::string kOtherKey = "Dw4NDAsKCQgHBgUEAwIBAA==";

bool has(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

std::vector<identity::Identity> stored(const CliFolder& folder) {
  return identity::open_store(folder.path / "identity.db", "").value()->all().value();
}

// The names at the margin of one section of a help text.
std::vector<std::string> section(const std::string& help, std::string_view title) {
  std::vector<std::string> out;
  std::istringstream in(help);
  bool within = false;
  for (std::string line; std::getline(in, line);) {
    if (!line.starts_with("  ")) {
      within = line.starts_with(title);
    } else if (within && line[2] != ' ') {
      out.push_back(line.substr(2, line.find(' ', 2) - 2));
    }
  }
  return out;
}

// Every command, as the words that lead to it.
void each_command(const std::vector<std::string>& words, std::size_t& seen) {
  auto asked = words;
  asked.emplace_back("--help");
  const auto help = run_cli(asked).out;
  const auto options = section(help, "Options:");
  for (const auto& positional : section(help, "Positionals:")) {
    INFO(help);
    CHECK(std::find(options.begin(), options.end(), "--" + positional) == options.end());
  }
  ++seen;
  for (const auto& name : section(help, "Subcommands:")) {
    auto next = words;
    next.push_back(name);
    each_command(next, seen);
  }
}

}  // namespace

// Newer versions of the parser take them for one and refuse to start.
TEST_CASE("no command has an argument and an option of one name", "[cli]") {
  std::size_t seen = 0;
  each_command({}, seen);
  CHECK(seen > 20);
}

TEST_CASE("help names every subcommand, run included, and the version is shown", "[cli]") {
  const auto help = run_cli({"--help"});
  CHECK(help.status == 0);
  for (const auto* name : {"run", "check", "status", "identity"}) CHECK(has(help.out, name));
  CHECK(run_cli({"--version"}).out == "trunkline " TRUNKLINE_VERSION "\n");
  CHECK(run_cli({"identity", "add", "--help"}).status == 0);
}

TEST_CASE("the manual page has every subcommand that help names", "[cli]") {
  std::ifstream in(std::string(TRUNKLINE_SOURCE_DIR) + "/packaging/man/trunkline.8");
  const std::string manual((std::istreambuf_iterator<char>(in)), {});
  const auto names = section(run_cli({"--help"}).out, "Subcommands:");
  CHECK(names.size() >= 10);
  for (const auto& name : names) {
    INFO(name);
    CHECK(manual.find("\n.It Cm " + name) != std::string::npos);
  }
}

TEST_CASE("wrong usage ends with 2 and says what is wrong", "[cli]") {
  for (const std::vector<std::string>& arguments :
       std::vector<std::vector<std::string>>{{},
                                             {"fly"},
                                             {"identity"},
                                             {"identity", "add"},
                                             {"identity", "add", "d"},
                                             {"identity", "add", "d", "--generate", "--key", kKey},
                                             {"check", "--colour"}}) {
    const auto done = run_cli(arguments);
    CHECK(done.status == 2);
    CHECK(!done.err.empty());
    CHECK(done.out.empty());
  }
}

TEST_CASE("check reports every problem on standard error and ends with 2", "[cli][config]") {
  const CliFolder folder;
  std::filesystem::create_directory(folder.path / "devices.d");
  folder.write("trunkline.toml", "[hub]\nhots = \"x\"\n");
  folder.write("devices.d/1.toml", "[[device]\n");
  const auto done = run_cli({"check", "--config", folder.config});
  CHECK(done.status == 2);
  CHECK(done.out.empty());
  CHECK(has(done.err, folder.config + ":1:1: hub.host is missing"));
  CHECK(has(done.err, folder.config + ":2:1: unknown key \"hots\" in hub; did you mean \"host\"?"));
  CHECK(has(done.err, "devices.d/1.toml:1:"));
  CHECK(has(done.err, "3 problems\n"));
  const auto as_json = run_cli({"check", "--json", "--config", folder.config});
  CHECK(as_json.status == 2);
  const auto value = json::parse(as_json.out).as_object();
  CHECK(!value.at("ok").as_bool());
  CHECK(value.at("problems").as_array().size() == 3);
  CHECK(value.at("problems").as_array()[0].as_object().at("line").to_number<int>() == 1);
}

TEST_CASE("check names commands whose PUBACK cannot tell whether anybody listens", "[cli][C-01]") {
  const CliFolder folder;
  const std::string hub = "[hub]\nhost = \"h.example.net\"\n[mqtt]\nbroker = \"mqtt://127.0.0.1\"\n";
  folder.write("trunkline.toml", hub);
  std::filesystem::create_directory(folder.path / "devices.d");
  folder.write("devices.d/1.toml",
               "[[device]]\nid = \"a\"\nmqtt.telemetry = \"a/state\"\nmqtt.command = \"a/cmd\"\n"
               "command_done = \"acknowledged\"\n"
               "[[device]]\nid = \"b\"\nmqtt.telemetry = \"b/{rest+}/state\"\nmqtt.command = \"b/cmd\"\n"
               "command_done = \"acknowledged\"\n");
  auto done = run_cli({"check", "--config", folder.config});
  CHECK(done.status == 0);
  CHECK(!has(done.err, "device a: command_done"));
  CHECK(has(done.err, "device b: command_done = \"acknowledged\" also counts"));
  CHECK(has(done.err, "we listen there ourselves, with b/#"));
  folder.write("trunkline.toml", hub + "version = \"3.1.1\"\n");
  done = run_cli({"check", "--config", folder.config});
  CHECK(has(done.err, "device a: command_done = \"acknowledged\" also counts"));
  CHECK(has(done.err, "MQTT 3.1.1 does not tell"));
}

TEST_CASE("check warns about devices without identity and makes no store", "[cli][config]") {
  const CliFolder folder;
  std::filesystem::create_directory(folder.path / "devices.d");
  folder.write("devices.d/1.toml",
               "[[device]]\nid = \"a\"\ntcp.listen = \"127.0.0.1:4001\"\n"
               "[[device]]\nid = \"b\"\ntcp.listen = \"127.0.0.1:4002\"\n");
  auto done = run_cli({"check", "--config", folder.config});
  CHECK(done.status == 0);
  CHECK(done.out == "ok: 2 devices (0 MQTT, 0 CoAP, 2 TCP), 0 identities, hub h.example.net\n");
  CHECK(has(done.err, "warning: there is no identity store yet"));
  CHECK(!std::filesystem::exists(folder.path / "identity.db"));

  REQUIRE(run_cli({"identity", "add", "a", "--key-file", "-", "--config", folder.config}, kKey).status == 0);
  done = run_cli({"check", "--config", folder.config});
  CHECK(done.status == 0);
  CHECK(has(done.err, "devices.d/1.toml:4:1: warning: device b has no identity"));
  CHECK(!has(done.err, "device a"));

  REQUIRE(chmod((folder.path / "identity.db").c_str(), 0644) == 0);
  done = run_cli({"check", "--config", folder.config});
  CHECK(done.status == 2);
  CHECK(has(done.err, "chmod 600"));
}

TEST_CASE("a device is added, given another key, shown, disabled, enabled and removed", "[cli][S-01]") {
  const CliFolder folder;
  const auto run = [&](std::vector<std::string> arguments, const std::string& input = "") {
    arguments.insert(arguments.begin(), "identity");
    arguments.insert(arguments.end(), {"--config", folder.config});
    auto done = run_cli(std::move(arguments), input);
    CHECK(!has(done.out + done.err, kKey));
    CHECK(!has(done.out + done.err, kOtherKey));
    return done;
  };
  auto done = run({"add", "a", "--key-file", "-"}, kKey + "\r\n");
  CHECK(done.status == 0);
  CHECK(done.out == "added a; no gateway is running\n");
  CHECK(base64_encode(stored(folder).at(0).primary.reveal()) == kKey);

  done = run({"add", "a", "--key-file", "-"}, kOtherKey);
  CHECK(done.out == "gave a another key; no gateway is running\n");
  CHECK(base64_encode(stored(folder).at(0).primary.reveal()) == kOtherKey);

  CHECK(has(run({"show", "a"}).out, "primary    set, 16 bytes\nsecondary  none\n"));
  CHECK(json::parse(run({"show", "a", "--json"}).out).at("enabled").as_bool());
  CHECK(run({"disable", "a"}).out == "disabled a; no gateway is running\n");
  CHECK(!stored(folder).at(0).enabled);
  CHECK(has(run({"list"}).out, "a       disabled  no         no"));
  CHECK(json::parse(run({"list", "--json"}).out).as_array().at(0).at("id").as_string() == "a");
  CHECK(run({"enable", "a"}).status == 0);
  CHECK(stored(folder).at(0).enabled);
  CHECK(run({"remove", "a"}).out == "removed a; no gateway is running\n");
  CHECK(stored(folder).empty());
  for (const auto* command : {"show", "enable", "disable", "remove"}) {
    done = run({command, "a"});
    CHECK(done.status == 1);
    CHECK(has(done.err, "device a has no identity"));
  }
  CHECK(run({"add", "a b", "--key-file", "-"}, kKey).status == 2);
  CHECK(run({"add", "a", "--key-file", "-"}, "short").status == 2);
  CHECK(run({"add", "a", "--key-file", "-"}, std::string(5000, 'A')).status == 2);
  CHECK(has(run({"add", "a", "--key-file", folder.path / "none"}).err, "No such file"));
  CHECK(stored(folder).empty());
}

TEST_CASE("a key on the command line is warned about and wiped", "[cli][S-01]") {
  const CliFolder folder;
  auto done = run_cli({"identity", "add", "a", "--key", kKey, "--config", folder.config});
  CHECK(done.status == 0);
  CHECK(has(done.err, "warning: a key on the command line"));
  CHECK(done.arguments.at(5) == std::string(kKey.size(), '*'));
  CHECK(base64_encode(stored(folder).at(0).primary.reveal()) == kKey);
  done = run_cli({"identity", "add", "b", "--key=" + kKey, "--config", folder.config});
  CHECK(done.status == 0);
  CHECK(done.arguments.at(4) == "--key=" + std::string(kKey.size(), '*'));
}

TEST_CASE("a generated key is printed once, alone, and is the one that is stored", "[cli]") {
  const CliFolder folder;
  const auto done = run_cli({"identity", "add", "a", "--generate", "--config", folder.config});
  CHECK(done.status == 0);
  CHECK(done.out.size() == 45);
  CHECK(base64_encode(stored(folder).at(0).primary.reveal()) + "\n" == done.out);
  CHECK(has(done.err, "added a; register it at the hub"));
  const auto again = run_cli({"identity", "add", "a", "--generate", "--config", folder.config});
  CHECK(again.status == 1);
  CHECK(again.out.empty());
  CHECK(base64_encode(stored(folder).at(0).primary.reveal()) + "\n" == done.out);
}

TEST_CASE("an import is taken whole or not at all, and every problem has its line", "[cli]") {
  const CliFolder folder;
  folder.write("good.csv", "id,primary,secondary,psk\na," + kKey + "," + kOtherKey + ",\nb," + kKey + ",,hex:00\n");
  auto done = run_cli({"identity", "import", folder.path / "good.csv", "--config", folder.config});
  CHECK(done.status == 0);
  CHECK(done.out == "imported 2 identities; no gateway is running\n");
  CHECK(stored(folder).size() == 2);
  const auto bad = (folder.path / "bad.csv").string();
  folder.write("bad.csv", "id,primary\nc," + kKey + "\nd,x\ne f," + kKey + "\n");
  done = run_cli({"identity", "import", bad, "--config", folder.config});
  CHECK(done.status == 2);
  CHECK(has(done.err, bad + ":3: primary: "));
  CHECK(has(done.err, bad + ":4: a device id"));
  CHECK(has(done.err, "nothing was imported"));
  CHECK(stored(folder).size() == 2);
}

TEST_CASE("a store is used without a configuration, and with one that is wrong elsewhere", "[cli]") {
  const CliFolder folder;
  auto done = run_cli({"identity", "add", "a", "--key-file", "-", "--store", folder.path / "identity.db"}, kKey);
  CHECK(done.status == 0);
  CHECK(done.out == "added a\n");
  CHECK(stored(folder).size() == 1);
  std::filesystem::create_directory(folder.path / "devices.d");
  folder.write("devices.d/1.toml", "broken [");
  CHECK(run_cli({"identity", "list", "--config", folder.config}).status == 0);
  folder.write("trunkline.toml", "[identity]\nstore = 1\n");
  done = run_cli({"identity", "list", "--config", folder.config});
  CHECK(done.status == 2);
  CHECK(has(done.err, ":2:9: identity.store is an integer"));
}

TEST_CASE("devices, device and top of a gateway that does not run end with 3", "[cli]") {
  const CliFolder folder;
  for (const auto& command :
       std::vector<std::vector<std::string>>{{"devices"}, {"device", "a"}, {"top", "--rounds", "1"}}) {
    auto arguments = command;
    arguments.insert(arguments.end(), {"--config", folder.config});
    const auto done = run_cli(arguments);
    CHECK(done.status == 3);
    CHECK((done.out + done.err).find("not running") != std::string::npos);
  }
}

TEST_CASE("status of a gateway that does not run ends with 3", "[cli]") {
  const CliFolder folder;
  auto done = run_cli({"status", "--config", folder.config});
  CHECK(done.status == 3);
  CHECK(done.out ==
        "not running: " + folder.socket + ": trunkline is not running -> start it: systemctl start trunkline\n");
  done = run_cli({"status", "--json", "--config", folder.config});
  CHECK(done.status == 3);
  CHECK(json::parse(done.out).at("verdict").as_string() == "not running");
  CHECK(run_cli({"status", "--config", folder.path / "none.toml"}).status == 2);
}

}  // namespace trunkline::cli
