// SPDX-License-Identifier: Apache-2.0
#include "gateway/amqp/engine.h"

#include <proton/disposition.h>

#include "gateway/base/encoding.h"

namespace trunkline::amqp {

namespace {

std::string text_or_empty(const char* text) {
  return text == nullptr ? std::string() : printable(text);
}

void settle_as(pn_delivery_t* delivery, std::uint64_t state) {
  pn_delivery_update(delivery, state);
  pn_delivery_settle(delivery);
}

}  // namespace

std::string printable(std::string_view text) {
  std::string result(text.substr(0, kMaxConditionText));
  // The cut may split a character.
  const bool cut = text.size() > result.size();
  if (cut) {
    std::size_t end = result.size();
    while (end > 0 && (static_cast<unsigned char>(result[end - 1]) & 0xC0U) == 0x80U) --end;
    if (end > 0 && static_cast<unsigned char>(result[end - 1]) >= 0xC0U) --end;
    if (result.size() - end < 4) result.resize(end);
  }
  const bool utf8 = is_utf8(result);
  for (char& c : result) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7F || (!utf8 && byte >= 0x80)) c = '?';
  }
  return result;
}

Condition read(pn_condition_t* condition) {
  if (condition == nullptr || !pn_condition_is_set(condition)) return {};
  return {text_or_empty(pn_condition_get_name(condition)), text_or_empty(pn_condition_get_description(condition))};
}

void write(pn_condition_t* condition, const Condition& value) {
  if (!value.set()) return pn_condition_clear(condition);
  pn_condition_set_name(condition, printable(value.name).c_str());
  pn_condition_set_description(condition, printable(value.description).c_str());
}

void accept(pn_delivery_t* delivery) {
  settle_as(delivery, PN_ACCEPTED);
}

void reject(pn_delivery_t* delivery, const Condition& why) {
  write(pn_disposition_condition(pn_delivery_local(delivery)), why);
  settle_as(delivery, PN_REJECTED);
}

void release(pn_delivery_t* delivery) {
  settle_as(delivery, PN_RELEASED);
}

void modify(pn_delivery_t* delivery, bool failed, bool undeliverable_here) {
  auto* local = pn_delivery_local(delivery);
  pn_disposition_set_failed(local, failed);
  pn_disposition_set_undeliverable(local, undeliverable_here);
  settle_as(delivery, PN_MODIFIED);
}

void free_link(pn_link_t* link) {
  pn_link_free(link);
}

void free_session(pn_session_t* session) {
  pn_session_free(session);
}

}  // namespace trunkline::amqp
