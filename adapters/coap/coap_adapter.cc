// SPDX-License-Identifier: Apache-2.0
#include "adapters/coap/coap_adapter.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <exception>
#include <optional>
#include <thread>
#include <utility>

#include "adapters/coap/responder.h"
#include "gateway/base/check.h"
#include "gateway/base/log.h"
#include "gateway/base/mailbox.h"

namespace trunkline {

namespace {

constexpr unsigned kDatagramsPerWake = 256;
// After the last admission, for the acknowledgements of our own messages.
constexpr Milliseconds kLinger{2'000};

struct Answer {
  std::uint64_t request = 0;
  Admission admission;
};

struct Delivery {
  Command command;
  Completion<Outcome> done;
};

struct Change {
  DeviceChanges changes;
  std::function<void(Result<void>)> done;
};

// What reaches the adapter's thread. Shared with every completion that is out, so that an answer that comes after the
// adapter has gone falls into a mailbox that nobody reads.
struct Inbox {
  Inbox() : event(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
    TRUNKLINE_CHECK(event >= 0, "a descriptor for the adapter's thread");
    answers.set_wake([this] { wake(); });
    deliveries.set_wake([this] { wake(); });
    changes.set_wake([this] { wake(); });
  }
  Inbox(const Inbox&) = delete;
  Inbox& operator=(const Inbox&) = delete;
  ~Inbox() { ::close(event); }

  void wake() const {
    const std::uint64_t one = 1;
    // It can only fail by being full, and then the thread wakes anyway.
    [[maybe_unused]] const auto written = ::write(event, &one, sizeof one);
  }
  void drain() const {
    std::uint64_t count = 0;
    [[maybe_unused]] const auto read = ::read(event, &count, sizeof count);
  }

  int event;
  Mailbox<Answer> answers;
  Mailbox<Delivery> deliveries;
  Mailbox<Change> changes;
};

}  // namespace

class CoapAdapter::Impl {
 public:
  Impl(config::Coap settings, const std::vector<DeviceMap>& maps, const Clock& clock, Metrics& metrics)
      : settings_(std::move(settings)), clock_(clock), metrics_(metrics), inbox_(std::make_shared<Inbox>()) {
    std::copy_if(maps.begin(), maps.end(), std::back_inserter(maps_),
                 [](const auto& map) { return map.coap.has_value(); });
  }

  Result<void> start(Ingress& ingress) {
    for (const auto& map : maps_) {
      if (auto good = check(map); !good) return good;
    }
    auto map = coap::RequestMap::make(maps_);
    if (!map) return fail(map.error().in("coap"));
    responder_.emplace(std::exchange(maps_, {}), std::move(*map), settings_, clock_, metrics_);
    for (const bool secure : {false, true}) {
      const auto& listen = secure ? settings_.listen_dtls : settings_.listen;
      if (listen.empty()) continue;
      auto server = coap::Server::open({listen, secure, settings_.cert, settings_.key, settings_.ca_file,
                                        settings_.max_sessions, settings_.max_handshakes, settings_.session_timeout},
                                       *responder_, clock_);
      if (!server) return fail(server.error().in("coap"));
      (secure ? local_dtls_ : local_) = (*server)->local();
      servers_.push_back(std::move(*server));
    }
    if (servers_.empty()) return fail(ErrorCode::invalid, "coap: neither listen nor listen_dtls is set");
    const auto submit = [&ingress, inbox = inbox_](std::uint64_t request, Telemetry telemetry) {
      ingress.submit(std::move(telemetry), Completion<Admission>([inbox, request](Admission admission) {
                       inbox->answers.push({request, std::move(admission)});
                     }));
    };
    responder_->attach(*servers_.front(), ingress, submit);
    running_ = true;
    thread_ = std::thread([this] { run(); });
    return {};
  }

