// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <proton/message.hpp>
#include <proton/message_id.hpp>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "gateway/base/result.h"
#include "gateway/core/method.h"
#include "gateway/core/twin.h"

namespace trunkline::hub {

// What travels on method and twin links (hub-amqp-protocol.md 7 and 8). Keeps its buffers, so one for a thread; the
// bytes that it hands out are valid until the next call. Decoding fails with `invalid` for what is none of these.
class PairCodec {
 public:
  struct Method {
    MethodCall call;
    proton::message_id correlation;  // goes back in value and type
  };
  using TwinNews = std::variant<TwinAnswer, std::string>;  // an answer, or a patch of the desired properties

  Result<Method> method(std::string_view bytes);
  std::string_view response(const proton::message_id& correlation, const MethodResponse& response);
  Result<TwinNews> twin(std::string_view bytes);
  std::string_view request(const TwinRequest& request);

 private:
  void decode(std::string_view bytes);
  std::string_view encoded();

  proton::message message_;
  std::vector<char> buffer_;
};

}  // namespace trunkline::hub
