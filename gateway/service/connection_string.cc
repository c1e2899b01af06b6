// SPDX-License-Identifier: Apache-2.0
#include "gateway/service/connection_string.h"

#include <map>

#include "gateway/base/encoding.h"

namespace trunkline::service {

Result<ConnectionString> ConnectionString::parse(std::string_view text) {
  std::map<std::string, std::string, std::less<>> parts;
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r' || text.back() == ' ')) text.remove_suffix(1);
  while (!text.empty()) {
    const auto part = text.substr(0, text.find(';'));
    text.remove_prefix(std::min(text.size(), part.size() + 1));
    if (part.empty()) continue;
    const auto equals = part.find('=');
    if (equals == std::string_view::npos) return fail(ErrorCode::invalid, "the connection string has a part without =");
    parts.emplace(part.substr(0, equals), part.substr(equals + 1));
  }
  for (const auto* name : {"HostName", "SharedAccessKeyName", "SharedAccessKey"}) {
    if (parts[name].empty()) {
      return fail(ErrorCode::invalid, "the connection string has no " + std::string(name) +
                                          "; take the one of a shared access policy of the hub, not a device's");
    }
  }
  auto key = base64_decode(parts["SharedAccessKey"]);
  if (!key) return fail(ErrorCode::invalid, "the connection string's SharedAccessKey is no base64");
  return ConnectionString{parts["HostName"], parts["SharedAccessKeyName"], Secret(std::move(*key))};
}

}  // namespace trunkline::service
