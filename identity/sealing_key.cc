// SPDX-License-Identifier: Apache-2.0
#include "identity/sealing_key.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <utility>

#include "gateway/base/crypto.h"
#include "gateway/base/encoding.h"
#include "identity/seal.h"

namespace trunkline::identity {
namespace {

class Descriptor {
 public:
  explicit Descriptor(int number) : number_(number) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (number_ >= 0) close(number_);
  }
  [[nodiscard]] int get() const { return number_; }

 private:
  int number_;
};

std::string folder_of(const std::string& file) {
  const auto slash = file.rfind('/');
  return slash == std::string::npos ? "." : slash == 0 ? "/" : file.substr(0, slash);
}

tl::unexpected<Error> errno_failure(const std::string& what, const std::string& file, int number) {
  const auto code = number == ENOENT                       ? ErrorCode::not_found
                    : number == EACCES || number == EPERM  ? ErrorCode::denied
                    : number == ENOSPC || number == EDQUOT ? ErrorCode::exhausted
                                                           : ErrorCode::unavailable;
  return fail(code, what + " " + file + ": " + errno_text(number));
}

Result<void> write_all(int descriptor, std::string_view text, const std::string& file) {
  while (!text.empty()) {
    const auto count = write(descriptor, text.data(), text.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return errno_failure("cannot write the sealing key", file, errno);
    text.remove_prefix(static_cast<std::size_t>(count));
  }
  return {};
}

}  // namespace

Result<void> check_private(const std::string& what, const std::string& file, unsigned mode) {
  if ((mode & (S_IRWXG | S_IRWXO)) == 0) return {};
  return fail(ErrorCode::denied, what + " " + file + ": others than its owner may use it; chmod 600 " + file);
}

Result<void> adopt_folder_owner(int descriptor, const std::string& file) {
  if (geteuid() != 0) return {};
  struct stat folder {};
  if (stat(folder_of(file).c_str(), &folder) != 0 || fchown(descriptor, folder.st_uid, folder.st_gid) != 0) {
    return errno_failure("cannot give the folder's owner the file", file, errno);
  }
  return {};
}

SealingKeyPlace sealing_key_place(const std::string& store, const std::string& key_file) {
  if (const char* folder = std::getenv("CREDENTIALS_DIRECTORY"); folder != nullptr && *folder == '/') {
    auto credential = std::string(folder) + "/sealing-key";
    if (access(credential.c_str(), F_OK) == 0) return {std::move(credential), true};
  }
  return {key_file.empty() ? store + ".key" : key_file, false};
}

Result<Secret> read_sealing_key(const SealingKeyPlace& place) {
  const auto& file = place.file;
  const Descriptor descriptor(open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (descriptor.get() < 0) return errno_failure("cannot read the sealing key", file, errno);
  struct stat status {};
  if (fstat(descriptor.get(), &status) != 0) return errno_failure("cannot read the sealing key", file, errno);
  if (!S_ISREG(status.st_mode)) return fail(ErrorCode::corrupt, "the sealing key " + file + ": no regular file");
  if (!place.credential) {
    if (auto good = check_private("the sealing key", file, status.st_mode); !good) return fail(good.error());
  }
  std::array<char, 64> buffer{};
  const auto count = read(descriptor.get(), buffer.data(), buffer.size());
  if (count < 0) return errno_failure("cannot read the sealing key", file, errno);
  Secret text(std::string(buffer.data(), static_cast<std::size_t>(count)));
  buffer.fill('\0');
  auto line = text.reveal();
  while (!line.empty() && (line.back() == '\n' || line.back() == '\r')) line.remove_suffix(1);
  auto key = base64_decode(line);
  if (!key || key->size() != Seal::kKeyBytes) {
    return fail(ErrorCode::corrupt, "the sealing key " + file + ": not base64 of 32 bytes");
  }
  return Secret(std::move(*key));
}

Result<Secret> create_sealing_key(const std::string& file) {
  const Secret key(random_bytes(Seal::kKeyBytes));
  const Secret text(base64_encode(key.reveal()) + "\n");
  const auto draft = file + "." + random_uuid();
  {
    const Descriptor descriptor(open(draft.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    if (descriptor.get() < 0) return errno_failure("cannot make the sealing key", file, errno);
    auto good = write_all(descriptor.get(), text.reveal(), file);
    if (good) good = adopt_folder_owner(descriptor.get(), file);
    if (good && fsync(descriptor.get()) != 0) good = errno_failure("cannot sync the sealing key", file, errno);
    if (!good) {
      unlink(draft.c_str());
      return fail(good.error());
    }
  }
  // link() and not rename(): a key that another process made in between stays.
  const int failed = link(draft.c_str(), file.c_str()) != 0 ? errno : 0;
  unlink(draft.c_str());
  if (failed != 0 && failed != EEXIST) return errno_failure("cannot make the sealing key", file, failed);
  const Descriptor folder(open(folder_of(file).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (folder.get() < 0 || fsync(folder.get()) != 0) {
    return errno_failure("cannot sync the folder of the sealing key", file, errno);
  }
  return read_sealing_key({file});
}

}  // namespace trunkline::identity
