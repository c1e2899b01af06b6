// SPDX-License-Identifier: Apache-2.0
#include "adapters/mqtt/broker_proof.h"

#include <condition_variable>
#include <mutex>
#include <optional>

#include "adapters/mqtt/session_options.h"
#include "gateway/base/crypto.h"
#include "gateway/base/encoding.h"

namespace trunkline::mqtt {
namespace {

using Verdict = BrokerProof::Verdict;

constexpr unsigned kMessages = 2000;  // twice what mosquitto keeps unless told otherwise
constexpr unsigned kWindow = 50;
constexpr std::uint32_t kSessionSeconds = 120;
constexpr std::chrono::seconds kPatience{15};

// One connection; what happened to it can be waited for.
class Probe final : public SessionEvents {
 public:
  explicit Probe(const SessionOptions& options) {
    auto opened = PahoSession::open(options, 1, *this);
    if (opened) {
      session_ = std::move(*opened);
    } else {
      lost(1, opened.error().message);
    }
  }

  // Whether the broker knew the session; an error if it did not let us in.
  Result<bool> connected() {
    wait([this] { return present_.has_value(); });
    const std::lock_guard lock(mutex_);
    if (present_) return *present_;
    return fail(ErrorCode::unavailable, lost_.empty() ? "the broker does not answer" : lost_);
  }
  Result<void> subscribe(const std::string& topic) {
    if (auto sent = session_->subscribe(0, topic, false); !sent) return sent;
    wait([this] { return subscribed_.has_value(); });
    const std::lock_guard lock(mutex_);
    if (subscribed_ && *subscribed_ < 0x80) return {};
    return fail(ErrorCode::unavailable, subscribed_ ? "the broker refuses the subscription" : "no answer to SUBSCRIBE");
  }
  // Publishes and waits until the broker has acknowledged all.
  Result<void> publish(const std::string& topic, unsigned count) {
    for (unsigned i = 0; i < count; ++i) {
      Outgoing message;
      message.topic = topic;
      message.payload = std::to_string(i);
      if (auto sent = session_->publish(i, message); !sent) return sent;
      wait([this, i] { return answered_ + kWindow > i; });
      const std::lock_guard lock(mutex_);
      if (!lost_.empty() || !refused_.empty()) break;
    }
    wait([this, count] { return answered_ >= count; });
    const std::lock_guard lock(mutex_);
    if (answered_ >= count && refused_.empty()) return {};
    return fail(ErrorCode::unavailable, !refused_.empty() ? refused_ : lost_.empty() ? "no acknowledgement" : lost_);
  }
  unsigned wait_arrivals(unsigned count) {
    wait([this, count] { return arrived_ >= count; });
    const std::lock_guard lock(mutex_);
    return arrived_;
  }

