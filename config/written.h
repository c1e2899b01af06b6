// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>

#include "config/document.h"
#include "gateway/mapping/device_map.h"

namespace trunkline::config {

// A table as options and values in one canonical form, whatever way it was written: dotted or in brackets, with or
// without comments. For showing and comparing, not for parsing. Pure.
std::shared_ptr<const WrittenMap> written_of(const Table& table);

// A string as it stands in TOML.
std::string toml_text(std::string_view value);

}  // namespace trunkline::config
