// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <SQLiteCpp/SQLiteCpp.h>

#include <cstdint>
#include <string>
#include <utility>

#include "gateway/base/clock.h"
#include "gateway/base/result.h"

// What concerns the spool's files as files: the lock, the names, the room on disk, SQLite's faults. Store thread, or
// the main thread before it starts.
namespace trunkline {

inline constexpr std::uint64_t kSpoolPage = 4096;

// The journal is copied back once it has so many pages, and one transaction may write twice as many; both are kept free
// of messages, so that the files together stay under the cap (D-06). One message of the largest size always fits.
std::uint64_t journal_pages(std::uint64_t max_bytes);
std::uint64_t journal_room(std::uint64_t max_bytes);  // bytes
// How much packs may take (message_table.h); as much again is kept free for one that is being written.
std::uint64_t pack_room(std::uint64_t max_bytes);

// flock() on a file beside the database: held for the life of the process, released by the kernel whatever happens.
class InstanceLock {
 public:
  enum class Use { alone, shared };  // shared: readers of a file that no gateway uses
  // exists: another process holds it; denied: the file cannot be opened, and why.
  static Result<InstanceLock> take(const std::string& directory, Use use);
  InstanceLock(InstanceLock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  InstanceLock& operator=(InstanceLock&&) = delete;
  ~InstanceLock();

 private:
  explicit InstanceLock(int fd) : fd_(fd) {}
  int fd_;
};

std::string spool_path(const std::string& directory);

// exhausted: the disk or the file's room is full; unavailable: I/O, read-only or locked by another program; corrupt:
// damaged; invalid: of a newer version.
Error from_sqlite(const SQLite::Exception& e, const std::string& what);

// Renames the database and its journal to "<name>.damaged-<time>", and returns the new name. Nothing is ever deleted.
Result<std::string> set_aside(const std::string& directory, WallTime now);

// A mark that the next opening sets the file aside, because damage was met while it was in use.
void mark_damaged(const std::string& directory);
bool marked_damaged(const std::string& directory);

// What the system says to a small synced write there; empty if it works.
std::string why_no_write(const std::string& directory);

// How long a 4 KiB write takes to reach the medium there: the middle of five.
std::chrono::microseconds measure_sync(const std::string& directory);

// Sizes of the database and its journal together, as they are now.
std::uint64_t bytes_on_disk(const std::string& directory);

}  // namespace trunkline
