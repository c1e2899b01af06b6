// SPDX-License-Identifier: Apache-2.0
#include "gateway/pipeline/spool_file.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <filesystem>

namespace trunkline {
namespace {

// The hub's largest message, in pages, twice: once more for what is around it.
constexpr std::uint64_t kLargest = 2 * 256 * 1024 / kSpoolPage;

std::string mark_path(const std::string& directory) {
  return directory + "/spool.damaged";
}

void sync_directory(const std::string& directory) {
  const int fd = ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return;
  ::fsync(fd);
  ::close(fd);
}

}  // namespace

std::uint64_t journal_pages(std::uint64_t max_bytes) {
  return std::clamp<std::uint64_t>(max_bytes / 16 / kSpoolPage, 16, 1000);
}

std::uint64_t journal_room(std::uint64_t max_bytes) {
  const auto pages = journal_pages(max_bytes);
  return (pages + std::max(3 * pages, kLargest)) * kSpoolPage;
}

std::uint64_t pack_room(std::uint64_t max_bytes) {
  return std::clamp<std::uint64_t>(max_bytes / 32, 16 * kSpoolPage, 512 * kSpoolPage);
}

std::string spool_path(const std::string& directory) {
  return directory + "/spool.db";
}

Result<InstanceLock> InstanceLock::take(const std::string& directory, Use use) {
  const auto path = directory + "/spool.lock";
  const int flags = use == Use::alone ? O_RDWR | O_CREAT : O_RDONLY;
  const int fd = ::open(path.c_str(), flags | O_CLOEXEC, 0600);
  if (fd < 0) {
    const auto code = errno == EROFS || errno == ENOSPC ? ErrorCode::unavailable : ErrorCode::denied;
    const auto error = errno;
    const bool foreign = error == EACCES || error == EPERM;
    return fail(error == ENOENT ? ErrorCode::not_found : code,
                path + ": " + errno_text(error) +
                    (foreign ? "; the folder and all in it must belong to the user that runs trunkline" : ""));
  }
  InstanceLock lock(fd);
  if (::flock(fd, (use == Use::alone ? LOCK_EX : LOCK_SH) | LOCK_NB) != 0) {
    return fail(ErrorCode::exists,
                path + ": another trunkline uses this spool; stop it first (systemctl status trunkline)");
  }
  return lock;
}

InstanceLock::~InstanceLock() {
  if (fd_ >= 0) ::close(fd_);
}

Error from_sqlite(const SQLite::Exception& e, const std::string& what) {
  ErrorCode code = ErrorCode::internal;
  switch (e.getErrorCode()) {
    case SQLITE_FULL:
      code = ErrorCode::exhausted;
      break;
    case SQLITE_IOERR:
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_READONLY:
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
      code = ErrorCode::unavailable;
      break;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      code = ErrorCode::corrupt;
      break;
    case SQLITE_MISMATCH:
      code = ErrorCode::invalid;
      break;
    default:
      break;
  }
  std::string text = what + ": " + e.what();
  if (e.getErrorCode() == SQLITE_BUSY || e.getErrorCode() == SQLITE_LOCKED) {
    text += "; another program has the file open, end it (fuser " + what + " names it)";
  }
  return Error{code, std::move(text)};
}

Result<std::string> set_aside(const std::string& directory, WallTime now) {
  const auto path = spool_path(directory);
  const auto stem = path + ".damaged-" + to_rfc3339(now);
  auto target = stem;
  for (int i = 2; std::filesystem::exists(target); ++i) target = stem + "-" + std::to_string(i);
  // The journal first: a database without it is older, a journal without its database would be replayed into the next.
  const auto journal = path + "-wal";
  if (std::filesystem::exists(journal) && std::rename(journal.c_str(), (target + "-wal").c_str()) != 0) {
    return fail(ErrorCode::unavailable, journal + ": " + errno_text(errno));
  }
  if (std::filesystem::exists(path) && std::rename(path.c_str(), target.c_str()) != 0) {
    return fail(ErrorCode::unavailable, path + ": " + errno_text(errno));
  }
  ::unlink(mark_path(directory).c_str());
  sync_directory(directory);
  return target;
}

void mark_damaged(const std::string& directory) {
  const int fd = ::open(mark_path(directory).c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  if (fd >= 0) ::close(fd);
  sync_directory(directory);
}

bool marked_damaged(const std::string& directory) {
  return std::filesystem::exists(mark_path(directory));
}

std::string why_no_write(const std::string& directory) {
  const auto path = directory + "/spool.probe";
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) return errno_text(errno);
  ::unlink(path.c_str());
  const bool works = ::write(fd, "x", 1) == 1 && ::fdatasync(fd) == 0;
  const int error = works ? 0 : errno;
  ::close(fd);
  return works ? std::string() : errno_text(error);
}

std::chrono::microseconds measure_sync(const std::string& directory) {
  const auto path = directory + "/spool.probe";
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) return {};
  ::unlink(path.c_str());
  std::array<std::chrono::steady_clock::duration, 5> times{};
  const std::string page(kSpoolPage, 'x');
  for (auto& time : times) {
    const auto before = std::chrono::steady_clock::now();
    if (::pwrite(fd, page.data(), page.size(), 0) < 0 || ::fdatasync(fd) != 0) break;
    time = std::chrono::steady_clock::now() - before;
  }
  ::close(fd);
  std::sort(times.begin(), times.end());
  return std::chrono::ceil<std::chrono::microseconds>(times[times.size() / 2]);
}

std::uint64_t bytes_on_disk(const std::string& directory) {
  std::uint64_t bytes = 0;
  for (const auto* suffix : {"", "-wal"}) {
    struct stat found {};
    if (::stat((spool_path(directory) + suffix).c_str(), &found) == 0)
      bytes += static_cast<std::uint64_t>(found.st_size);
  }
  return bytes;
}

}  // namespace trunkline
