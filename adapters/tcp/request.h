// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "gateway/base/result.h"
#include "gateway/mapping/framing.h"
#include "gateway/mapping/template.h"

namespace trunkline::tcp {

// What a device is sent: a template with check values, put into frames so that the device reads exactly what the
// template says. An immutable value. `framing` outlives it.
class Request {
 public:
  struct Values {
    std::string_view payload{};
    std::string_view id{};
    std::string_view device{};
    std::string_view name{};     // of a method
    std::string_view version{};  // of desired properties
  };
  // invalid: the template is wrong, or is no message of this framing whatever is filled in.
  static Result<Request> make(std::string_view send, Framing framing);

  // The bytes for the wire. invalid: with these values the device would read something else (I-02).
  [[nodiscard]] Result<std::string> wire(const Values& values) const;

 private:
  Request(Template send, Framing framing);
  [[nodiscard]] std::string fill(const Values& values) const;

  Template send_;
  Framing framing_;
  std::size_t ends_;  // that the operator wrote within
};

}  // namespace trunkline::tcp
