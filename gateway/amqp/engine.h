// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <proton/condition.h>
#include <proton/connection.h>
#include <proton/delivery.h>
#include <proton/link.h>
#include <proton/session.h>
#include <proton/terminus.h>

#include <cstddef>
#include <functional>
#include <map>
#include <proton/internal/object.hpp>
#include <string>
#include <string_view>

namespace trunkline::amqp {

// The engine's own handle behind a C++ object: what Proton C++ 0.37 cannot say (credit, reasons of a rejection, freeing
// a link) is said through it. `handle<pn_link_t>(sender)`. Valid as long as the C++ object is.
template <class T>
T* handle(const proton::internal::object<T>& object) {
  struct Access : proton::internal::object<T> {
    static T* get(const proton::internal::object<T>& o) { return (o.*(&Access::pn_object))(); }
  };
  return Access::get(object);
}

inline constexpr std::size_t kMaxConditionText = 512;

// A peer's text made fit for a log: at most kMaxConditionText bytes, no control characters, valid UTF-8.
std::string printable(std::string_view text);

// An AMQP error condition as a value; its texts are printable. The info map holds what is text or number, as text, at
// most kMaxConditionInfo entries of a peer's.
inline constexpr std::size_t kMaxConditionInfo = 16;
struct Condition {
  std::string name;
  std::string description;
  std::map<std::string, std::string, std::less<>> info = {};
  [[nodiscard]] bool set() const { return !name.empty(); }
};
Condition read(pn_condition_t* condition);
void write(pn_condition_t* condition, const Condition& value);  // info as symbols and strings

// Settles a received delivery with the outcome; a rejection carries its condition.
void accept(pn_delivery_t* delivery);
void reject(pn_delivery_t* delivery, const Condition& why);
void release(pn_delivery_t* delivery);
void modify(pn_delivery_t* delivery, bool failed, bool undeliverable_here);

// Frees a link that is closed on both sides, a session likewise with its links: Proton C++ never does it, and attach
// gets slower with every dead one. No pointer to it may be used afterwards.
void free_link(pn_link_t* link);
void free_session(pn_session_t* session);

}  // namespace trunkline::amqp