  void deliver(Command command, Completion<Outcome> done) {
    if (!running_) {
      done(Outcome::released("the gateway is stopping"));
      return;
    }
    inbox_->deliveries.push({std::move(command), std::move(done)});
    if (!running_) release_deliveries();  // stop may have looked before the push
  }

  void change(DeviceChanges changes, std::function<void(Result<void>)> done) {
    if (!running_) return done(fail(ErrorCode::unavailable, "the gateway is stopping"));
    std::erase_if(changes.added, [](const DeviceMap& map) { return !map.coap; });
    for (const auto& map : changes.added) {
      if (auto good = check(map); !good) return done(std::move(good));
    }
    inbox_->changes.push({std::move(changes), std::move(done)});
  }

  void stop(SteadyTime deadline) {
    running_ = false;
    if (thread_.joinable()) {
      deadline_ = deadline;
      stopping_ = true;  // publishes deadline_
      inbox_->wake();
      thread_.join();
    }
    release_deliveries();
    std::vector<Change> changes;
    inbox_->changes.take(changes);
    for (auto& change : changes) change.done(fail(ErrorCode::unavailable, "the gateway is stopping"));
  }

  AdapterStatus status() const {
    AdapterStatus out{"coap", running_, running_ ? detail() : "stopped", {}};
    if (responder_) out.devices = responder_->status();
    return out;
  }

  const std::string& local(bool secure) const { return secure ? local_dtls_ : local_; }

 private:
  static Result<void> check(const DeviceMap& map) {
    const auto& coap = *map.coap;
    if (coap.takes_commands() && !coap.push && map.command_done == CommandDone::acknowledged) {
      return fail(ErrorCode::invalid, map.id.text() +
                                          ": an acknowledged notification does not tell us that it was; "
                                          "use command_done = \"replied\" with coap.result, or \"written\"");
    }
    if (coap.takes_commands() && map.command_done == CommandDone::replied && !coap.result) {
      return fail(ErrorCode::invalid,
                  map.id.text() + ": coap.result is not mapped, so command_done can only be \"written\"");
    }
    return {};
  }

  // Peers against their limits, for a person.
  std::string detail() const {
    std::string out;
    const auto most = " of " + std::to_string(settings_.max_sessions) + " peers";
    if (!local_.empty()) out = "UDP " + local_ + " (" + std::to_string(counts_.peers) + most + ")";
    if (!local_dtls_.empty()) {
      out += (out.empty() ? "DTLS " : ", DTLS ") + local_dtls_ + " (" + std::to_string(counts_.sessions) + most + ", " +
             std::to_string(counts_.handshakes) + " of " + std::to_string(settings_.max_handshakes) + " handshakes)";
    }
    return "listening on " + out;
  }

  void count_peers() {
    for (const auto& server : servers_) {
      if (server->secure()) {
        counts_.sessions = server->sessions();
        counts_.handshakes = server->handshakes();
      } else {
        counts_.peers = server->sessions();
      }
    }
  }

  void run() {
    try {
      while (step()) {
      }
      responder_->close();
      servers_.clear();
    } catch (const std::exception& error) {
      log::error("thread_failed", {{"adapter", "coap"}, {"error", error.what()}});
      std::abort();
    }
  }

  bool step() {
    std::array<pollfd, 3> wait{};
    nfds_t used = 0;
    for (const auto& server : servers_) wait.at(++used) = {server->descriptor(), POLLIN, 0};
    wait[0] = {inbox_->event, POLLIN, 0};
    const int count = ::poll(wait.data(), used + 1, timeout());
    TRUNKLINE_CHECK(count >= 0 || errno == EINTR, "the adapter can wait");
    if (count > 0 && (wait[0].revents & POLLIN) != 0) inbox_->drain();
    inbox_->answers.take(answers_);
    for (const auto& answer : answers_) responder_->on_admission(answer.request, answer.admission);
    take_changes();
    take_deliveries();
    for (const auto& server : servers_) server->serve(kDatagramsPerWake);
    count_peers();
    responder_->tick(clock_.steady());
    return !stopping_ || !finished();
  }

