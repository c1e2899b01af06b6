// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>

namespace trunkline::test {

// A disk whose power can be cut, and that can fail, under SQLite: a VFS of its own in front of the system's, the
// default one while this object lives. It keeps, for each file, what was synced and every write since. One at a time.
class CutDisk {
 public:
  CutDisk();
  ~CutDisk();
  CutDisk(const CutDisk&) = delete;
  CutDisk& operator=(const CutDisk&) = delete;

  // The power goes after so many further writes, cuts and syncs: from then on nothing works.
  void cut_after(std::uint64_t operations);
  [[nodiscard]] bool is_cut() const;
  // Every file becomes what the medium has: what was synced, and of the writes since then a random part, in any order,
  // the last one perhaps torn within a sector. Only without open databases; power is back afterwards.
  void restore(std::uint64_t seed);

  // What every write (or sync) answers from now on: an SQLite result code, 0 for none.
  void fail_writes(int code);
  void fail_syncs(int code);
  [[nodiscard]] std::uint64_t syncs() const;

  struct State;

 private:
  std::unique_ptr<State> state_;
};

}  // namespace trunkline::test
