// SPDX-License-Identifier: Apache-2.0
#include "tests/support/catch.h"
#include "tests/unit/config/config_text.h"

namespace trunkline::config {
namespace {

const std::string kAll = kHub + "[mqtt]\nbroker = \"mqtt://127.0.0.1\"\n[coap]\nlisten = \"127.0.0.1:5683\"\n";

// The problems of one device map, without the file's name.
std::string device_problems(const std::string& map) {
  std::string out;
  for (const auto& problem : load_strings(kAll, {"[[device]]\n" + map}).problems) {
    out += problem.text().substr(std::string("/c/devices.d/0.toml:").size()) + "\n";
  }
  return out;
}

}  // namespace

TEST_CASE("dotted keys and tables say the same", "[config]") {
  for (const auto* map :
       {"[[device]]\nid = \"b\"\nmqtt.telemetry = \"t\"\nmqtt.command = \"c\"\nmqtt.command_reply = \"r\"\n",
        "[[device]]\nid = \"b\"\nmqtt = {telemetry = \"t\", command = \"c\", command_reply = \"r\"}\n",
        "[[device]]\nid = \"b\"\n[device.mqtt]\ntelemetry = \"t\"\ncommand = \"c\"\ncommand_reply = \"r\""}) {
    const auto loaded = load_strings(kAll, {map});
    CHECK(report(loaded.problems).empty());
    REQUIRE(loaded.settings.devices.size() == 1);
    const auto& device = loaded.settings.devices[0];
    CHECK(device.id.text() == "b");
    CHECK(device.place.line == 1);
    CHECK(device.in_flight == 64);
    REQUIRE(device.mqtt);
    CHECK(device.mqtt->broker == "default");
    CHECK(device.mqtt->telemetry == "t");
    CHECK(device.mqtt->command == "c");
    CHECK(device.mqtt->command_reply == "r");
    CHECK(device.command_done == CommandDone::replied);
    CHECK(device.takes_commands());
    CHECK(!device.coap);
    CHECK(!device.tcp);
  }
}

TEST_CASE("every option of a TCP map is read, escapes included", "[config]") {
  const auto loaded = load_strings(kHub, {R"([[device]]
id = "scale-2"
content_type = "text/plain"
content_encoding = "utf-8"
expect_every = "10s"
in_flight = 1
tcp.listen = "0.0.0.0:4001"
tcp.framing = { kind = "line", end = "\r\n", max = "1KiB" }
tcp.ack = "OK\r\n"
tcp.command = { send = "SET {payload} {{x}}\r\n", reply = "DONE {id}" }
command_done = "written"
)"});
  CHECK(report(loaded.problems).empty());
  const auto& device = loaded.settings.devices.at(0);
  CHECK(device.content_type == "text/plain");
  CHECK(device.content_encoding == "utf-8");
  CHECK(device.expect_every == Milliseconds(10'000));
  CHECK(device.in_flight == 1);
  CHECK(device.command_done == CommandDone::written);
  REQUIRE(device.tcp);
  CHECK(device.tcp->listen == "0.0.0.0:4001");
  CHECK(device.tcp->framing.end == "\r\n");
  CHECK(device.tcp->framing.max_length == 1024);
  CHECK(device.tcp->ack == "OK\r\n");
  REQUIRE(device.tcp->command);
  CHECK(device.tcp->command->send == "SET {payload} {{x}}\r\n");
  CHECK(device.tcp->command->reply == "DONE {id}");
}

TEST_CASE("a DTLS device has its identity, and its commands come in one of three ways", "[config][I-02]") {
  const std::string dtls = kHub + "[coap]\nlisten_dtls = \"0.0.0.0:5684\"\n";
  const std::string start = "[[device]]\nid = \"d\"\ncoap.telemetry = \"/t\"\n";
  const auto loaded = load_strings(
      dtls, {start + "coap.identity = \"psk {device}\"\ncoap.piggyback = true\n" + "coap.result = \"/r\"\n"});
  CHECK(report(loaded.problems).empty());
  CHECK(loaded.settings.coap->listen.empty());
  CHECK(loaded.settings.coap->listen_dtls == "0.0.0.0:5684");
  const auto& device = loaded.settings.devices.at(0);
  CHECK(device.coap->identity == "psk d");
  CHECK(device.coap->piggyback);
  CHECK(device.takes_commands());
  CHECK(device.command_done == CommandDone::replied);

  const auto one = [&](const std::string& main, const std::string& more) {
    return report(load_strings(main, {start + more}).problems);
  };
  CHECK(one(dtls, "").find("has no coap.identity") != std::string::npos);
  CHECK(one(kAll, "coap.identity = \"x\"").find("has no listen_dtls") != std::string::npos);
  CHECK(one(dtls, "coap.identity = \"x\"\ncoap.address = \"10.0.0.1\"").find("remove the address") !=
        std::string::npos);
  CHECK(one(dtls, "coap.identity = \"" + std::string(129, 'x') + "\"").find("longer than 128") != std::string::npos);
  CHECK(report(load_strings(dtls, {start + "coap.identity = \"x\"\n" + "[[device]]\nid = \"e\"\n" +
                                   "coap.telemetry = \"/t\"\ncoap.identity = \"x\"\n"})
                   .problems)
            .find("the DTLS identity \"x\" is used already") != std::string::npos);

  const auto pushed = load_strings(kAll, {start + "coap.push = \"coap://10.0.0.7/cmd/a\"\n"});
  CHECK(report(pushed.problems).empty());
  const auto& to = pushed.settings.devices.at(0);
  REQUIRE(to.coap->push);
  CHECK(to.coap->push->host == "10.0.0.7");
  CHECK(to.coap->push->port == 5683);
  CHECK(to.coap->push->path == "/cmd/a");
  CHECK(to.command_done == CommandDone::acknowledged);
  for (const auto* wrong : {"coap://tank.local/c", "coap://10.0.0.7", "coaps://10.0.0.7/c", "coap://10.0.0.7:0/c",
                            "coap://0.0.0.0/c", "coap://10.0.0.7/c?x"}) {
    INFO(wrong);
    CHECK(one(kAll, std::string("coap.push = \"") + wrong + "\"").find("coap.push is ") != std::string::npos);
  }
  CHECK(one(kAll, "coap.push = \"coap://[fd00::7]:99/c\"").empty());
  CHECK(one(kAll, "coap.push = \"coap://10.0.0.7/c\"\ncoap.piggyback = true").find("choose one") != std::string::npos);
  CHECK(one(kAll, "coap.piggyback = \"yes\"").find("write true or false") != std::string::npos);
  CHECK(one(kAll, "coap.piggyback = true").find("nothing says when this command is done") != std::string::npos);
  CHECK(one(kAll, "coap.piggyback = false").empty());
}

TEST_CASE("where a CoAP device says its time is an even option or a query") {
  const auto load = [](const std::string& time) {
    return load_strings(kAll, {"[[device]]\nid = \"a\"\ncoap.telemetry = \"/t\"\ncoap.time = " + time + "\n"});
  };
  const auto by_option = load("{ option = 65000, format = \"unix_ms\" }");
  CHECK(report(by_option.problems).empty());
  const auto& option = by_option.settings.devices.at(0).coap->time;
  REQUIRE(option);
  CHECK(option->option == 65000);
  CHECK(option->rule.format == DeviceTime::Format::unix_milliseconds);
  const auto by_query = load("{ query = \"ts\", assume_utc = true }");
  CHECK(report(by_query.problems).empty());
  const auto& query = by_query.settings.devices.at(0).coap->time;
  REQUIRE(query);
  CHECK(query->option == 0);
  CHECK(query->query == "ts");
  CHECK(query->rule.assume_utc);
  const auto wrong = [&load](const std::string& time) { return report(load(time).problems); };
  CHECK(wrong("{ format = \"unix\" }").find("needs one of option and query") != std::string::npos);
  CHECK(wrong("{ option = 65000, query = \"ts\" }").find("needs one of") != std::string::npos);
  CHECK(wrong("{ option = 65001, format = \"unix\" }").find("is odd") != std::string::npos);
  CHECK(wrong("{ option = 65000 }").find("add format") != std::string::npos);
  CHECK(wrong("{ option = 12, format = \"unix\" }").find("2048") != std::string::npos);
  CHECK(wrong("{ query = \"a=b\" }").find("before the =") != std::string::npos);
}

TEST_CASE("the files of CoAP certificates belong together", "[config]") {
  const std::string dtls = kHub + "[coap]\nlisten_dtls = \"0.0.0.0:5684\"\n";
  CHECK(report(load_strings(dtls + "cert = \"/a\"\nkey = \"/b\"\nca_file = \"/c\"\n", {}).problems).empty());
  CHECK(report(load_strings(dtls + "cert = \"/a\"\nkey = \"/b\"\n", {}).problems).find("set all three") !=
        std::string::npos);
  CHECK(report(load_strings(kAll + "cert = \"/a\"\nkey = \"/b\"\nca_file = \"/c\"\n", {}).problems)
            .find("without coap.listen_dtls") != std::string::npos);
  CHECK(report(load_strings(kAll + "listen_dtls = \"127.0.0.1:5683\"\n", {}).problems).find("another port") !=
        std::string::npos);
}

TEST_CASE("every option of a CoAP map is read", "[config]") {
  const auto loaded = load_strings(kAll, {R"([[device]]
id = "tank-3"
coap.address = "fe80:0::1"
coap.telemetry = "/{device}/t"
coap.command = "/c"
coap.result = "/r"
)"});
  CHECK(report(loaded.problems).empty());
  const auto& device = loaded.settings.devices.at(0);
  REQUIRE(device.coap);
  CHECK(device.coap->address == "fe80::1");
  CHECK(device.coap->telemetry == "/tank-3/t");
  CHECK(device.coap->command == "/c");
  CHECK(device.coap->result == "/r");
  CHECK(device.command_done == CommandDone::replied);
}

TEST_CASE("a command needs something that says it was done", "[config][C-01]") {
  const std::string mqtt = "id = \"d\"\nmqtt.telemetry = \"t\"\nmqtt.command = \"c\"\n";
  CHECK(device_problems(mqtt) ==
        "4:6: nothing says when this command is done; add mqtt.command_reply, or say command_done = \"acknowledged\" "
        "(the broker took it)\n");
  CHECK(device_problems(mqtt + "command_done = \"acknowledged\"").empty());
  CHECK(device_problems(mqtt + "mqtt.command_reply = \"r\"").empty());
  CHECK(device_problems(mqtt + "command_done = \"replied\"") ==
        "5:16: command_done = \"replied\", but no reply is mapped; add mqtt.command_reply\n");
  CHECK(device_problems(mqtt + "command_done = \"stored\"").empty());

  const std::string tcp = "id = \"d\"\ntcp.listen = \"0.0.0.0:1\"\ntcp.command = {send = \"x\"}\n";
  CHECK(device_problems(tcp).rfind("4:5: nothing says when", 0) == 0);
  CHECK(device_problems(tcp + "command_done = \"written\"").empty());
  CHECK(device_problems(tcp + "command_done = \"acknowledged\"").rfind("5:16: TCP does not tell", 0) == 0);
  CHECK(device_problems(tcp + "command_done = \"replied\"").rfind("5:16: command_done", 0) == 0);

  const std::string coap = "id = \"d\"\ncoap.telemetry = \"/t\"\ncoap.command = \"/c\"\n";
  CHECK(device_problems(coap).rfind("4:6: nothing says when", 0) == 0);
  CHECK(device_problems(coap + "command_done = \"written\"").empty());
  CHECK(device_problems(coap + "command_done = \"acknowledged\"").find("does not tell us") != std::string::npos);
}

TEST_CASE("queue mode says what the service is told, and the map what ends it", "[config][C-01]") {
  const auto read = [](const std::string& text) {
    const auto loaded = load_strings(kAll, {"[[device]]\nid = \"d\"\ncommand_done = \"stored\"\n" + text});
    INFO(report(loaded.problems));
    REQUIRE(loaded.problems.empty());
    CHECK(loaded.settings.devices.at(0).keeps_commands);
    return loaded.settings.devices.at(0);
  };
  const std::string mqtt = "mqtt.telemetry = \"t\"\nmqtt.command = \"c\"\n";
  CHECK(read(mqtt).command_done == CommandDone::acknowledged);
  CHECK(read(mqtt + "mqtt.command_reply = \"r\"").command_done == CommandDone::replied);
  const std::string coap = "coap.telemetry = \"/t\"\n";
  CHECK(read(coap + "coap.command = \"/c\"").command_done == CommandDone::written);
  CHECK(read(coap + "coap.push = \"coap://10.0.0.7/c\"").command_done == CommandDone::acknowledged);
  CHECK(read("tcp.listen = \"0.0.0.0:1\"\ntcp.command = {send = \"x\"}").command_done == CommandDone::written);
  const auto device = read(mqtt + "max_commands = 7\nmax_command_bytes = \"2KiB\"\ncommand_keep = \"3h\"");
  CHECK(device.max_commands == 7);
  CHECK(device.max_command_bytes == 2048);
  CHECK(device.command_keep == std::chrono::hours(3));

  const auto idle = load_strings(kAll, {"[[device]]\nid = \"d\"\nmqtt.telemetry = \"t\"\nmax_commands = 7\n"});
  CHECK(report(idle.warnings).find("max_commands has no effect") != std::string::npos);
  CHECK(device_problems("id = \"d\"\n" + mqtt + "command_done = \"stored\"\nmax_commands = 0").find("max_commands") !=
        std::string::npos);
}

TEST_CASE("members that are state are names that the hub takes and the map has", "[config]") {
  const std::string head = "id = \"d\"\nmqtt.telemetry = \"t\"\n";
  CHECK(device_problems(head + "map = { report = [\"mode\", \"fw\"] }").empty());
  CHECK(device_problems(head + "map = { report = \"a.b\" }").find("map.report: ") != std::string::npos);
  CHECK(device_problems(head + "map = { fields = { a = \"/a\" }, report = [\"b\"] }").find("none of map.fields") !=
        std::string::npos);
}

TEST_CASE("a map without its parts is refused at its place", "[config]") {
  CHECK(device_problems("mqtt.telemetry = \"t\"") ==
        "1:1: id is missing; add id = \"<the device's id at the hub>\" to this [[device]]\n");
  CHECK(device_problems("id = \"d\"") ==
        "1:1: this device has no protocol; add mqtt.telemetry = …, coap.telemetry = … or tcp.listen = …\n");
  CHECK(device_problems("id = \"d\"\nmqtt.broker = \"default\"") ==
        "3:1: mqtt.telemetry is missing; add it to this table\n");
  CHECK(device_problems("id = \"d\"\ntcp.ack = \"x\"") == "3:1: tcp.listen is missing; add it to this table\n");
  CHECK(device_problems("id = \"d\"\ntcp.listen = \"0.0.0.0:1\"\ncoap.telemetry = \"/t\"") ==
        "3:1: a second protocol in one device map: tcp after coap; give each its own [[device]]\n");
  CHECK(device_problems("id = \"d d\"\nmqtt.telemetry = \"t\"").rfind("2:6: a device id has a character", 0) == 0);
  CHECK(device_problems("id = \"" + std::string(129, 'x') + "\"\nmqtt.telemetry = \"t\"").rfind("2:6: ", 0) == 0);
  CHECK(device_problems("id = \"\"\nmqtt.telemetry = \"t\"") ==
        "2:6: id is empty; give it a value or remove the line\n");
  CHECK(device_problems("id = 7\nmqtt.telemetry = \"t\"").rfind("2:6: id is an integer", 0) == 0);
  CHECK(device_problems("id = \"d\"\nmqtt = \"t\"").rfind("3:8: mqtt is a string; write a table", 0) == 0);
}

TEST_CASE("a topic that no device can have is refused", "[config]") {
  const auto topic = [](const std::string& text) {
    return device_problems("id = \"d\"\nmqtt.telemetry = \"" + text + "\"");
  };
  CHECK(topic("a//b").empty());
  CHECK(topic("/a").empty());
  CHECK(topic("a/{device}").empty());
  CHECK(topic("a/{{x}}").empty());
  CHECK(topic("a/+/b").rfind("3:18: mqtt.telemetry is \"a/+/b\": it has a wildcard", 0) == 0);
  CHECK(topic("a/#").find("wildcard") != std::string::npos);
  CHECK(topic("$SYS/x").find("belongs to the broker") != std::string::npos);
  CHECK(topic("$share/g/t").find("belongs to the broker") != std::string::npos);
  CHECK(topic("a\\u0000b").find("U+0000") != std::string::npos);
  CHECK(topic("a\\nb").find("control character") != std::string::npos);
  CHECK(topic(std::string(65'535, 'x')).empty());
  CHECK(topic(std::string(65'536, 'x')).find("65535") != std::string::npos);
  CHECK(topic("a\xFFz").find("not valid TOML") != std::string::npos);
  CHECK(topic("a/x{name}").find("unknown field {name}") != std::string::npos);
  CHECK(topic("a/{device").find("without its '}'") != std::string::npos);
  CHECK(topic("").find("is empty") != std::string::npos);
}

TEST_CASE("a path that CoAP cannot carry is refused", "[config]") {
  const auto path = [](const std::string& text) {
    return device_problems("id = \"d\"\ncoap.telemetry = \"" + text + "\"");
  };
  CHECK(path("/a/b").empty());
  for (const auto* wrong :
       {"a", "/", "//", "/a/", "/a//b", "/a?x", "/a#x", "/a b", "/.well-known/core", "/a/../b", "/./a"}) {
    INFO(wrong);
    CHECK(path(wrong).rfind("3:18: coap.telemetry is ", 0) == 0);
  }
  CHECK(!path("/" + std::string(256, 'x')).empty());
  CHECK(device_problems("id = \"d\"\ncoap.telemetry = \"/t\"\ncoap.address = \"tank.local\"").rfind("4:16: ", 0) == 0);
}

TEST_CASE("templates and lines of TCP are checked", "[config]") {
  const auto tcp = [](const std::string& text) {
    return device_problems("id = \"d\"\ntcp.listen = \"0.0.0.0:1\"\n" + text);
  };
  CHECK(tcp("tcp.command = {send = \"{payloda}\", reply = \"x\"}").rfind("4:23: tcp.command.send: unknown field", 0) ==
        0);
  CHECK(
      tcp("tcp.command = {send = \"x\", reply = \"{payload}\"}").rfind("4:36: tcp.command.reply would take every", 0) ==
      0);
  CHECK(tcp("tcp.command = {send = \"x\", reply = \"{id}\"}").empty());
  CHECK(tcp("tcp.command = {send = \"x\", reply = \"ok\\n\"}").rfind("4:36: tcp.command.reply has the end", 0) == 0);
  CHECK(tcp("tcp.command = {reply = \"x\"}") == "4:15: tcp.command.send is missing; add it to this table\n");
  CHECK(
      tcp("tcp.command = \"x\"\ncommand_done = \"written\"").rfind("4:15: tcp.command is a string; write a table", 0) ==
      0);
  CHECK(tcp("tcp.framing = {kind = \"lenght\"}").find("did you mean \"length\"?") != std::string::npos);
  CHECK(tcp("tcp.framing = {max = 64}").rfind("4:22: tcp.framing.max is a bare number, its unit is missing", 0) == 0);
  CHECK(tcp("tcp.framing = {max = \"1GiB\"}").find("write a size from") != std::string::npos);
  CHECK(tcp("tcp.framing = {end = \"\"}").find("is empty") != std::string::npos);
  CHECK(tcp("tcp.framing = {ende = \"x\"}").find("did you mean \"end\"?") != std::string::npos);
  CHECK(tcp("tcp.connect = \"10.0.0.9:1\"").find("either dialled or listened for") != std::string::npos);
}

TEST_CASE("what architecture names and this version lacks is called so", "[config]") {
  CHECK(device_problems("id = \"d\"\nmqtt.telemetry = \"t\"\nmqtt.durability = \"x\"\norder = \"latest_first\"") ==
        "4:6: mqtt.durability is not supported yet in this version; remove it\n"
        "5:1: order is not supported yet in this version; remove it\n");
  CHECK(device_problems("id = \"d\"\ntcp.listen = \"0.0.0.0:1\"\ntcp.durability = \"x\"") ==
        "4:5: tcp.durability is not supported yet in this version; remove it\n");
  CHECK(report(load_strings(kHub, {"[[family]]\npreset = \"tasmota\"\ncoap.telemetry = \"/t\"\nid = \"a-{topic}\"\n"})
                   .problems) ==
        "devices.d/0.toml:3:1: a family speaks MQTT in this version; write one [[device]] each\n");
}

TEST_CASE("ranges and types of a map are checked", "[config]") {
  const std::string map = "id = \"d\"\nmqtt.telemetry = \"t\"\n";
  CHECK(device_problems(map + "in_flight = 0").rfind("4:13: in_flight is 0; write a number from 1 to 1000", 0) == 0);
  CHECK(device_problems(map + "in_flight = 1001").rfind("4:13: ", 0) == 0);
  CHECK(device_problems(map + "expect_every = 60").find("unit is missing") != std::string::npos);
  CHECK(device_problems(map + "expect_every = \"1ms\"").find("write a duration from \"1s\" to \"30d\"") !=
        std::string::npos);
  CHECK(device_problems(map + "content_type = \"json\"").find("media type") != std::string::npos);
  CHECK(device_problems(map + "content_encoding = \"a\\nb\"").find("utf-8") != std::string::npos);
  CHECK(device_problems(map + "comand_done = \"written\"").find("did you mean \"command_done\"?") != std::string::npos);
}

}  // namespace trunkline::config
