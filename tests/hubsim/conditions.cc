// SPDX-License-Identifier: Apache-2.0
#include "tests/hubsim/conditions.h"

#include <proton/codec.h>
#include <proton/delivery.h>

#include "gateway/base/crypto.h"

namespace trunkline::hubsim {
namespace {

pn_bytes_t bytes(const std::string& text) {
  return pn_bytes(text.size(), text.data());
}

}  // namespace

void write_info(pn_condition_t* condition, const ConditionInfo& info) {
  if (info.empty()) return;
  auto* data = pn_condition_info(condition);
  pn_data_clear(data);
  pn_data_put_map(data);
  pn_data_enter(data);
  for (const auto& [name, value] : info) {
    pn_data_put_symbol(data, bytes(name));
    if (const auto* text = std::get_if<std::string>(&value)) {
      pn_data_put_string(data, bytes(*text));
    } else {
      pn_data_put_int(data, std::get<std::int32_t>(value));
    }
  }
  pn_data_exit(data);
}

std::string error_text(int code, std::string_view message, WallTime now) {
  return R"({"errorCode":)" + std::to_string(code) + R"(,"trackingId":")" + random_uuid() + R"(","message":")" +
         std::string(message) + R"(","timestampUtc":")" + to_rfc3339(now) + R"("})";
}

amqp::Condition throttled_condition(WallTime now) {
  return {"com.microsoft:device-container-throttled", error_text(429001, "Throttled, please retry later", now)};
}

ConditionInfo retry_info(Milliseconds retry_after) {
  if (retry_after <= Milliseconds(0)) return {};
  return {{"retry-after", static_cast<std::int32_t>(std::chrono::ceil<std::chrono::seconds>(retry_after).count())},
          {"retry-after-ms", static_cast<std::int32_t>(retry_after.count())}};
}

void reject(pn_delivery_t* delivery, const amqp::Condition& why, const ConditionInfo& info) {
  auto* condition = pn_disposition_condition(pn_delivery_local(delivery));
  amqp::write(condition, why);
  write_info(condition, info);
  pn_delivery_update(delivery, PN_REJECTED);
  pn_delivery_settle(delivery);
}

}  // namespace trunkline::hubsim
