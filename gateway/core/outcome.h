// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "gateway/base/clock.h"
#include "gateway/core/method.h"

namespace trunkline {

// The terminal state of a delivery (AMQP 1.0 section 3.4), one per delivery, exactly once. A verdict, not an error of
// ours.
struct Outcome {
  enum class Kind { accepted, rejected, released, modified };
  Kind kind = Kind::released;
  bool undeliverable_here = false;  // modified only
  std::string condition = {};       // rejected: the error condition, such as "amqp:not-found"
  std::string description = {};     // what a person reads; bounded by who fills it
  Milliseconds retry_after{0};  // released, modified: the hub asks for so much patience (a throttle); 0: it does not
  std::shared_ptr<const MethodResponse> response{};  // accepted, of a method: what the device answered

  static Outcome accepted() { return {Kind::accepted, false, {}, {}, {}, {}}; }
  static Outcome answered(MethodResponse response) {
    return {Kind::accepted, false, {}, {}, {}, std::make_shared<const MethodResponse>(std::move(response))};
  }
  static Outcome released(std::string why = {}) { return {Kind::released, false, {}, std::move(why), {}, {}}; }
  static Outcome rejected(std::string condition, std::string description) {
    return {Kind::rejected, false, std::move(condition), std::move(description), {}, {}};
  }
  static Outcome throttled(Milliseconds retry_after, std::string why) {
    return {Kind::released, false, {}, std::move(why), retry_after, {}};
  }
  // Released for a reason that the caller of a method is told by its status; the hub never sees these conditions.
  static constexpr std::string_view kAway = "trunkline:away";
  static constexpr std::string_view kBusy = "trunkline:busy";
  static Outcome away(std::string why) { return {Kind::released, false, std::string(kAway), std::move(why), {}, {}}; }
  static Outcome busy(std::string why) { return {Kind::released, false, std::string(kBusy), std::move(why), {}, {}}; }
  // What a Completion answers that was dropped: exists only inside, and goes out as released.
  static Outcome abandoned() { return released("abandoned"); }
};
std::string_view to_string(Outcome::Kind kind);

// What an adapter may tell its device about a message it submitted.
struct Admission {
  enum class Kind {
    safe,       // acknowledge: committed, or accepted by the hub (D-01)
    duplicate,  // acknowledge: this source key is safe already
    throttled,  // not now; offer it again after retry_after
    refused,    // never; reason says why, and it is counted
    abandoned,  // the gateway is stopping; say nothing to the device
  };
  Kind kind = Kind::abandoned;
  Milliseconds retry_after{0};
  std::string reason;

  static Admission safe() { return {Kind::safe, {}, {}}; }
  static Admission duplicate() { return {Kind::duplicate, {}, {}}; }
  static Admission throttled(Milliseconds retry_after, std::string reason) {
    return {Kind::throttled, retry_after, std::move(reason)};
  }
  static Admission refused(std::string reason) { return {Kind::refused, {}, std::move(reason)}; }
  static Admission abandoned() { return {}; }
};
std::string_view to_string(Admission::Kind kind);

}  // namespace trunkline
