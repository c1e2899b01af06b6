// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "gateway/base/result.h"
#include "gateway/base/secret.h"

namespace trunkline::identity {

// Where the sealing key of a store is.
struct SealingKeyPlace {
  std::string file;
  bool credential = false;  // systemd.exec(5), LoadCredential=: systemd guards it, its mode says nothing
};

// A credential named "sealing-key" wins, because the user of the service cannot read the file it was made from; else
// `key_file`, else "<store>.key". Reads the environment (CREDENTIALS_DIRECTORY).
SealingKeyPlace sealing_key_place(const std::string& store, const std::string& key_file);

// Reads the sealing key: base64 of 32 bytes, in a file that only its owner may read. Fails as not_found, denied (others
// may read it) or corrupt.
Result<Secret> read_sealing_key(const SealingKeyPlace& place);

// Makes one with mode 0600, whole or not at all, and synced. Two processes at the same time end with one key: returns
// the key that is in the file.
Result<Secret> create_sealing_key(const std::string& file);

// "what FILE: reason" for a file whose mode lets group or others in.
Result<void> check_private(const std::string& what, const std::string& file, unsigned mode);

// Root works on the files of the daemon's user: a new file gets the owner of its folder.
Result<void> adopt_folder_owner(int descriptor, const std::string& file);

}  // namespace trunkline::identity
