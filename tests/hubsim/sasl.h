// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string>
#include <string_view>

namespace trunkline::hubsim {

// The hub's side of the protocol header and the SASL layer (AMQP 1.0 section 5.3), bytes in and bytes out. Pure. It
// offers what the live hub offers, accepts ANONYMOUS and MSSBCBS, asks its owner about PLAIN, and refuses EXTERNAL. A
// bare AMQP header is accepted as well. Our own and not Proton's, because a SASL plug-in of Proton is process-global.
// Bounded: a frame over 16 KiB or any surprise ends it.
class SaslServer {
 public:
  enum class State { waiting, accepted, refused };
  // True if the user (authcid) and password are good.
  using Verify = std::function<bool(std::string_view user, std::string_view password)>;

  explicit SaslServer(Verify verify_plain) : verify_plain_(std::move(verify_plain)) {}

  // Takes the bytes that came; what must be sent is appended to `output`, for a refusal too.
  State feed(std::string_view bytes, std::string& output);
  // Once accepted: bytes that belong to the layer above, a bare header included.
  [[nodiscard]] std::string take_rest() { return std::move(input_); }
  // Once accepted: "" (bare), or the mechanism.
  [[nodiscard]] const std::string& mechanism() const { return mechanism_; }

 private:
  State on_header(std::string& output);
  State on_frame(std::string_view body, std::string& output);
  State judge_plain(std::string_view response, std::string& output);

  enum class Phase { header, init, response };
  Verify verify_plain_;
  Phase phase_ = Phase::header;
  State state_ = State::waiting;
  std::string input_;
  std::string mechanism_;
};

}  // namespace trunkline::hubsim
