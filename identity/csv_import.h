// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "identity/identity_store.h"

namespace trunkline::identity {

// What is wrong in one line of the file, never with a key in it.
struct CsvProblem {
  std::size_t line = 0;
  std::string message;
};

struct CsvIdentities {
  std::vector<Identity> identities;  // to be stored only without problems
  std::vector<CsvProblem> problems;  // at most kMaxCsvProblems, then one that says so
};

inline constexpr std::size_t kMaxCsvBytes = 64 * 1024 * 1024;
inline constexpr std::size_t kMaxCsvProblems = 1000;

// A registry's export is JSON, anything else is taken for CSV.
bool is_registry_export(std::string_view text);

// Reads the identities of a registry's export: a JSON array of device objects, or one object a line. Of each,
// "deviceId" or "id", perhaps "moduleId", "status", and the keys in authentication.symmetricKey. Pure; takes no memory
// beyond what one object needs, and the result.
CsvIdentities parse_registry(std::string_view text);

// Reads the header "id,primary,secondary,psk" (the last two may be left out) and a device per record: RFC 4180 with
// quotes, LF or CRLF, a byte order mark is skipped. Keys are base64, psk is text, "hex:…" or "base64:…". Pure.
CsvIdentities parse_identities(std::string_view text);

}  // namespace trunkline::identity
