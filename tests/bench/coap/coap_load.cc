// SPDX-License-Identifier: Apache-2.0
// usage: trunkline-bench-coap-load PORT udp|dtls SESSIONS MESSAGES KEY
//
// CoAP devices towards a running gateway: "bench-0", "bench-1", … POST to /b/0, /b/1, … or over DTLS with KEY to /t,
// each with one confirmable message of 200 bytes on its way. Prints one JSON line.
//
// usage: trunkline-bench-coap-load bare udp|dtls KEY
//
// libcoap alone instead of a gateway: prints its port and answers until it is ended.
#include <cstdio>
#include <cstdlib>
#include <string>

#include "tests/bench/coap/bare_server.h"
#include "tests/bench/coap/clients.h"

int main(int argc, char** argv) {
  using namespace trunkline;
  if (argc == 4 && std::string(argv[1]) == "bare") {
    bench::serve_bare(std::string(argv[2]) == "dtls", argv[3], [](std::uint16_t port) {
      std::printf("port %u\n", port);
      std::fflush(stdout);
    });
    return 0;
  }
  if (argc != 6) return 2;
  const bool secure = std::string(argv[2]) == "dtls";
  bench::Clients clients(
      std::string("127.0.0.1:") + argv[1], secure, std::strtoul(argv[3], nullptr, 10), argv[5],
      [secure](std::size_t i) { return secure ? std::string("/t") : "/b/" + std::to_string(i); },
      [](std::size_t i) { return "bench-" + std::to_string(i); });
  const auto result = clients.run(std::strtoul(argv[4], nullptr, 10), 600);
  std::printf(R"({"answered":%zu,"asked_again":%zu,"seconds":%.3f,"p50_ms":%.3f,"p99_ms":%.3f})"
              "\n",
              result.answered, result.asked_again, result.seconds, result.p50_ms, result.p99_ms);
}
