// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>

#include "gateway/pipeline/questions.h"

namespace trunkline {

// A spool that no gateway uses, read; its content is never changed: for the operator of a gateway that is down. Holds
// the lock against a start meanwhile. Main thread of the CLI. exists: a gateway uses it; not_found: there is none;
// invalid: of another version than this program.
class SpoolReader {
 public:
  static Result<std::unique_ptr<SpoolReader>> open(const std::string& directory, std::uint64_t max_bytes);
  ~SpoolReader();

  // Valid as long as the reader.
  [[nodiscard]] Kept kept() const;

 private:
  class Impl;
  explicit SpoolReader(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace trunkline
