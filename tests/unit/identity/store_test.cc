// SPDX-License-Identifier: Apache-2.0
#include <sqlite3.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "identity/identity_store.h"
#include "tests/support/catch.h"

namespace trunkline::identity {
namespace {

namespace fs = std::filesystem;

struct Folder {
  Folder() {
    std::string name = fs::temp_directory_path() / "trunkline-identity-XXXXXX";
    REQUIRE(mkdtemp(name.data()) != nullptr);
    path = name;
    store = path / "identity.db";
    key = store + ".key";
  }
  ~Folder() { fs::remove_all(path); }
  [[nodiscard]] std::unique_ptr<IdentityStore> open() const {
    auto opened = open_store(store, key);
    if (!opened) FAIL(opened.error().message);
    return std::move(*opened);
  }
  void sql(const char* text) const {
    sqlite3* database = nullptr;
    REQUIRE(sqlite3_open(store.c_str(), &database) == SQLITE_OK);
    CHECK(sqlite3_exec(database, text, nullptr, nullptr, nullptr) == SQLITE_OK);
    sqlite3_close(database);
  }
  fs::path path;
  std::string store, key;
};

DeviceId id(std::string_view text) {
  return DeviceId::parse(text).value();
}

Identity identity(std::string_view text, std::string_view key = "0123456789abcdef") {
  return {id(text), Secret(std::string(key)), {}, {}, true, WallTime(Milliseconds(5))};
}

unsigned mode(const std::string& file) {
  struct stat status {};
  REQUIRE(stat(file.c_str(), &status) == 0);
  return status.st_mode & 0777U;
}

std::string bytes(const std::string& file) {
  std::stringstream out;
  out << std::ifstream(file).rdbuf();
  return out.str();
}

}  // namespace

TEST_CASE("identities come back after the store is closed, in order of id", "[identity]") {
  const Folder folder;
  auto full = identity("b");
  full.secondary = Secret("secondary-key-bytes");
  full.psk = Secret(std::string("\0\xFF", 2));
  {
    const auto store = folder.open();
    REQUIRE(store->add(full));
    REQUIRE(store->add(identity("a")));
    REQUIRE(store->set_enabled(id("a"), false));
  }
  const auto all = folder.open()->all().value();
  REQUIRE(all.size() == 2);
  CHECK(all[0].device.text() == "a");
  CHECK(!all[0].enabled);
  CHECK(all[0].updated > WallTime(Milliseconds(5)));
  CHECK(all[0].secondary.empty());
  CHECK(all[1].primary.reveal() == "0123456789abcdef");
  CHECK(all[1].secondary == full.secondary);
  CHECK(all[1].psk == full.psk);
  CHECK(all[1].updated == WallTime(Milliseconds(5)));
}

TEST_CASE("both files are for their owner alone and hold no key in the clear", "[identity][S-01]") {
  const Folder folder;
  const auto before = umask(0);
  REQUIRE(folder.open()->add(identity("a")));
  umask(before);
  CHECK(mode(folder.store) == 0600);
  CHECK(mode(folder.key) == 0600);
  CHECK(bytes(folder.store).find("0123456789abcdef") == std::string::npos);
  CHECK(bytes(folder.key).size() == 45);
  std::size_t files = 0;
  for ([[maybe_unused]] const auto& entry : fs::directory_iterator(folder.path)) ++files;
  CHECK(files == 2);
}

TEST_CASE("systemd's credential is the sealing key, whatever the key file says", "[identity][S-01]") {
  const Folder folder;
  REQUIRE(folder.open()->add(identity("a")));
  const auto credential = folder.path / "sealing-key";
  fs::rename(folder.key, credential);
  // As systemd leaves it where access is given by ACL: the mode's group bits are its mask.
  REQUIRE(chmod(credential.c_str(), 0440) == 0);
  REQUIRE(setenv("CREDENTIALS_DIRECTORY", folder.path.c_str(), 1) == 0);
  const auto with = open_store(folder.store, "/nonexistent/key");
  const auto other = folder.path.string() + "/other.db";
  const auto fresh = open_store(other, "");
  REQUIRE(unsetenv("CREDENTIALS_DIRECTORY") == 0);
  REQUIRE(with);
  CHECK((*with)->all().value().size() == 1);
  REQUIRE(fresh);
  CHECK(!fs::exists(other + ".key"));
  CHECK(!open_store(folder.store, credential));  // without systemd its mode counts
}

TEST_CASE("a device is added once, and only a known one is changed", "[identity]") {
  const Folder folder;
  const auto store = folder.open();
  REQUIRE(store->add(identity("a")));
  const auto twice = store->add(identity("a", "another-key-1234"));
  REQUIRE(!twice);
  CHECK(twice.error().code == ErrorCode::exists);
  CHECK(twice.error().message.find("device a has an identity already") != std::string::npos);
  CHECK(store->all().value()[0].primary.reveal() == "0123456789abcdef");
  CHECK(store->remove(id("b")).error().code == ErrorCode::not_found);
  CHECK(store->set_enabled(id("b"), true).error().code == ErrorCode::not_found);
  CHECK(store->remove(id("a")));
  CHECK(store->all().value().empty());
  CHECK(store->add(identity("c", "")).error().code == ErrorCode::invalid);
}

TEST_CASE("an import is stored as a whole or not at all", "[identity]") {
  const Folder folder;
  const auto store = folder.open();
  REQUIRE(store->put({identity("a"), identity("b")}));
  REQUIRE(!store->put({identity("a", "changed-changed-"), identity("c"), identity("d", "")}));
  const auto all = store->all().value();
  REQUIRE(all.size() == 2);
  CHECK(all[0].primary.reveal() == "0123456789abcdef");
  REQUIRE(store->put({identity("a", "changed-changed-")}));
  CHECK(store->all().value()[0].primary.reveal() == "changed-changed-");
}

TEST_CASE("a reader sees what another process wrote, whole", "[identity]") {
  const Folder folder;
  const auto reader = folder.open();
  CHECK(reader->all().value().empty());
  REQUIRE(folder.open()->put({identity("a"), identity("b")}));
  CHECK(reader->all().value().size() == 2);
}

TEST_CASE("a change that was cut by a crash leaves the store as it was", "[identity]") {
  const Folder folder;
  REQUIRE(folder.open()->put({identity("a")}));
  const auto child = fork();
  if (child == 0) {
    sqlite3* database = nullptr;
    sqlite3_open(folder.store.c_str(), &database);
    // A cache of one page: the change is in the file, and its journal beside it, when the process dies.
    sqlite3_exec(database, "PRAGMA cache_size = 1; BEGIN; DELETE FROM identity; DROP TABLE meta", nullptr, nullptr,
                 nullptr);
    sqlite3_db_cacheflush(database);
    _exit(0);
  }
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  CHECK(folder.open()->all().value().size() == 1);
}

TEST_CASE("a key or a store that others may read is refused and left alone", "[identity][S-01]") {
  const Folder folder;
  REQUIRE(folder.open()->add(identity("a")));
  for (const auto& file : {folder.key, folder.store}) {
    for (const unsigned bits : {0640U, 0604U, 0660U}) {
      REQUIRE(chmod(file.c_str(), bits) == 0);
      const auto opened = open_store(folder.store, folder.key);
      REQUIRE(!opened);
      CHECK(opened.error().code == ErrorCode::denied);
      CHECK(opened.error().message.find("chmod 600 " + file) != std::string::npos);
    }
    REQUIRE(chmod(file.c_str(), 0600) == 0);
  }
  CHECK(folder.open()->all().value().size() == 1);
}

TEST_CASE("a key that is missing, damaged or of another store is refused, and none is made", "[identity]") {
  const Folder folder;
  const Folder other;
  REQUIRE(folder.open()->add(identity("a")));
  (void)other.open();

  CHECK(open_store(folder.store, other.key).error().code == ErrorCode::denied);
  CHECK(open_store(folder.store, other.key).error().message.find("does not fit") != std::string::npos);
  const auto missing = (folder.path / "none").string();
  CHECK(open_store(folder.store, missing).error().code == ErrorCode::not_found);
  CHECK(!fs::exists(missing));
  std::ofstream(folder.path / "short") << "AAAA\n";
  REQUIRE(chmod((folder.path / "short").c_str(), 0600) == 0);
  CHECK(open_store(folder.store, folder.path / "short").error().code == ErrorCode::corrupt);
  CHECK(open_store(folder.store, folder.path).error().code == ErrorCode::corrupt);
}

TEST_CASE("the key is named beside the store unless it is set", "[identity]") {
  const Folder folder;
  REQUIRE(open_store(folder.store, ""));
  CHECK(fs::exists(folder.key));
}

TEST_CASE("a newer, a foreign and a damaged store are refused and not touched", "[identity]") {
  const Folder folder;
  REQUIRE(folder.open()->add(identity("a")));
  const auto good = bytes(folder.store);
  const auto refused = [&](ErrorCode code) {
    const auto before = bytes(folder.store);
    const auto opened = open_store(folder.store, folder.key);
    REQUIRE(!opened);
    CHECK(opened.error().code == code);
    CHECK(opened.error().message.find(folder.store) != std::string::npos);
    CHECK(bytes(folder.store) == before);
    std::ofstream(folder.store, std::ios::trunc) << good;
  };
  folder.sql("PRAGMA user_version = 3");
  refused(ErrorCode::invalid);
  folder.sql("PRAGMA application_id = 7");
  refused(ErrorCode::corrupt);
  std::ofstream(folder.store, std::ios::trunc) << std::string(8192, 'x');
  refused(ErrorCode::corrupt);
  std::ofstream(folder.store, std::ios::trunc) << good.substr(0, 5000);
  refused(ErrorCode::corrupt);
  CHECK(folder.open()->all().value().size() == 1);
}

TEST_CASE("sealed keys cannot change their device or their place", "[identity][I-02]") {
  const Folder folder;
  REQUIRE(folder.open()->put({identity("a"), identity("b", "fedcba9876543210")}));
  folder.sql("UPDATE identity SET primary_key = (SELECT primary_key FROM identity WHERE device = 'a')");
  auto all = folder.open()->all();
  REQUIRE(!all);
  CHECK(all.error().code == ErrorCode::corrupt);
  folder.sql("DELETE FROM identity WHERE device = 'b'");
  CHECK(folder.open()->all());
  folder.sql("UPDATE identity SET psk = primary_key");
  CHECK(!folder.open()->all());
}

TEST_CASE("an empty file left by a crash becomes a store, a missing folder does not", "[identity]") {
  const Folder folder;
  std::ofstream(folder.store).close();
  REQUIRE(chmod(folder.store.c_str(), 0600) == 0);
  CHECK(folder.open()->add(identity("a")));
  const auto nowhere = open_store(folder.path / "none" / "identity.db", "");
  REQUIRE(!nowhere);
  CHECK(nowhere.error().message.find("No such file or directory") != std::string::npos);
}

TEST_CASE("ten thousand identities are stored and read", "[identity]") {
  const Folder folder;
  std::vector<Identity> many;
  for (int i = 0; i < 10'000; ++i) many.push_back(identity("d" + std::to_string(i)));
  const auto store = folder.open();
  REQUIRE(store->put(many));
  CHECK(store->all().value().size() == 10'000);
}

TEST_CASE("how keys fared is kept, newest first, and goes with its device", "[identity]") {
  const Folder folder;
  auto store = folder.open();
  REQUIRE(store->put({identity("a"), identity("b")}));
  const auto at = [](std::int64_t value) { return WallTime(Milliseconds(value)); };
  REQUIRE(store->note({{id("a"), at(10), {}, {}}, {id("b"), {}, at(20), "wrong key"}, {id("nobody"), at(1), {}, {}}}));
  REQUIRE(store->note({{id("a"), at(5), at(7), "expired"}, {id("b"), at(30), at(15), "older"}}));
  store.reset();
  store = folder.open();
  const auto usage = store->usage();
  REQUIRE(usage);
  REQUIRE(usage->size() == 2);
  CHECK((*usage)[0].used == at(10));
  CHECK((*usage)[0].refused == at(7));
  CHECK((*usage)[0].refusal == "expired");
  CHECK((*usage)[1].used == at(30));
  CHECK((*usage)[1].refused == at(20));
  CHECK((*usage)[1].refusal == "wrong key");
  REQUIRE(store->remove(id("a")));
  CHECK(store->usage()->size() == 1);
}

TEST_CASE("a store of the first version is brought up to date and keeps its identities", "[identity]") {
  const Folder folder;
  REQUIRE(folder.open()->put({identity("a")}));
  folder.sql("DROP TABLE usage; PRAGMA user_version = 1");
  auto store = folder.open();
  REQUIRE(store->note({{id("a"), WallTime(Milliseconds(3)), {}, {}}}));
  CHECK(store->usage()->size() == 1);
  CHECK(store->all()->size() == 1);
}

}  // namespace trunkline::identity