  [[nodiscard]] int timeout() const {
    auto until = std::min(responder_->deadline(), linger_);
    if (stop_begun_) until = std::min(until, deadline_);
    if (until == kNever) return -1;
    // Rounded up, so that we do not wake just before it is due.
    const auto left = std::chrono::ceil<Milliseconds>(until - clock_.steady()).count();
    return static_cast<int>(std::clamp<std::int64_t>(left, 0, 60'000));
  }

  void take_changes() {
    std::vector<Change> changes;
    inbox_->changes.take(changes);
    for (auto& [what, done] : changes) {
      auto changed = responder_->change(what);
      done(changed ? std::move(changed) : fail(changed.error().in("coap")));
    }
  }

  void take_deliveries() {
    std::vector<Delivery> deliveries;
    inbox_->deliveries.take(deliveries);
    for (auto& [command, done] : deliveries) responder_->deliver(std::move(command), std::move(done));
  }

  void release_deliveries() {
    std::vector<Delivery> deliveries;
    inbox_->deliveries.take(deliveries);
    for (auto& delivery : deliveries) delivery.done(Outcome::released("the gateway is stopping"));
  }

  // Admissions that are out can still be answered; then our own messages get a moment to be acknowledged.
  bool finished() {
    const auto now = clock_.steady();
    if (!std::exchange(stop_begun_, true)) responder_->stop_taking();
    if (now >= deadline_) {
      if (responder_->outstanding() > 0) {
        log::warning("adapter_stopped_early", {{"adapter", "coap"}, {"unanswered", responder_->outstanding()}});
      }
      return true;
    }
    if (responder_->outstanding() > 0) return false;
    if (linger_ == kNever) linger_ = now + kLinger;
    return now >= linger_ ||
           std::all_of(servers_.begin(), servers_.end(), [](const auto& server) { return server->idle(); });
  }

  const config::Coap settings_;
  const Clock& clock_;
  Metrics& metrics_;
  std::vector<DeviceMap> maps_;  // before start
  std::shared_ptr<Inbox> inbox_;
  std::optional<coap::Responder> responder_;
  std::vector<std::unique_ptr<coap::Server>> servers_;  // the plain one first
  std::string local_;
  std::string local_dtls_;
  struct {
    std::atomic<std::size_t> peers{0};  // of the plain listener
    std::atomic<std::size_t> sessions{0};
    std::atomic<std::size_t> handshakes{0};
  } counts_;
  std::vector<Answer> answers_;
  bool stop_begun_ = false;
  SteadyTime linger_ = kNever;
  SteadyTime deadline_ = kNever;
  std::atomic<bool> stopping_ = false;
  std::atomic<bool> running_ = false;
  std::thread thread_;
};

CoapAdapter::CoapAdapter(config::Coap settings, const std::vector<DeviceMap>& maps, const Clock& clock,
                         Metrics& metrics)
    : impl_(std::make_unique<Impl>(std::move(settings), maps, clock, metrics)) {}

CoapAdapter::~CoapAdapter() {
  impl_->stop(SteadyTime{});
}

Result<void> CoapAdapter::start(Ingress& ingress) {
  return impl_->start(ingress);
}

void CoapAdapter::deliver(Command command, Completion<Outcome> done) {
  impl_->deliver(std::move(command), std::move(done));
}

void CoapAdapter::change(DeviceChanges changes, std::function<void(Result<void>)> done) {
  impl_->change(std::move(changes), std::move(done));
}

void CoapAdapter::stop(SteadyTime deadline) {
  impl_->stop(deadline);
}

AdapterStatus CoapAdapter::status() const {
  return impl_->status();
}

std::string CoapAdapter::listening(bool secure) const {
  return impl_->local(secure);
}

}  // namespace trunkline
