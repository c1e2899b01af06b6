// SPDX-License-Identifier: Apache-2.0
#include "gateway/cli/control_client.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <thread>

#include "tests/support/catch.h"
#include "tests/unit/cli/cli_run.h"

namespace trunkline::cli {
namespace {

// A gateway that answers one request with given bytes, then closes; or takes it and says nothing until it is let go.
class FakeGateway {
 public:
  FakeGateway(const std::string& path, std::string answer, bool silent = false)
      : listener_(socket(AF_UNIX, SOCK_STREAM, 0)), answer_(std::move(answer)), silent_(silent) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
    REQUIRE(bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
    REQUIRE(listen(listener_, 1) == 0);
    thread_ = std::thread([this] { serve(); });
  }
  ~FakeGateway() { finish(); }
  FakeGateway(const FakeGateway&) = delete;
  FakeGateway& operator=(const FakeGateway&) = delete;

  // The request, once the client is gone.
  std::string finish() {
    if (thread_.joinable()) {
      shutdown(listener_, SHUT_RDWR);
      thread_.join();
      close(listener_);
    }
    return request_;
  }

 private:
  void serve() {
    const int client = accept(listener_, nullptr, nullptr);
    if (client < 0) return;
    char byte = 0;
    while (recv(client, &byte, 1, 0) == 1) {
      request_ += byte;
      if (byte == '\n' && !silent_) break;
    }
    for (std::string_view rest = answer_; !rest.empty() && !silent_;) {
      const auto sent = send(client, rest.data(), std::min<std::size_t>(rest.size(), 1000), MSG_NOSIGNAL);
      if (sent <= 0) break;
      rest.remove_prefix(static_cast<std::size_t>(sent));
    }
    close(client);
  }

  int listener_;
  std::string answer_;
  bool silent_;
  std::string request_;
  std::thread thread_;
};

}  // namespace

TEST_CASE("a long answer arrives whole", "[cli]") {
  const CliFolder folder;
  const std::string answer(300'000, 'x');
  FakeGateway gateway(folder.socket, answer + "\nrest");
  CHECK(ask_gateway(folder.socket, "hello", Milliseconds(10'000)).value() == answer);
  CHECK(gateway.finish() == "hello\n");
}

TEST_CASE("a gateway that closes or keeps silent is told apart from one that does not run", "[cli]") {
  const CliFolder folder;
  CHECK(ask_gateway(folder.socket, "x", Milliseconds(1000)).error().code == ErrorCode::not_found);
  {
    FakeGateway gateway(folder.socket, "no end of line");
    CHECK(ask_gateway(folder.socket, "x", Milliseconds(10'000)).error().code == ErrorCode::unavailable);
  }
  // The socket file is left over, as after a crash.
  CHECK(ask_gateway(folder.socket, "x", Milliseconds(1000)).error().code == ErrorCode::not_found);
  unlink(folder.socket.c_str());
  FakeGateway silent(folder.socket, "", true);
  CHECK(ask_gateway(folder.socket, "x", Milliseconds(50)).error().code == ErrorCode::timed_out);
}

TEST_CASE("a change of identities is announced to the running gateway", "[cli]") {
  const CliFolder folder;
  const std::vector<std::string> add = {"identity", "add", "a", "--key-file", "-", "--config", folder.config};
  {
    FakeGateway gateway(folder.socket, "{\"ok\":true}\n");
    const auto done = run_cli(add, "AAECAwQFBgcICQoLDA0ODw==");
    CHECK(done.status == 0);
    CHECK(done.out == "added a; the running gateway took it\n");
    CHECK(gateway.finish() == "{\"op\":\"identities_changed\"}\n");
  }
  unlink(folder.socket.c_str());
  {
    FakeGateway gateway(folder.socket, "{\"error\":\"disk on fire\"}\n");
    const auto done = run_cli({"identity", "disable", "a", "--config", folder.config});
    CHECK(done.status == 1);
    CHECK(done.err.find("stored, but the running gateway did not take it: disk on fire") != std::string::npos);
  }
  unlink(folder.socket.c_str());
  FakeGateway gateway(folder.socket, "what?\n");
  CHECK(run_cli({"identity", "enable", "a", "--config", folder.config}).status == 1);
}

TEST_CASE("status prints what the gateway says and ends as it is well", "[cli]") {
  const CliFolder folder;
  const auto status = [&](const std::string& answer, bool json = false) {
    unlink(folder.socket.c_str());
    FakeGateway gateway(folder.socket, answer + "\n");
    auto done = run_cli(json ? std::vector<std::string>{"status", "--json", "--config", folder.config}
                             : std::vector<std::string>{"status", "--config", folder.config});
    CHECK(gateway.finish() == "{\"op\":\"status\"}\n");
    return done;
  };
  CHECK(status(R"({"verdict":"ok"})").status == 0);
  CHECK(status(R"({"verdict":"ok"})").out == "ok\n");
  CHECK(status(R"({"verdict":"degraded","reason":"r"})").status == 1);
  CHECK(status(R"({"verdict":"failed"})", true).out == "{\"verdict\":\"failed\"}\n");
  CHECK(status("nonsense").status == 1);
  CHECK(status("[]").out.find("failed: ") == 0);
}

}  // namespace trunkline::cli
