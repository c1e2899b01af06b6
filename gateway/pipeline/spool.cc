// SPDX-License-Identifier: Apache-2.0
#include "gateway/pipeline/spool.h"

#include <sqlite3.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>

#include "gateway/base/log.h"
#include "gateway/pipeline/spool_impl.h"

namespace trunkline {
namespace {

class Mask {
 public:
  Mask() : before_(::umask(0077)) {}
  ~Mask() { ::umask(before_); }
  Mask(const Mask&) = delete;
  Mask& operator=(const Mask&) = delete;

 private:
  mode_t before_;
};

}  // namespace

Spool::Spool(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Spool::~Spool() = default;

Result<std::unique_ptr<Spool>> Spool::open(const Options& options) {
  std::error_code made;
  if (std::filesystem::create_directories(options.directory, made)) ::chmod(options.directory.c_str(), 0700);
  if (made) return fail(ErrorCode::denied, options.directory + ": " + made.message());
  auto lock = InstanceLock::take(options.directory, InstanceLock::Use::alone);
  if (!lock) return fail(lock.error());
  const Mask mask;
  std::string aside;
  std::string damage = marked_damaged(options.directory) ? "damage was met while it was in use" : "";
  for (;;) {
    if (!damage.empty()) {
      auto moved = trunkline::set_aside(options.directory, options.now.wall);
      if (!moved) return fail(moved.error());
      aside = std::move(*moved);
      log::error("spool_set_aside", {{"file", aside},
                                     {"error", damage},
                                     {"do", "messages in it are not lost yet: keep the file, see OPERATIONS.md"}});
    }
    try {
      auto impl = std::make_unique<Impl>(options);
      impl->lock_.emplace(std::move(*lock));
      impl->set_aside_ = aside;
      if (options.measure_sync) impl->sync_time_ = measure_sync(options.directory);
      return std::unique_ptr<Spool>(new Spool(std::move(impl)));
    } catch (const SQLite::Exception& e) {
      const auto error = from_sqlite(e, spool_path(options.directory));
      if (error.code != ErrorCode::corrupt || !aside.empty()) return fail(error);
      damage = error.message;
    }
  }
}

std::uint64_t Spool::room(std::uint64_t max_bytes) {
  const auto kept = journal_room(max_bytes) + 2 * pack_room(max_bytes);
  return max_bytes <= kept ? 0 : (max_bytes - kept) / 100 * 97;
}
std::uint64_t Spool::batch_bytes(std::uint64_t max_bytes) {
  return journal_pages(max_bytes) * kSpoolPage;
}
std::size_t Spool::batch_count(std::uint64_t max_bytes) {
  return journal_pages(max_bytes);
}

const std::string& Spool::uuid() const {
  return impl_->uuid_;
}
std::uint64_t Spool::run() const {
  return impl_->run_;
}
const std::string& Spool::set_aside() const {
  return impl_->set_aside_;
}
std::optional<std::chrono::microseconds> Spool::sync_time() const {
  return impl_->sync_time_;
}
std::uint64_t Spool::bytes_on_disk() const {
  return trunkline::bytes_on_disk(impl_->options_.directory);
}
Spool::Depth Spool::depth() const {
  Depth out{impl_->index().messages(), impl_->index().bytes(), 0, 0};
  for (const auto& [id, dead] : impl_->dead_) {
    out.dead_letters += dead.messages;
    out.dead_letter_bytes += dead.bytes;
  }
  return out;
}

template <class F>
auto Spool::guarded(F&& act) const -> Result<decltype(std::declval<F&>()())> {
  try {
    return act();
  } catch (const SQLite::Exception& e) {
    impl_->reset_statements();
    auto error = from_sqlite(e, "spool");
    // SQLite says "disk I/O error" for a read-only file system, too.
    if (error.code == ErrorCode::unavailable) {
      if (const auto why = why_no_write(impl_->options_.directory); !why.empty()) error.message += ": " + why;
    }
    if (error.code == ErrorCode::corrupt) mark_damaged(impl_->options_.directory);
    return fail(std::move(error));
  }
}

Result<Spool::Committed> Spool::commit(const SpoolBatch& batch, const Moment& now) {
  return guarded([&] { return impl_->commit(batch, now); });
}

Result<std::vector<MessagePtr>> Spool::read(const DeviceId& device, Position after, std::size_t limit,
                                            std::size_t max_bytes) {
  return guarded([&] { return impl_->messages_->read(device, after, limit, max_bytes); });
}

bool Spool::has_after(const DeviceId& device, Position after) const {
  const auto* found = impl_->index().find(device);
  return found != nullptr && !found->rows.empty() && found->rows.back().position > after.value;
}

std::vector<Position> Spool::oldest(const DeviceId& device, std::uint64_t bytes, std::uint64_t count) const {
  std::vector<Position> out;
  const auto* found = impl_->index().find(device);
  if (found == nullptr) return out;
  std::uint64_t freed = 0;
  for (const auto& row : found->rows) {
    if (freed >= bytes && out.size() >= count) break;
    freed += row.footprint;
    out.push_back({row.position});
  }
  return out;
}

std::vector<Removal> Spool::expired(const std::function<Milliseconds(const DeviceId&)>& max_age, SteadyTime now,
                                    std::size_t limit) const {
  std::vector<Removal> out;
  const auto age = impl_->ages_->age(now);
  for (const auto& [id, device] : impl_->index().devices()) {
    if (device.rows.empty()) continue;
    const auto most = max_age(id);
    if (most <= Milliseconds(0)) continue;
    for (const auto& row : device.rows) {
      if (out.size() >= limit) return out;
      if (impl_->ages_->came(row.position) > age - most) break;
      out.push_back({id, {row.position}, Drop::expired});
    }
  }
  return out;
}

std::optional<Milliseconds> Spool::oldest_age(SteadyTime now) const {
  const auto oldest = impl_->index().oldest();
  if (oldest == 0) return std::nullopt;
  return std::max(Milliseconds(0), impl_->ages_->age(now) - impl_->ages_->came(oldest));
}

Result<bool> Spool::leave(const Moment& now) {
  return guarded([&] {
    impl_->leave(now);
    return true;
  });
}

std::vector<Spool::DeviceDepth> Spool::devices() const {
  std::vector<DeviceDepth> out;
  for (const auto& [id, device] : impl_->index().devices()) {
    DeviceDepth depth{id, device.rows.size(), device.bytes, 0, 0};
    if (const auto dead = impl_->dead_.find(id); dead != impl_->dead_.end()) {
      depth.dead_letters = dead->second.messages;
      depth.dead_letter_bytes = dead->second.bytes;
    }
    if (depth.messages + depth.dead_letters > 0) out.push_back(std::move(depth));
  }
  return out;
}

Result<std::vector<CommandRecord>> Spool::commands() const {
  return guarded([&] { return CommandRecords::all(impl_->db_); });
}
Result<std::vector<KeptCommand>> Spool::kept_commands() const {
  return guarded([&] { return KeptTable::commands(impl_->db_); });
}
Result<std::vector<TwinCopy>> Spool::twins() const {
  return guarded([&] { return KeptTable::twins(impl_->db_); });
}
Result<std::vector<DeadLetter>> Spool::dead_letters(const DeadLetterQuery& query) const {
  return guarded([&] { return DeadLetters::find(impl_->db_, query); });
}
Result<Books> Spool::books() const {
  return guarded([&] { return impl_->books(); });
}

}  // namespace trunkline
