// SPDX-License-Identifier: Apache-2.0
#include "gateway/cli/status_text.h"

#include "gateway/cli/text_table.h"
#include "tests/support/catch.h"

namespace trunkline::cli {
namespace {

std::string render(std::string_view text) {
  return status_text(json::parse(text).as_object());
}

}  // namespace

TEST_CASE("the first line is the verdict, its reason and what to do", "[cli]") {
  const auto text = render(R"({"verdict":"degraded","reason":"1 of 2 devices refused","action":"compare its key",
    "hub":{"state":"connected","host":"h.example.net","connections":1,"fault":"","next_try_ms":null},
    "safety":{"waiting":3,"waiting_bytes":2048,"cap_bytes":1073741824,"dead_lettered":1,"unsettled":2,
      "full_in_s":90000,"drained_in_s":61},
    "adapters":[{"name":"tcp","healthy":true,"detail":"1 listener"},{"name":"mqtt","healthy":false,"detail":"refused"}],
    "devices":[{"id":"a","adapter":"tcp","presence":"reachable","state":"ready","waiting":0,"accepted":12,"fault":"",
                "next_try_ms":null,"last_heard":"2026-11-21T01:34:00.123Z"},
               {"id":"boiler-7","state":"quarantined","presence":"away","waiting":3,"accepted":0,
                "fault":"unauthorised","next_try_ms":1500}]})");
  CHECK(
      text ==
      "degraded: 1 of 2 devices refused -> compare its key\n"
      "hub      connected h.example.net, connections open 1\n"
      "safety   3 waiting (2.0 KiB of 1.0 GiB), 2 unsettled, 1 dead-lettered; full in 25.0 h without the hub; drained "
      "in 61 s\n"
      "adapter  tcp works: 1 listener\n"
      "adapter  mqtt does not work: refused\n"
      "DEVICE    ADAPTER  PRESENCE   STATE        WAITING  ACCEPTED  LAST HEARD                FAULT\n"
      "a         tcp      reachable  ready        0        12        2026-11-21T01:34:00.123Z\n"
      "boiler-7           away       quarantined  3        0         never                     unauthorised; next try "
      "in 2 s\n");
}

TEST_CASE("an object of other shapes is shown as far as it goes", "[cli]") {
  CHECK(render(R"({"verdict":"ok"})") == "ok\n");
  CHECK(render(R"({"verdict":"ok","hub":7,"safety":[],"adapters":{},"devices":[1,null]})") == "ok\nno devices\n");
  CHECK(render(R"({"verdict":"ok","hub":{"state":"opening","since":"12:00","next_try_ms":-5,"fault":"away"}})") ==
        "ok\nhub      opening since 12:00, next try in 0 s; away\n");
}

TEST_CASE("topics that nobody mapped are shown under their adapter, the first few of them", "[cli]") {
  CHECK(render(R"({"verdict":"ok","adapters":[{"name":"mqtt","healthy":true,"unknown_topics":["a/b","c"]}]})") ==
        "ok\nadapter  mqtt works\n         nobody's topics: a/b, c; map them, or name them in mqtt.ignore\n");
  CHECK(render(R"({"verdict":"ok","adapters":[{"name":"mqtt","healthy":true,"unknown_topics":["1","2","3","4"]}]})") ==
        "ok\nadapter  mqtt works\n         nobody's topics: 1, 2, 3, and more (--json); map them, or name them in "
        "mqtt.ignore\n");
}

TEST_CASE("an MQTT device that was never heard is said with the topic on which it should speak", "[cli][S-01]") {
  const auto text = render(R"({"verdict":"ok","devices":[{"id":"pump","adapter":"mqtt","state":"idle","fault":"",
    "peer":"pump-1/state","last_heard":null},{"id":"tank","adapter":"mqtt","fault":"","peer":"t","last_heard":"now"}]})");
  CHECK(text.find("nothing heard on pump-1/state yet: does it publish there?") != std::string::npos);
  CHECK(text.find("nothing heard on t yet") == std::string::npos);
}

TEST_CASE("a TCP device that brings nothing but damage is said, one that works is not", "[cli][S-01]") {
  const auto text = render(R"({"verdict":"ok","devices":[
    {"id":"a","adapter":"tcp","fault":"","accepted":0,"waiting":0,"line":{"check_failed":2,"noise_bytes":70}},
    {"id":"b","adapter":"tcp","fault":"","accepted":1,"waiting":0,"line":{"overlong":9}}]})");
  CHECK(text.find("nothing but damage (check_failed 2, noise_bytes 70): compare tcp.framing with what it sends") !=
        std::string::npos);
  CHECK(text.find("overlong") == std::string::npos);
}

TEST_CASE("one device is a line for each thing that is known", "[cli]") {
  const auto device =
      json::parse(R"({"id":"a\u001b[2J","state":"ready","waiting":0,"fault":"","connection":null,"last_heard":"now"})");
  CHECK(device_text(device.as_object()) ==
        "id            a?[2J\nstate         ready\nwaiting       0\nlast_heard    now\n");
}

TEST_CASE("peers that nobody knows are told apart from topics, with what to do", "[cli]") {
  CHECK(
      render(
          R"({"verdict":"ok","adapters":[{"name":"tcp","healthy":true,"detail":"","unknown_topics":["10.0.0.7:1 at x: 'A'"]}]})") ==
      "ok\nadapter  tcp works\n         nobody known: 10.0.0.7:1 at x: 'A'; give each a map with tcp.identify\n");
}

TEST_CASE("what was damaged on a device's connection is shown with the device", "[cli]") {
  const auto device = json::parse(R"({"id":"d","line":{"check_failed":3,"noise_bytes":17},"twin":{"fault":""}})");
  CHECK(device_text(device.as_object()) == "id            d\nline          check_failed 3, noise_bytes 17\n");
}

TEST_CASE("the live view ranks by rate, then by what waits, and a restart is no negative rate", "[cli]") {
  const auto status = json::parse(R"({"verdict":"ok","devices":[{"id":"idle","accepted":5,"waiting":0},
    {"id":"busy","accepted":30,"waiting":0},{"id":"stuck","accepted":1,"waiting":9},{"id":"new","accepted":3}]})")
                          .as_object();
  const auto before = json::parse(R"({"devices":[{"id":"idle","accepted":5},{"id":"busy","accepted":10},
    {"id":"stuck","accepted":7}]})")
                          .as_object();
  const auto text = top_text(status, before, 2);
  CHECK(text.find("rate     10.0 messages a second") != std::string::npos);
  CHECK(text.find("busy") < text.find("stuck"));
  CHECK(text.find("stuck") < text.find("idle"));
  CHECK(text.find("-") == std::string::npos);
  CHECK(top_text(status, {}, 0).find("rate") == std::string::npos);
}

TEST_CASE("names cannot drive the terminal", "[cli]") {
  CHECK(render(R"({"verdict":"ok","reason":"\u001b[2J\n"})") == "ok: ?[2J?\n");
  TextTable table({"a", "b"});
  CHECK(table.empty());
  table.add({"gr\xC3\xBC\xC3\x9F\x07", "x"});
  table.add({"y"});
  CHECK(table.text() == "a      b\ngr\xC3\xBC\xC3\x9F?  x\ny\n");
}

}  // namespace trunkline::cli
