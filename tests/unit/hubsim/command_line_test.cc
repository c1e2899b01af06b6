// SPDX-License-Identifier: Apache-2.0
#include "tests/hubsim/command_line.h"

#include "tests/support/catch.h"

using namespace trunkline::hubsim;

TEST_CASE("the documented command line is read") {
  const auto line = parse_command_line({"--listen", "127.0.0.1:0", "--hub-name=contoso", "--state", "/tmp/x",
                                        "--device", "a:b:a2V5", "--device=c:a2V5", "--policy", "service:a2V5",
                                        "--control", "/tmp/s", "--record", "count", "--events", "/tmp/e"})
                        .value();
  CHECK(line.what == CommandLine::What::run);
  CHECK(line.options.listen == "127.0.0.1:0");
  CHECK(line.options.hub_name == "contoso");
  REQUIRE(line.options.devices.size() == 2);
  CHECK(line.options.devices[0].name == "a:b");
  CHECK(line.options.devices[0].key == "a2V5");
  CHECK(line.options.policies.size() == 1);
  CHECK_FALSE(line.options.record_bodies);
  CHECK(line.options.events_file == "/tmp/e");
}

TEST_CASE("the port of the hub is the default") {
  CHECK(parse_command_line({"--hub-name", "h", "--state", "s"})->options.listen == "127.0.0.1:5671");
}

TEST_CASE("a hub listens on the first address given and on all further ones") {
  const auto options = parse_command_line({"--hub-name", "h", "--state", "s", "--listen", "127.0.0.1:1", "--listen",
                                           "127.0.0.1:2", "--max-tokens", "7", "--https", "127.0.0.1:3"})
                           ->options;
  CHECK(options.listen == "127.0.0.1:1");
  CHECK(options.also_listen == std::vector<std::string>{"127.0.0.1:2"});
  CHECK(options.limits.tokens_per_connection == 7);
  CHECK(options.https == "127.0.0.1:3");
  CHECK_FALSE(parse_command_line({"--hub-name", "h", "--state", "s", "--max-tokens", "many"}));
}

TEST_CASE("a request to a running hub wants a socket and the request") {
  const auto line = parse_command_line({"ctl", "--control", "/tmp/s", R"({"op":"status"})"}).value();
  CHECK(line.what == CommandLine::What::ask);
  CHECK(line.request == R"({"op":"status"})");
  CHECK_FALSE(parse_command_line({"ctl", "{}"}));
  CHECK_FALSE(parse_command_line({"ctl", "--control", "/tmp/s"}));
}

TEST_CASE("what is missing, unknown or malformed on the command line is named") {
  CHECK(parse_command_line({"--state", "s"}).error().message == "--hub-name is missing");
  CHECK(parse_command_line({"--hub-name", "h"}).error().message == "--state is missing");
  CHECK(parse_command_line({"--hub"}).error().message == "--hub wants a value");
  CHECK(parse_command_line({"--hub", "x"}).error().message == "unknown option --hub");
  CHECK(parse_command_line({"--device", "x"}).error().message == "--device wants NAME:KEY");
  CHECK(parse_command_line({"--record", "x"}).error().message == "--record is all or count");
  CHECK(parse_command_line({"x"}).error().message == "unexpected argument x");
  CHECK(parse_command_line({"--help"})->what == CommandLine::What::help);
  CHECK(help_text().find("--control") != std::string::npos);
}
