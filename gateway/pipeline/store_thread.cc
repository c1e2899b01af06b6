// SPDX-License-Identifier: Apache-2.0
#include "gateway/pipeline/store_thread.h"

#include <pthread.h>

#include <exception>
#include <utility>

#include "gateway/base/check.h"

namespace trunkline {
namespace {
constexpr Milliseconds kRetry{250};
}

StoreThread::StoreThread(Store& store, Capacity& capacity, const Clock& clock, ReadHandler on_read)
    : store_(store), capacity_(capacity), clock_(clock), on_read_(std::move(on_read)) {
  const auto wake = [this] {
    {
      std::lock_guard lock(mutex_);
      filled_ = true;
    }
    wake_.notify_one();
  };
  items_.set_wake(wake);
  questions_.set_wake(wake);
}

StoreThread::~StoreThread() {
  stop();
}

void StoreThread::start() {
  thread_ = std::thread([this] {
    pthread_setname_np(pthread_self(), "store");
    try {
      run();
    } catch (const std::exception& e) {
      check_failed("no exception reaches the store thread's end", e.what(), __FILE__, __LINE__);
    }
  });
}

void StoreThread::stop() {
  if (!thread_.joinable()) return;
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

void StoreThread::run() {
  std::vector<StoreItem> items;
  std::vector<std::function<void(Store&)>> questions;
  bool failed = false;
  auto again = kNever;
  for (;;) {
    bool stopping = false;
    {
      std::unique_lock lock(mutex_);
      const auto ready = [this] { return filled_ || stopping_; };
      if (failed) {
        wake_.wait_for(lock, kRetry, [this] { return stopping_; });
      } else if (again == kNever) {
        wake_.wait(lock, ready);
      } else {
        wake_.wait_until(lock, again, ready);
      }
      filled_ = false;
      stopping = stopping_;
    }
    // First, so that what was pushed before a question is processed before it is answered.
    questions_.take(questions);
    items_.take(items);
    auto result = store_.process(items, clock_.moment());
    failed = result.failed;
    again = result.again;
    capacity_.set_failed(failed);
    if (!result.removed.empty() && tell_removed_) tell_removed_(std::move(result.removed));
    for (auto& answer : result.reads) on_read_(std::move(answer));
    if (result.damaged && tell_damaged_) std::exchange(tell_damaged_, nullptr)();
    for (auto& question : questions) question(store_);
    if (stopping) {
      store_.flush(clock_.moment());
      return;
    }
  }
}

}  // namespace trunkline
