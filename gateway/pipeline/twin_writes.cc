// SPDX-License-Identifier: Apache-2.0
// The part of the twin keeper that writes desired properties to the device until it confirmed them.
#include <utility>

#include "gateway/base/log.h"
#include "gateway/mapping/json_text.h"
#include "gateway/mapping/merge_patch.h"
#include "gateway/pipeline/twin_state.h"

namespace trunkline {

void TwinKeeper::write(Twin& twin) {
  if (!twin.writes || !twin.desired || twin.writing != 0 || twin.hopeless == twin.version) return;
  if (!ports_.reachable(twin.slot)) return;
  const auto patch = twin.confirmed ? difference(*twin.confirmed, *twin.desired) : *twin.desired;
  if (patch.empty()) {
    if (twin.confirmed && twin.confirmed_version == twin.version) return;
    twin.confirmed = twin.desired;
    twin.confirmed_version = twin.version;
    return say_state(twin);
  }
  if (now_ < twin.write_at) return wake_at(twin.write_at, twin);
  twin.writing = next_number_++;
  twin.target = *twin.desired;
  twin.target_version = twin.version;
  Command command{.device = twin.device, .sequence = twin.writing};
  command.kind = CommandKind::desired;
  command.version = twin.version;
  command.body = json_text(patch);
  command.content_type = "application/json";
  command.deadline = now_ + options_.write_limit;
  written_.add();
  ports_.deliver(
      twin.slot, std::move(command),
      Completion<Outcome>([this, slot = twin.slot, number = twin.writing](Outcome outcome) {
        ports_.post([this, slot, number, outcome = std::move(outcome)] { on_written(slot, number, outcome); });
      }));
}

void TwinKeeper::on_written(DeviceSlot slot, std::uint64_t number, const Outcome& outcome) {
  now_ = clock_.steady();
  auto* twin = find(slot);
  if (twin == nullptr || twin->writing != number) return;
  twin->writing = 0;
  switch (outcome.kind) {
    case Outcome::Kind::accepted:
      confirmed_.add();
      twin->write_retry.reset();
      twin->fault.clear();
      twin->confirmed = std::move(twin->target);
      twin->confirmed_version = twin->target_version;
      log::info("desired_confirmed", {{"device", twin->device.text()}, {"version", twin->confirmed_version}});
      say_state(*twin);
      break;
    case Outcome::Kind::rejected:
      failed_.add();
      twin->hopeless = twin->target_version;
      twin->fault = "the device rejected its desired properties: " + outcome.description;
      log::warning("desired_rejected", {{"device", twin->device.text()},
                                        {"version", twin->target_version},
                                        {"error", outcome.condition},
                                        {"text", outcome.description}});
      break;
    default:
      twin->write_at = now_ + twin->write_retry.next();
      twin->fault = "the device did not confirm its desired properties: " + outcome.description;
      break;
  }
  touch(*twin);
}

}  // namespace trunkline
