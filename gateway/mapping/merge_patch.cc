// SPDX-License-Identifier: Apache-2.0
#include "gateway/mapping/merge_patch.h"

namespace trunkline {

void apply_patch(json::object& document, const json::object& patch) {
  for (const auto& member : patch) {
    if (member.value().is_null()) {
      // The order of the others stays, so that what goes up looks the same each time.
      if (const auto* there = document.find(member.key()); there != document.end()) document.stable_erase(there);
      continue;
    }
    auto& place = document[member.key()];
    if (!member.value().is_object()) {
      place = member.value();
      continue;
    }
    if (!place.is_object()) place.emplace_object();
    apply_patch(place.get_object(), member.value().get_object());
  }
}

void combine_patches(json::object& first, const json::object& second) {
  for (const auto& member : second) {
    auto& place = first[member.key()];
    if (member.value().is_object() && place.is_object()) {
      combine_patches(place.get_object(), member.value().get_object());
    } else {
      place = member.value();
    }
  }
}

json::object difference(const json::object& from, const json::object& to) {
  json::object out;
  for (const auto& member : from) {
    if (!to.contains(member.key())) out[member.key()] = nullptr;
  }
  for (const auto& member : to) {
    const auto* old = from.if_contains(member.key());
    if (old != nullptr && old->is_object() && member.value().is_object()) {
      auto inner = difference(old->get_object(), member.value().get_object());
      if (!inner.empty()) out[member.key()] = std::move(inner);
    } else if (old == nullptr || *old != member.value()) {
      out[member.key()] = member.value();
    }
  }
  return out;
}

json::object needed_part(const json::object& patch, const json::object& document) {
  json::object out;
  for (const auto& member : patch) {
    const auto* there = document.if_contains(member.key());
    const auto& wanted = member.value();
    if (wanted.is_null()) {
      if (there != nullptr) out[member.key()] = nullptr;
    } else if (wanted.is_object() && there != nullptr && there->is_object()) {
      auto inner = needed_part(wanted.get_object(), there->get_object());
      if (!inner.empty()) out[member.key()] = std::move(inner);
    } else if (there == nullptr || *there != wanted) {
      out[member.key()] = wanted;
    }
  }
  return out;
}

}  // namespace trunkline
