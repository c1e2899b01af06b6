// SPDX-License-Identifier: Apache-2.0
#include "tests/support/cut_disk.h"

#include <sqlite3.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>
#include <stdexcept>
#include <vector>

namespace trunkline::test {

struct CutDisk::State {
  struct Write {
    std::int64_t at = 0;
    std::string bytes;
    bool truncates = false;  // to `at`
  };
  struct File {
    std::string synced;
    std::vector<Write> since;
    bool exists = false;  // a synced name; a new file is there once it was synced itself
  };
  std::map<std::string, File> files;
  std::uint64_t left = ~0ULL;
  bool cut = false;
  int write_fault = 0;
  int sync_fault = 0;
  std::uint64_t syncs = 0;
  sqlite3_vfs* below = nullptr;
  sqlite3_vfs vfs{};

  // Counts one operation; false when there is no power for it.
  bool power() {
    if (cut) return false;
    if (left == 0) cut = true;
    if (!cut) --left;
    return !cut;
  }
  static void apply(std::string& image, const Write& write, std::size_t length) {
    if (write.truncates) {
      image.resize(static_cast<std::size_t>(write.at));
      return;
    }
    const auto end = static_cast<std::size_t>(write.at) + length;
    if (image.size() < end) image.resize(end);
    image.replace(static_cast<std::size_t>(write.at), length, write.bytes, 0, length);
  }
};

namespace {

using State = CutDisk::State;

struct File {
  sqlite3_file base;
  State* state;
  State::File* mine;  // null: a temporary file
  sqlite3_file* real() { return reinterpret_cast<sqlite3_file*>(this + 1); }
};
File* of(sqlite3_file* file) {
  return reinterpret_cast<File*>(file);
}

int close_file(sqlite3_file* file) {
  auto* real = of(file)->real();
  return real->pMethods != nullptr ? real->pMethods->xClose(real) : SQLITE_OK;
}
int read_file(sqlite3_file* file, void* into, int size, sqlite3_int64 at) {
  if (of(file)->state->cut) return SQLITE_IOERR_READ;
  return of(file)->real()->pMethods->xRead(of(file)->real(), into, size, at);
}
int write_file(sqlite3_file* file, const void* from, int size, sqlite3_int64 at) {
  auto& state = *of(file)->state;
  if (state.write_fault != 0) return state.write_fault;
  const bool powered = state.power();
  // The write under which the power goes may reach the medium in part.
  if (of(file)->mine != nullptr) {
    of(file)->mine->since.push_back(
        {at, std::string(static_cast<const char*>(from), static_cast<std::size_t>(size)), false});
  }
  if (!powered) return SQLITE_IOERR_WRITE;
  return of(file)->real()->pMethods->xWrite(of(file)->real(), from, size, at);
}
int truncate_file(sqlite3_file* file, sqlite3_int64 size) {
  auto& state = *of(file)->state;
  if (state.write_fault != 0) return state.write_fault;
  if (!state.power()) return SQLITE_IOERR_TRUNCATE;
  if (of(file)->mine != nullptr) of(file)->mine->since.push_back({size, {}, true});
  return of(file)->real()->pMethods->xTruncate(of(file)->real(), size);
}
int sync_file(sqlite3_file* file, int flags) {
  auto& state = *of(file)->state;
  if (state.sync_fault != 0) return state.sync_fault;
  if (!state.power()) return SQLITE_IOERR_FSYNC;
  ++state.syncs;
  if (auto* mine = of(file)->mine) {
    for (const auto& write : mine->since) State::apply(mine->synced, write, write.bytes.size());
    mine->since.clear();
    mine->exists = true;
  }
  (void)flags;  // the medium below is our own image; the real sync would only take time
  return SQLITE_OK;
}
int size_of_file(sqlite3_file* file, sqlite3_int64* size) {
  return of(file)->real()->pMethods->xFileSize(of(file)->real(), size);
}
int lock_file(sqlite3_file* file, int level) {
  return of(file)->real()->pMethods->xLock(of(file)->real(), level);
}
int unlock_file(sqlite3_file* file, int level) {
  return of(file)->real()->pMethods->xUnlock(of(file)->real(), level);
}
int check_lock(sqlite3_file* file, int* out) {
  return of(file)->real()->pMethods->xCheckReservedLock(of(file)->real(), out);
}
int control_file(sqlite3_file* file, int op, void* argument) {
  return of(file)->real()->pMethods->xFileControl(of(file)->real(), op, argument);
}
int sector_size(sqlite3_file*) {
  return 512;
}
int characteristics(sqlite3_file*) {
  return 0;  // promises nothing: no atomic writes, no safe append, no power-safe overwrite
}

// Version 1: no shared memory and no mapping, so that every byte passes through here.
const sqlite3_io_methods kMethods = {
    1,         close_file,  read_file,  write_file,   truncate_file, sync_file,       size_of_file,
    lock_file, unlock_file, check_lock, control_file, sector_size,   characteristics, nullptr,
    nullptr,   nullptr,     nullptr,    nullptr,      nullptr};

int open_file(sqlite3_vfs* vfs, const char* name, sqlite3_file* file, int flags, int* out_flags) {
  auto& state = *static_cast<State*>(vfs->pAppData);
  auto* self = of(file);
  self->base.pMethods = nullptr;
  self->state = &state;
  self->mine = nullptr;
  if (state.cut) return SQLITE_CANTOPEN;
  const int result = state.below->xOpen(state.below, name, self->real(), flags, out_flags);
  if (result != SQLITE_OK) return result;
  if (name != nullptr) {
    auto [found, fresh] = state.files.try_emplace(name);
    if (fresh) {
      std::ifstream now(name, std::ios::binary);
      found->second.synced.assign(std::istreambuf_iterator<char>(now), {});
      found->second.exists = !found->second.synced.empty();
    }
    self->mine = &found->second;
  }
  self->base.pMethods = &kMethods;
  return SQLITE_OK;
}
int delete_file(sqlite3_vfs* vfs, const char* name, int sync) {
  auto& state = *static_cast<State*>(vfs->pAppData);
  if (!state.power()) return SQLITE_IOERR_DELETE;
  state.files.erase(name);
  return state.below->xDelete(state.below, name, sync);
}
int access_file(sqlite3_vfs* vfs, const char* name, int flags, int* out) {
  auto* below = static_cast<State*>(vfs->pAppData)->below;
  return below->xAccess(below, name, flags, out);
}
int full_name(sqlite3_vfs* vfs, const char* name, int size, char* out) {
  auto* below = static_cast<State*>(vfs->pAppData)->below;
  return below->xFullPathname(below, name, size, out);
}

}  // namespace

CutDisk::CutDisk() : state_(std::make_unique<State>()) {
  sqlite3_initialize();
  auto& state = *state_;
  state.below = sqlite3_vfs_find(nullptr);
  state.vfs = *state.below;
  state.vfs.szOsFile = static_cast<int>(sizeof(File)) + state.below->szOsFile;
  state.vfs.pNext = nullptr;
  state.vfs.zName = "cut";
  state.vfs.pAppData = state_.get();
  state.vfs.xOpen = open_file;
  state.vfs.xDelete = delete_file;
  state.vfs.xAccess = access_file;
  state.vfs.xFullPathname = full_name;
  if (sqlite3_vfs_register(&state.vfs, 1) != SQLITE_OK) throw std::runtime_error("the VFS is refused");
}

CutDisk::~CutDisk() {
  sqlite3_vfs_unregister(&state_->vfs);
  sqlite3_vfs_register(state_->below, 1);
}

void CutDisk::cut_after(std::uint64_t operations) {
  state_->left = operations;
}
bool CutDisk::is_cut() const {
  return state_->cut;
}
void CutDisk::fail_writes(int code) {
  state_->write_fault = code;
}
void CutDisk::fail_syncs(int code) {
  state_->sync_fault = code;
}
std::uint64_t CutDisk::syncs() const {
  return state_->syncs;
}

void CutDisk::restore(std::uint64_t seed) {
  std::mt19937_64 random(seed);
  const auto pick = [&random](std::uint64_t below) {
    return std::uniform_int_distribution<std::uint64_t>(0, below - 1)(random);
  };
  for (auto& [name, file] : state_->files) {
    auto image = file.synced;
    // A third of the cuts lose everything that was not synced, the others keep some of it, not in its order.
    auto writes = pick(3) == 0 ? std::vector<State::Write>{} : std::move(file.since);
    std::shuffle(writes.begin(), writes.end(), random);
    for (const auto& write : writes) {
      if (pick(2) == 0) continue;
      State::apply(image, write, pick(4) == 0 && !write.truncates ? pick(write.bytes.size() + 1) : write.bytes.size());
    }
    if (!file.exists && pick(2) == 0) {
      std::filesystem::remove(name);
      continue;
    }
    std::ofstream out(name, std::ios::binary | std::ios::trunc);
    out.write(image.data(), static_cast<std::streamsize>(image.size()));
  }
  state_->files.clear();
  state_->cut = false;
  state_->left = ~0ULL;
}

}  // namespace trunkline::test
