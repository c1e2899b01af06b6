// SPDX-License-Identifier: Apache-2.0
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "gateway/base/check.h"
#include "tests/hubsim/message.h"
#include "tests/hubsim/sasl.h"

// The same input once whole and once byte by byte: the verdict and the output must agree, and the rest must be what was
// not consumed. What is left is then read as a message, the other parser of this codec.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using trunkline::hubsim::SaslServer;
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const auto verify = [](std::string_view user, std::string_view password) { return user == password; };

  SaslServer whole(verify);
  std::string whole_output;
  const auto verdict = whole.feed(input, whole_output);
  auto rest = whole.take_rest();

  SaslServer piecewise(verify);
  std::string pieces_output;
  auto state = SaslServer::State::waiting;
  for (std::size_t i = 0; i < size && state == SaslServer::State::waiting; ++i) {
    state = piecewise.feed(input.substr(i, 1), pieces_output);
  }
  TRUNKLINE_CHECK(state == verdict, "the verdict does not depend on how the bytes arrive");
  TRUNKLINE_CHECK(whole_output == pieces_output, "the answer does not depend on how the bytes arrive");
  TRUNKLINE_CHECK(input.ends_with(rest), "nothing is made up");

  static_cast<void>(trunkline::hubsim::decode_message(input));
  static_cast<void>(trunkline::hubsim::split_batch(input));
  return 0;
}
