// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "gateway/base/clock.h"
#include "gateway/base/mailbox.h"
#include "gateway/pipeline/store.h"

namespace trunkline {

// The thread that owns the Store: takes whatever has arrived while the last commit ran, one commit for all of it. Owned
// by the composition root; push and ask from any thread. When the disk refuses, it tries again every 250 ms.
class StoreThread {
 public:
  // Called on the store thread for each answered read.
  using ReadHandler = std::function<void(ReadAnswer)>;

  StoreThread(Store& store, Capacity& capacity, const Clock& clock, ReadHandler on_read);
  ~StoreThread();  // stop()

  void start();
  void push(StoreItem item) { items_.push(std::move(item)); }
  // `question` is called on the store thread, between two commits.
  void ask(std::function<void(Store&)> question) { questions_.push(std::move(question)); }
  void status(std::function<void(const Store::Status&)> done) {
    ask([this, done = std::move(done)](Store& store) { done(store.status(clock_.steady())); });
  }
  // Called on the store thread with what a limit removed, before the reads that were answered after it. Before start.
  void on_removed(std::function<void(std::vector<Removal>)> tell) { tell_removed_ = std::move(tell); }
  // Called once, on the store thread, when the file turns out to be damaged: a new start sets it aside. Before start.
  void on_damaged(std::function<void()> tell) { tell_damaged_ = std::move(tell); }
  // Commits what was pushed before, then joins. What the disk still refuses stays unacknowledged.
  void stop();

 private:
  void run();

  Store& store_;
  Capacity& capacity_;
  const Clock& clock_;
  ReadHandler on_read_;
  Mailbox<StoreItem> items_;
  Mailbox<std::function<void(Store&)>> questions_;
  std::function<void(std::vector<Removal>)> tell_removed_;
  std::function<void()> tell_damaged_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool filled_ = false;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace trunkline
