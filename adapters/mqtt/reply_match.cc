// SPDX-License-Identifier: Apache-2.0
#include "adapters/mqtt/reply_match.h"

#include <algorithm>

#include "gateway/base/json.h"

namespace trunkline::mqtt {

namespace {

// Nobody needs more to say that a command is done, and parsing is not free.
constexpr std::size_t kMaxJson = 64 * 1024;
constexpr std::size_t kMaxDigits = 20;

std::string_view trimmed(std::string_view text) {
  const auto first = text.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1);
}

std::optional<std::string> json_id(std::string_view text) {
  json::error_code error;
  const auto value = json::parse(json::string_view(text.data(), text.size()), error);
  if (error || !value.is_object()) return std::nullopt;
  const auto* member = value.as_object().if_contains("id");
  if (member == nullptr) return std::nullopt;
  if (member->is_string()) return std::string(member->as_string().c_str(), member->as_string().size());
  if (member->is_int64() && member->as_int64() >= 0) return std::to_string(member->as_int64());
  if (member->is_uint64()) return std::to_string(member->as_uint64());
  return std::nullopt;
}

bool contains(const std::vector<std::string>& ids, std::string_view id) {
  return std::find(ids.begin(), ids.end(), id) != ids.end();
}

}  // namespace

std::optional<std::string> stated_id(std::string_view payload) {
  const auto text = trimmed(payload);
  if (text.empty()) return std::nullopt;
  if (text.size() <= kMaxDigits && std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; })) {
    return std::string(text);
  }
  if (text.front() != '{' || text.size() > kMaxJson) return std::nullopt;
  return json_id(text);
}

bool names_itself(const Reply& reply) {
  return reply.correlation || stated_id(reply.payload);
}

ReplyVerdict match_reply(const Reply& reply, const std::optional<std::string>& outstanding,
                         const std::vector<std::string>& ended) {
  if (reply.correlation) {
    if (outstanding && *reply.correlation == *outstanding) return ReplyVerdict::done;
    return contains(ended, *reply.correlation) ? ReplyVerdict::late : ReplyVerdict::nobody;
  }
  const auto id = stated_id(reply.payload);
  if (id && outstanding && *id == *outstanding) return ReplyVerdict::done;
  if (id && contains(ended, *id)) return ReplyVerdict::late;
  return outstanding ? ReplyVerdict::done : ReplyVerdict::nobody;
}

}  // namespace trunkline::mqtt
