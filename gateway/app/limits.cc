// SPDX-License-Identifier: Apache-2.0
#include "gateway/app/limits.h"

#include <algorithm>

namespace trunkline::app {
namespace {

// How exactly ages are known, as a part of the shortest limit.
constexpr int kSteps = 100;
constexpr Milliseconds kShortestStep{10};
constexpr Milliseconds kLongestStep{3'600'000};

config::Durability durability_of(const config::Settings& settings, const DeviceMap* map) {
  const auto general = settings.spool.durability;
  if (map == nullptr) return general;
  if (map->tcp) return settings.tcp_durability.value_or(general);
  if (map->coap) return settings.coap ? settings.coap->durability.value_or(general) : general;
  for (const auto& broker : settings.mqtt) {
    if (map->mqtt && broker.name == map->mqtt->broker) return broker.durability.value_or(general);
  }
  return general;
}

}  // namespace

DevicePolicy policy_of(const config::Settings& settings, const DeviceMap* map) {
  DevicePolicy out;
  out.max_age = settings.spool.max_age;
  out.synced = durability_of(settings, map) == config::Durability::power;
  if (map == nullptr) return out;
  if (map->max_bytes) out.max_bytes = *map->max_bytes;
  if (map->max_messages) out.max_messages = *map->max_messages;
  if (map->max_age) out.max_age = *map->max_age;
  // A broker that is held back is held back for all of its devices (D-06).
  out.on_full = map->on_full.value_or(map->mqtt ? OnFull::drop_newest : OnFull::refuse);
  return out;
}

Spool::Options spool_options(const config::Settings& settings) {
  Spool::Options out;
  out.directory = settings.spool.directory;
  out.max_bytes = settings.spool.max_bytes;
  out.measure_sync = true;
  auto shortest = settings.spool.max_age;
  for (const auto& map : settings.devices) shortest = std::min(shortest, map.max_age.value_or(shortest));
  out.age_step = std::clamp(shortest / kSteps, kShortestStep, kLongestStep);
  return out;
}

}  // namespace trunkline::app
