// SPDX-License-Identifier: Apache-2.0
// Preloaded into the installed daemon, it plays a bad day of the machine: a wall clock that is wrong and jumps, a disk
// that fails below one folder. The test writes into the file that TRUNKLINE_FAULT_CONTROL names, in place, at any time;
// TRUNKLINE_FAULT_FOLDER is the folder. See tests/support/e2e/faults.py.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timex.h>
#include <unistd.h>

#include <cerrno>
#include <cstdarg>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <ctime>

namespace {

struct Control {
  std::int64_t offset_ms;  // added to the wall clock
  std::int32_t trusted;    // what adjtimex says of it: 1 synchronised, 0 not, -1 the truth
  std::int32_t error;      // errno of every write and sync below the folder; 0: none
};
constexpr Control kNone{0, -1, 0};

const volatile Control& control() {
  static const volatile Control* const mapped = [] {
    const char* path = std::getenv("TRUNKLINE_FAULT_CONTROL");
    const int fd = path == nullptr ? -1 : ::open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return static_cast<const volatile Control*>(&kNone);
    void* at = ::mmap(nullptr, sizeof(Control), PROT_READ, MAP_SHARED, fd, 0);
    ::close(fd);
    return at == MAP_FAILED ? &kNone : static_cast<const volatile Control*>(at);
  }();
  return *mapped;
}

bool below(const char* path) {
  static const char* const folder = std::getenv("TRUNKLINE_FAULT_FOLDER");
  return folder != nullptr && std::strncmp(path, folder, std::strlen(folder)) == 0;
}

// The error that this descriptor answers now, or 0.
int error_of(int fd) {
  const int error = control().error;
  if (error == 0) return 0;
  char link[32] = "/proc/self/fd/";
  char digits[12];
  int length = 0;
  for (int rest = fd; rest > 0 || length == 0; rest /= 10) digits[length++] = static_cast<char>('0' + rest % 10);
  auto* at = link + std::strlen(link);
  while (length > 0) *at++ = digits[--length];
  char path[512] = {};
  if (::readlink(link, path, sizeof path - 1) < 0 || !below(path)) return 0;
  return error;
}

void shift(timespec& time) {
  const auto offset = control().offset_ms;
  const auto nanoseconds = time.tv_nsec + offset % 1000 * 1'000'000;
  time.tv_sec += offset / 1000 + (nanoseconds < 0 ? -1 : nanoseconds / 1'000'000'000);
  time.tv_nsec = (nanoseconds + 1'000'000'000) % 1'000'000'000;
}

timespec wall() {
  timespec now{};
  ::syscall(SYS_clock_gettime, CLOCK_REALTIME, &now);
  shift(now);
  return now;
}

int failed(int error) {
  errno = error;
  return -1;
}

}  // namespace

extern "C" {

int clock_gettime(clockid_t clock, timespec* out) noexcept {
  const auto result = static_cast<int>(::syscall(SYS_clock_gettime, clock, out));
  if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) shift(*out);
  return result;
}
int gettimeofday(timeval* out, void*) noexcept {
  const auto now = wall();
  *out = {now.tv_sec, now.tv_nsec / 1000};
  return 0;
}
time_t time(time_t* out) noexcept {
  const auto now = wall().tv_sec;
  if (out != nullptr) *out = now;
  return now;
}
int adjtimex(timex* out) noexcept {
  const auto result = static_cast<int>(::syscall(SYS_adjtimex, out));
  const int trusted = control().trusted;
  if (trusted < 0) return result;
  out->status = trusted != 0 ? out->status & ~STA_UNSYNC : out->status | STA_UNSYNC;
  return trusted != 0 ? TIME_OK : TIME_ERROR;
}

ssize_t write(int fd, const void* data, size_t size) {
  if (const int error = error_of(fd)) return failed(error);
  return ::syscall(SYS_write, fd, data, size);
}
ssize_t pwrite(int fd, const void* data, size_t size, off_t at) {
  if (const int error = error_of(fd)) return failed(error);
  return ::syscall(SYS_pwrite64, fd, data, size, at);
}
ssize_t pwrite64(int fd, const void* data, size_t size, off64_t at) {
  return pwrite(fd, data, size, at);
}
int fsync(int fd) {
  if (const int error = error_of(fd)) return failed(error);
  return static_cast<int>(::syscall(SYS_fsync, fd));
}
int fdatasync(int fd) {
  if (const int error = error_of(fd)) return failed(error);
  return static_cast<int>(::syscall(SYS_fdatasync, fd));
}
int ftruncate(int fd, off_t size) noexcept {
  if (const int error = error_of(fd)) return failed(error);
  return static_cast<int>(::syscall(SYS_ftruncate, fd, size));
}
int ftruncate64(int fd, off64_t size) noexcept {
  return ftruncate(fd, size);
}

}  // extern "C"
