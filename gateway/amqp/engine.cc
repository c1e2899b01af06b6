// SPDX-License-Identifier: Apache-2.0
#include "gateway/amqp/engine.h"

#include <proton/codec.h>
#include <proton/disposition.h>

#include "gateway/base/encoding.h"

namespace trunkline::amqp {

namespace {

std::string text_or_empty(const char* text) {
  return text == nullptr ? std::string() : printable(text);
}

std::string text_or_empty(pn_bytes_t bytes) {
  return bytes.start == nullptr ? std::string() : printable({bytes.start, bytes.size});
}

// The value under the cursor as text; empty if it is neither text nor a number.
std::string scalar_text(pn_data_t* data) {
  switch (pn_data_type(data)) {
    case PN_STRING:
      return text_or_empty(pn_data_get_string(data));
    case PN_SYMBOL:
      return text_or_empty(pn_data_get_symbol(data));
    case PN_BOOL:
      return pn_data_get_bool(data) ? "true" : "false";
    case PN_UBYTE:
      return std::to_string(pn_data_get_ubyte(data));
    case PN_BYTE:
      return std::to_string(pn_data_get_byte(data));
    case PN_USHORT:
      return std::to_string(pn_data_get_ushort(data));
    case PN_SHORT:
      return std::to_string(pn_data_get_short(data));
    case PN_UINT:
      return std::to_string(pn_data_get_uint(data));
    case PN_INT:
      return std::to_string(pn_data_get_int(data));
    case PN_ULONG:
      return std::to_string(pn_data_get_ulong(data));
    case PN_LONG:
      return std::to_string(pn_data_get_long(data));
    case PN_FLOAT:
      return std::to_string(pn_data_get_float(data));
    case PN_DOUBLE:
      return std::to_string(pn_data_get_double(data));
    default:
      return {};
  }
}

void read_info(pn_data_t* data, Condition& condition) {
  if (data == nullptr) return;
  pn_data_rewind(data);
  if (!pn_data_next(data) || pn_data_type(data) != PN_MAP || !pn_data_enter(data)) return;
  while (condition.info.size() < kMaxConditionInfo && pn_data_next(data)) {
    auto key = scalar_text(data);
    if (!pn_data_next(data)) break;
    auto value = scalar_text(data);
    if (!key.empty() && !value.empty()) condition.info.insert_or_assign(std::move(key), std::move(value));
  }
  pn_data_exit(data);
  pn_data_rewind(data);
}

void write_info(pn_data_t* data, const Condition& condition) {
  if (data == nullptr) return;
  pn_data_clear(data);
  if (condition.info.empty()) return;
  pn_data_put_map(data);
  pn_data_enter(data);
  for (const auto& [key, value] : condition.info) {
    pn_data_put_symbol(data, pn_bytes(key.size(), key.data()));
    pn_data_put_string(data, pn_bytes(value.size(), value.data()));
  }
  pn_data_exit(data);
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
  Condition result{text_or_empty(pn_condition_get_name(condition)),
                   text_or_empty(pn_condition_get_description(condition))};
  read_info(pn_condition_info(condition), result);
  return result;
}

void write(pn_condition_t* condition, const Condition& value) {
  if (!value.set()) return pn_condition_clear(condition);
  pn_condition_set_name(condition, printable(value.name).c_str());
  pn_condition_set_description(condition, printable(value.description).c_str());
  write_info(pn_condition_info(condition), value);
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
