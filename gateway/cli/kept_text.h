// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "gateway/base/json.h"

namespace trunkline::cli {

// Answers of the control socket as a person reads them; members that are missing are left out. Pure.
std::string ledger_text(const json::object& ledger);
std::string spool_text(const json::object& spool);
std::string dead_letters_text(const json::array& letters);
std::string dead_letter_text(const json::object& letter);

}  // namespace trunkline::cli
