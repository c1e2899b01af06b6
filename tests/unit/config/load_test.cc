// SPDX-License-Identifier: Apache-2.0
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "config/settings.h"
#include "tests/support/catch.h"

namespace trunkline::config {
namespace {

namespace fs = std::filesystem;

struct Folder {
  Folder() {
    std::string name = fs::temp_directory_path() / "trunkline-config-XXXXXX";
    REQUIRE(mkdtemp(name.data()) != nullptr);
    path = name;
  }
  ~Folder() { fs::remove_all(path); }
  void write(const std::string& name, const std::string& text) const { std::ofstream(path / name) << text; }
  fs::path path;
};

const std::string kHub = "[hub]\nhost = \"h.example.net\"\n";

std::string device(const std::string& id, int port) {
  return "[[device]]\nid = \"" + id + "\"\ntcp.listen = \"127.0.0.1:" + std::to_string(port) + "\"\n";
}

}  // namespace

TEST_CASE("device maps are read from the folder beside the file, sorted, and only .toml", "[config]") {
  Folder folder;
  fs::create_directory(folder.path / "devices.d");
  folder.write("trunkline.toml", kHub);
  folder.write("devices.d/20.toml", device("second", 4002));
  folder.write("devices.d/10.toml", device("first", 4001));
  folder.write("devices.d/README", "not TOML");
  folder.write("devices.d/30.toml~", "not TOML");
  folder.write("devices.d/.40.toml", "not TOML");
  const auto loaded = load(folder.path / "trunkline.toml");
  for (const auto& problem : loaded.problems) FAIL_CHECK(problem.text());
  REQUIRE(loaded.settings.devices.size() == 2);
  CHECK(loaded.settings.devices[0].id.text() == "first");
  CHECK(loaded.settings.devices[0].place.file == (folder.path / "devices.d/10.toml").string());
}

TEST_CASE("a missing folder of device maps is a warning", "[config]") {
  Folder folder;
  folder.write("trunkline.toml", kHub);
  const auto loaded = load(folder.path / "trunkline.toml");
  CHECK(loaded.problems.empty());
  REQUIRE(loaded.warnings.size() == 1);
  CHECK(loaded.warnings[0].message.find("no devices") == 0);
}

TEST_CASE("what cannot be read says why, and the rest is read", "[config]") {
  Folder folder;
  fs::create_directories(folder.path / "devices.d/10.toml");
  fs::create_symlink("nowhere", folder.path / "devices.d/20.toml");
  REQUIRE(mkfifo((folder.path / "devices.d/25.toml").c_str(), 0600) == 0);
  folder.write("devices.d/30.toml", "in_flight = 1\n");
  const auto loaded = load(folder.path / "trunkline.toml");
  REQUIRE(loaded.problems.size() == 5);
  const auto name = [&](const char* file) { return (folder.path / file).string(); };
  CHECK(loaded.problems[0].text() == name("trunkline.toml") + ": cannot read it: No such file or directory");
  CHECK(loaded.problems[1].text() == name("devices.d/10.toml") + ": cannot read it: it is a folder, name a file");
  CHECK(loaded.problems[2].text() == name("devices.d/20.toml") + ": cannot read it: No such file or directory");
  CHECK(loaded.problems[3].text() == name("devices.d/25.toml") + ": cannot read it: it is no regular file");
  CHECK(loaded.problems[4].text().find(name("devices.d/30.toml") + ":1:1: unknown key") == 0);
}

TEST_CASE("a devices.d that is no folder is a problem", "[config]") {
  Folder folder;
  folder.write("trunkline.toml", kHub);
  folder.write("devices.d", "");
  const auto loaded = load(folder.path / "trunkline.toml");
  REQUIRE(loaded.problems.size() == 1);
  CHECK(loaded.problems[0].text() ==
        (folder.path / "devices.d").string() + ": cannot read this folder: Not a directory");
}

TEST_CASE("a file that is too large is refused before it is parsed", "[config]") {
  Folder folder;
  folder.write("trunkline.toml", kHub + std::string(5 * 1024 * 1024, '\n'));
  const auto loaded = load(folder.path / "trunkline.toml");
  REQUIRE(loaded.problems.size() == 1);
  CHECK(loaded.problems[0].message.find("4 MiB") != std::string::npos);
}

TEST_CASE("files that options name are looked at, and a password that others may read is refused", "[config][S-01]") {
  Folder folder;
  folder.write("pw", "secret");
  fs::permissions(folder.path / "pw", fs::perms::owner_read | fs::perms::group_read);
  folder.write("trunkline.toml", "[hub]\nhost = \"h.example.net\"\nca_file = \"" + (folder.path / "none").string() +
                                     "\"\n[mqtt]\nbroker = \"mqtt://127.0.0.1\"\nuser = \"u\"\npassword_file = \"" +
                                     (folder.path / "pw").string() + "\"\n");
  auto loaded = load(folder.path / "trunkline.toml");
  REQUIRE(loaded.problems.size() == 2);
  CHECK(loaded.problems[0].place.line == 3);
  CHECK(loaded.problems[0].message.find("No such file") != std::string::npos);
  CHECK(loaded.problems[1].place.line == 7);
  CHECK(loaded.problems[1].message.find("chmod 600") != std::string::npos);
  CHECK(loaded.problems[1].message.find("secret") == std::string::npos);

  fs::permissions(folder.path / "pw", fs::perms::owner_read);
  folder.write("none", "");
  loaded = load(folder.path / "trunkline.toml");
  CHECK(loaded.problems.empty());
}

TEST_CASE("TLS files of a TCP map that cannot be read are refused where they are named", "[config][S-01]") {
  Folder folder;
  fs::create_directory(folder.path / "devices.d");
  folder.write("trunkline.toml", kHub);
  folder.write("cert.pem", "x");
  folder.write("key.pem", "x");
  fs::permissions(folder.path / "key.pem", fs::perms::owner_read | fs::perms::others_read);
  const auto path = [&](const char* file) { return (folder.path / file).string(); };
  folder.write("devices.d/1.toml", device("d", 4001) + "[device.tcp.tls]\ncert = \"" + path("cert.pem") +
                                       "\"\nkey = \"" + path("key.pem") + "\"\nca_file = \"" + path("none.pem") +
                                       "\"\n");
  auto loaded = load(path("trunkline.toml"));
  REQUIRE(loaded.problems.size() == 2);
  CHECK(loaded.problems[0].text() == path("devices.d/1.toml") + ":6:7: tcp.tls.key is " + path("key.pem") +
                                         ", which others may read; chmod 600 " + path("key.pem"));
  CHECK(loaded.problems[1].text() == path("devices.d/1.toml") + ":7:11: tcp.tls.ca_file is " + path("none.pem") +
                                         ": cannot read it: No such file or directory");
  fs::permissions(folder.path / "key.pem", fs::perms::owner_read);
  folder.write("none.pem", "x");
  CHECK(load(path("trunkline.toml")).problems.empty());
}

}  // namespace trunkline::config
