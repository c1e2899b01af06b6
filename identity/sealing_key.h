// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "gateway/base/result.h"
#include "gateway/base/secret.h"

namespace trunkline::identity {

// Reads the sealing key: base64 of 32 bytes, in a file that only its owner may read. Fails as not_found, denied (others
// may read it) or corrupt.
Result<Secret> read_sealing_key(const std::string& file);

// Makes one with mode 0600, whole or not at all, and synced. Two processes at the same time end with one key: returns
// the key that is in the file.
Result<Secret> create_sealing_key(const std::string& file);

// "what FILE: reason" for a file whose mode lets group or others in.
Result<void> check_private(const std::string& what, const std::string& file, unsigned mode);

// Root works on the files of the daemon's user: a new file gets the owner of its folder.
Result<void> adopt_folder_owner(int descriptor, const std::string& file);

}  // namespace trunkline::identity