 private:
  template <class F>
  void wait(F done) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, kPatience, [&] { return done() || !lost_.empty() || !refused_.empty(); });
  }
  template <class F>
  void note(F f) {
    {
      const std::lock_guard lock(mutex_);
      f();
    }
    changed_.notify_all();
  }
  void connected(std::uint64_t, bool session_present) noexcept override {
    note([&] { present_ = session_present; });
  }
  void lost(std::uint64_t, std::string why) noexcept override {
    note([&] { lost_ = std::move(why); });
  }
  void subscribed(std::uint64_t, std::size_t, unsigned reason) noexcept override {
    note([&] { subscribed_ = reason; });
  }
  void published(std::uint64_t) noexcept override {
    note([&] { ++answered_; });
  }
  void publish_failed(std::uint64_t, unsigned, std::string why) noexcept override {
    note([&] { refused_ = std::move(why); });
  }
  void arrived(const Arrival&) noexcept override {
    note([&] { ++arrived_; });
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::optional<bool> present_;
  std::optional<unsigned> subscribed_;
  std::string lost_;
  std::string refused_;
  unsigned answered_ = 0;
  unsigned arrived_ = 0;
  std::unique_ptr<PahoSession> session_;  // last: its end ends the events
};

void try_session(const SessionOptions& ours, const SessionOptions& publisher, const std::string& topic,
                 std::vector<BrokerProof>& out) {
  {
    Probe first(ours);
    auto in = first.connected();
    if (!in) {
      out.push_back({Verdict::failed, "the broker lets us in", in.error().message});
      return;
    }
    out.push_back({Verdict::proven, "the broker lets us in", ""});
    if (auto subscribed = first.subscribe(topic); !subscribed) {
      out.push_back({Verdict::unknown, "messages wait for us while we are away",
                     subscribed.error().message + " to " + topic + "; allow it to try this"});
      return;
    }
  }
  {
    Probe other(publisher);
    const auto in = other.connected();
    const auto sent = in ? other.publish(topic, kMessages) : fail(in.error());
    if (!sent) {
      out.push_back({Verdict::unknown, "messages wait for us while we are away",
                     "cannot publish to " + topic + ": " + sent.error().message});
      return;
    }
  }
  Probe again(ours);
  const auto kept = again.connected();
  const bool present = kept && *kept;
  out.push_back({present ? Verdict::proven : Verdict::failed, "our session survives a lost connection",
                 present ? "" : "it was gone; remove persistent_client_expiration and limits on sessions"});
  const auto arrived = present ? again.wait_arrivals(kMessages) : 0;
  out.push_back({arrived >= kMessages ? Verdict::proven : Verdict::failed,
                 "2000 messages wait for us while we are away",
                 arrived >= kMessages ? ""
                                      : "only " + std::to_string(arrived) +
                                            " came back though all were acknowledged; set max_queued_messages 0 "
                                            "(packaging/mosquitto/trunkline.conf)"});
}

void try_stranger(SessionOptions stranger, const std::string& topic, std::vector<BrokerProof>& out) {
  stranger.user.clear();
  stranger.password = Secret();
  stranger.cert.clear();
  stranger.key.clear();
  const std::string what = "a stranger cannot publish";
  Probe probe(stranger);
  if (!probe.connected()) {
    out.push_back({Verdict::proven, what, "without a name the broker lets nobody in"});
  } else if (!probe.publish(topic, 1)) {
    out.push_back({Verdict::proven, what, "the broker refuses what a nameless client publishes"});
  } else {
    out.push_back({Verdict::failed, what,
                   "whoever reaches the broker can speak as any device; see packaging/mosquitto/devices.conf"});
  }
}

}  // namespace

std::vector<BrokerProof> prove_broker(const config::Mqtt& settings) {
  std::vector<BrokerProof> out;
  auto ours = session_options(settings);
  if (!ours) {
    out.push_back({Verdict::failed, "the broker lets us in", ours.error().message});
    return out;
  }
  // Not the gateway's own session: it may be running.
  const auto tag = hex_encode(random_bytes(6));
  const auto topic = "trunkline/check/" + tag;
  ours->client_id = "tlcheck-" + tag;
  ours->session_seconds = kSessionSeconds;
  auto publisher = *ours;
  publisher.client_id += "-p";
  publisher.clean = true;
  try_session(*ours, publisher, topic, out);
  if (out.front().verdict == Verdict::proven) {
    // The probe's session goes with a clean start.
    auto last = *ours;
    last.clean = true;
    static_cast<void>(Probe(last).connected());
    publisher.client_id += "-s";
    try_stranger(std::move(publisher), topic, out);
  }
  for (const auto* what :
       {"what it acknowledged survives its own crash (persistence, autosave_interval)",
        "how much it keeps at most (max_queued_bytes)", "one device cannot publish on another's topic (acl_file)"}) {
    out.push_back({Verdict::unknown, what, "not to be seen from here; see packaging/mosquitto"});
  }
  return out;
}

}  // namespace trunkline::mqtt
