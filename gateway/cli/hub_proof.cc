// SPDX-License-Identifier: Apache-2.0
#include "gateway/cli/hub_proof.h"

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <utility>

#include "gateway/base/crypto.h"
#include "gateway/base/encoding.h"
#include "gateway/base/metrics.h"
#include "gateway/hub/hub_link.h"
#include "identity/directory.h"

namespace trunkline::cli {
namespace {

constexpr std::size_t kMostOnOneConnection = 900;
constexpr std::chrono::seconds kPatience{60};

hub::HubLink::Options options_of(const config::Hub& settings) {
  hub::HubLink::Options out;
  out.host = settings.host;
  out.address = settings.address;
  out.ca_file = settings.ca_file;
  // Not the running gateway's.
  out.gateway_id = "trunkline-check-" + hex_encode(random_bytes(6));
  out.spool_uuid = out.gateway_id;
  return out;
}

class Prover final : private UplinkEvents {
 public:
  Prover(const config::Hub& settings, const std::vector<identity::Identity>& identities)
      : directory_(settings.host, settings.token_lifetime), link_(io_, options_of(settings), clock_, metrics_) {
    for (const auto& identity : identities) {
      if (!identity.enabled) continue;
      if (tries_.size() < kMostOnOneConnection) {
        tries_.push_back({identity.device, KeyChoice::primary, false});
      } else {
        ++proof_.not_tried;
      }
    }
    directory_.replace(identities);
    left_ = tries_.size();
    link_.set_events(*this);
  }

  HubProof run() {
    const auto limit = clock_.steady() + kPatience;
    link_.open();
    while (!over_ && clock_.steady() < limit) io_.run_one_until(limit);
    if (!over_ && !ready_) proof_.unreachable = "no answer in time";
    if (ready_) proof_.not_tried += left_;
    return std::move(proof_);
  }

 private:
  struct Try {
    DeviceId device;
    KeyChoice key = KeyChoice::primary;
    bool answered = false;
  };

  void ask(DeviceSlot slot) {
    auto& one = tries_[slot.value];
    auto token = directory_.token(one.device, one.key, clock_.wall());
    if (token) {
      link_.authorise(slot, one.device, std::move(*token));
    } else {
      refuse(slot, token.error().message, true);
    }
  }
  void refuse(DeviceSlot slot, std::string why, bool denied) {
    proof_.refused.push_back({tries_[slot.value].device, std::move(why), denied});
    answered(slot);
  }
  void answered(DeviceSlot slot) {
    if (std::exchange(tries_[slot.value].answered, true)) return;
    if (--left_ == 0) link_.close();
  }

  void on_ready(ConnectionSlot) override {
    ready_ = true;
    if (tries_.empty()) link_.close();
    for (std::uint32_t i = 0; i < tries_.size(); ++i) ask({i});
  }
  void on_lost(ConnectionSlot, LinkFault fault) override {
    over_ = true;
    if (!ready_) {
      proof_.unreachable = fault.text();
    } else if (left_ > 0) {
      proof_.lost = fault.text();
    }
  }
  void on_authorised(DeviceSlot slot) override {
    const auto& one = tries_[slot.value];
    if (one.answered) return;
    ++proof_.accepted;
    if (one.key == KeyChoice::secondary) proof_.by_secondary.push_back(one.device);
    answered(slot);
  }
  void on_refused(DeviceSlot slot, LinkFault fault) override {
    auto& one = tries_[slot.value];
    if (one.answered) return;
    const bool has_other = directory_.token(one.device, KeyChoice::secondary, clock_.wall()).has_value();
    if (one.key == KeyChoice::primary && fault.kind == LinkFault::Kind::unauthorised && has_other) {
      one.key = KeyChoice::secondary;
      ask(slot);
    } else {
      refuse(slot, fault.text(), fault.kind == LinkFault::Kind::unauthorised);
    }
  }
  void on_attached(DeviceSlot, DeviceLink) override {}
  void on_detached(DeviceSlot, DeviceLink, LinkFault) override {}
  void on_sendable(DeviceSlot) override {}
  void on_outcome(DeviceSlot, Position, Outcome) override {}
  void on_command(DeviceSlot, Command, CommandTag) override {}
  void on_method(DeviceSlot, MethodCall, MethodTag) override {}
  void on_twin_answer(DeviceSlot, TwinAnswer) override {}
  void on_desired(DeviceSlot, std::string) override {}

  boost::asio::io_context io_{1};
  SystemClock clock_;
  Metrics metrics_;
  identity::Directory directory_;
  hub::HubLink link_;
  std::vector<Try> tries_;  // by slot
  std::size_t left_ = 0;
  bool ready_ = false;
  bool over_ = false;
  HubProof proof_;
};

}  // namespace

HubProof prove_hub(const config::Hub& settings, const std::vector<identity::Identity>& identities) {
  return Prover(settings, identities).run();
}

}  // namespace trunkline::cli
