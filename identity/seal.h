// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "gateway/base/result.h"
#include "gateway/base/secret.h"

namespace trunkline::identity {

// Seals secrets with AES-256-GCM: 12 bytes of random nonce, the ciphertext, 16 bytes of tag. `context` is
// authenticated, not stored: what was sealed for one context does not open in another. A value; any thread.
class Seal {
 public:
  static constexpr std::size_t kKeyBytes = 32;

  explicit Seal(Secret key);  // exactly kKeyBytes

  [[nodiscard]] std::string close(const Secret& secret, std::string_view context) const;
  // corrupt: another key, another context, or damaged bytes.
  [[nodiscard]] Result<Secret> open(std::string_view sealed, std::string_view context) const;

 private:
  Secret key_;
};

}  // namespace trunkline::identity
