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

// Reads the header "id,primary,secondary,psk" (the last two may be left out) and a device per record: RFC 4180 with
// quotes, LF or CRLF, a byte order mark is skipped. Keys are base64, psk is text, "hex:…" or "base64:…". Pure.
CsvIdentities parse_identities(std::string_view text);

}  // namespace trunkline::identity
