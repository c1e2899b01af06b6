// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <iosfwd>
#include <string>

#include "gateway/base/result.h"
#include "gateway/base/secret.h"

namespace trunkline::cli {

// The text of a file, or of `in` for "-", at most `most` bytes.
Result<Secret> read_secret_text(const std::string& file, std::istream& in, std::size_t most);

// May others than its owner read the file? Not for what is no regular file.
bool others_may_read(const std::string& file);

// Overwrites the values of --key and --connection-string in the arguments, so that a process list shows them no longer.
void wipe_key_arguments(int argc, char** argv);

}  // namespace trunkline::cli
