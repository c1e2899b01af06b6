// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

namespace trunkline {

// What a device asks of its twin (hub-amqp-protocol.md 7.1). `number` names the request in its answer.
struct TwinRequest {
  enum class Kind {
    subscribe,  // to changes of the desired properties
    get,        // both documents
    report,     // a merge patch of the reported properties
  };
  Kind kind = Kind::get;
  std::uint64_t number = 0;
  std::string patch{};  // JSON text, of a report
};

struct TwinAnswer {
  std::uint64_t number = 0;
  int status = 0;            // HTTP-like; any 2xx is success
  std::string document{};    // JSON text; of get: {"desired":{…,"$version":n},"reported":{…}}; of a failure: why
  std::int64_t version = 0;  // of the reported properties after a report; 0 if it was not told
};

}  // namespace trunkline
