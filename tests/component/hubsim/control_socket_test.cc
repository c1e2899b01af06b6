// SPDX-License-Identifier: Apache-2.0
#include "tests/hubsim/control_socket.h"

#include <filesystem>
#include <fstream>
#include <thread>

#include "tests/component/hubsim/hub_fixture.h"

using namespace trunkline;
using namespace trunkline::hubsim;
using namespace std::chrono_literals;

namespace {

struct Directory {
  std::string path = (std::filesystem::temp_directory_path() / ("hubsim-" + hex_encode(random_bytes(8)))).string();
  ~Directory() {
    std::error_code ignored;
    std::filesystem::remove_all(path, ignored);
  }
};

HubOptions options_in(const Directory& directory) {
  HubOptions options;
  options.hub_name = "hub1.example.net";
  options.state_directory = directory.path;
  options.devices = {{"d1", kKey}};
  options.control_socket = directory.path + "/control.sock";
  options.events_file = directory.path + "/events.jsonl";
  return options;
}

}  // namespace

TEST_CASE("the control socket answers a line with a line, and a wait when its time has come") {
  Directory directory;
  const auto options = options_in(directory);
  const auto hub = HubServer::start(options).value();
  const auto status = json::parse(ask(options.control_socket, R"({"op":"status"})").value());
  CHECK(status.at("host").as_string() == "hub1.example.net");
  const auto late = json::parse(ask(options.control_socket, R"({"op":"wait_arrivals","timeout_ms":50})").value());
  CHECK(late.at("error").as_string() == "timed out");

  REQUIRE(hub->enqueue("d1", "x"));
  std::string answer;
  std::thread waiting([&options, &answer] {
    answer = ask(options.control_socket, R"({"op":"wait_outcome","device":"d1","sequence":1})").value_or("");
  });
  hub->control(R"({"op":"purge","device":"d1"})");
  waiting.join();
  CHECK(json::parse(answer).at("state").as_string() == "purged");
}

TEST_CASE("certificates are kept over a restart, and arrivals are in the events file") {
  Directory directory;
  const auto options = options_in(directory);
  const auto read = [&directory](const std::string& name) {
    std::ifstream file(directory.path + "/" + name);
    return std::string(std::istreambuf_iterator<char>(file), {});
  };
  auto hub = HubServer::start(options).value();
  const auto first = read("ca.pem") + read("server.pem");
  {
    RawClient client(*hub, true);
    REQUIRE(client.connect());
    REQUIRE(client.put_device_token("d1", kKey) == 200);
    REQUIRE(client.attach_sender(kUp).empty());
    CHECK(client.send(kUp, telemetry("m1", "hello")) == "accepted");
  }
  const auto line = json::parse(read("events.jsonl"));
  CHECK(line.at("message_id").as_string() == "m1");
  CHECK(line.at("body").as_string() == "hello");
  hub.reset();
  CHECK_FALSE(std::filesystem::exists(options.control_socket));
  hub = HubServer::start(options).value();
  CHECK(read("ca.pem") + read("server.pem") == first);
}

TEST_CASE("a hub that cannot start says what is wrong") {
  Directory directory;
  auto options = options_in(directory);
  options.devices = {{"d1", "not base64!"}};
  CHECK(HubServer::start(options).error().message.find("d1") != std::string::npos);
  options = options_in(directory);
  options.listen = "nowhere";
  CHECK_FALSE(HubServer::start(options));
  options = options_in(directory);
  options.control_socket = "/nonexistent/directory/socket";
  CHECK(HubServer::start(options).error().message.find("/nonexistent") != std::string::npos);
}
