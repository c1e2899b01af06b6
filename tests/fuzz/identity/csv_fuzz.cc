// SPDX-License-Identifier: Apache-2.0
#include <cstdint>
#include <string_view>

#include "gateway/base/check.h"
#include "identity/csv_import.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(bytes), size);
  const auto import = trunkline::identity::parse_identities(text);
  std::size_t last = 0;
  for (const auto& problem : import.problems) {
    TRUNKLINE_CHECK(problem.line >= last && problem.line > 0, "problems are in order of lines");
    last = problem.line;
  }
  for (const auto& identity : import.identities) {
    TRUNKLINE_CHECK(identity.primary.reveal().size() >= 16, "an imported key is long enough");
  }
  return 0;
}
