// SPDX-License-Identifier: Apache-2.0
#include "tests/hubsim/twin.h"

#include "tests/hubsim/etag.h"

namespace trunkline::hubsim {
namespace {

constexpr std::size_t kMaxProperties = 32 * 1024;
constexpr std::size_t kMaxTags = 8 * 1024;
constexpr std::size_t kMaxKey = 1024;
constexpr std::size_t kMaxText = 4096;
constexpr int kMaxDepth = 10;
constexpr std::int64_t kLeastInteger = -4'503'599'627'370'496;
constexpr std::int64_t kLargestInteger = 4'503'599'627'370'495;

tl::unexpected<TwinRefusal> refuse(std::string text) {
  return tl::make_unexpected(TwinRefusal{400, 400004, std::move(text)});
}

std::optional<std::string> value_fault(const json::value& value, int depth);

std::optional<std::string> object_fault(const json::object& object, int depth) {
  if (depth > kMaxDepth) return "the nesting is deeper than 10";
  for (const auto& [key, value] : object) {
    if (key.empty() || key.size() > kMaxKey) return "a name is empty or longer than 1 KB";
    for (const char c : key) {
      const auto byte = static_cast<unsigned char>(c);
      if (byte < 0x20 || byte == 0x7F || c == '.' || c == '$' || c == ' ') {
        return "the name '" + std::string(key) + "' has a character that is not allowed";
      }
    }
    if (auto fault = value_fault(value, depth)) return fault;
  }
  return std::nullopt;
}

std::optional<std::string> value_fault(const json::value& value, int depth) {
  if (const auto* object = value.if_object()) return object_fault(*object, depth + 1);
  if (const auto* array = value.if_array()) {
    for (const auto& element : *array) {
      if (auto fault = value_fault(element, depth)) return fault;
    }
  }
  if (const auto* text = value.if_string(); text != nullptr && text->size() > kMaxText) {
    return "a text is longer than 4 KB";
  }
  if (const auto* number = value.if_int64();
      number != nullptr && (*number < kLeastInteger || *number > kLargestInteger)) {
    return "an integer is out of range";
  }
  if (value.is_uint64()) return "an integer is out of range";
  return std::nullopt;
}

// RFC 7396, and when each member was changed last.
void merge(json::object& values, json::object& metadata, const json::object& patch, const json::object& stamp) {
  for (const auto& member : stamp) metadata.insert_or_assign(member.key(), member.value());
  for (const auto& [key, value] : patch) {
    if (value.is_null()) {
      values.erase(key);
      metadata.erase(key);
      continue;
    }
    auto& kept = values[key];
    if (const auto* object = value.if_object()) {
      auto& below = metadata[key];
      if (!kept.is_object()) {
        kept.emplace_object();
        below.emplace_object();
      }
      merge(kept.get_object(), below.get_object(), *object, stamp);
    } else {
      kept = value;
      metadata[key] = stamp;
    }
  }
}

// The patch that makes `to` of `from`: everything in it, and null for what is no longer there.
json::object difference(const json::object& from, const json::object& to) {
  auto patch = to;
  for (const auto& [key, value] : from) {
    const auto* kept = to.if_contains(key);
    if (kept == nullptr) {
      patch[key] = nullptr;
    } else if (kept->is_object() && value.is_object()) {
      patch[key] = difference(value.get_object(), kept->get_object());
    }
  }
  return patch;
}

// A section of a request's body, without the members that are the hub's own; nothing if the body has none.
TwinResult<std::optional<json::object>> section_of(const json::object& body, std::string_view name) {
  const auto* value = body.if_contains(name);
  if (value == nullptr || value->is_null()) return std::nullopt;
  if (!value->is_object()) return refuse(std::string(name) + " must be an object");
  auto section = value->get_object();
  section.erase("$version");
  section.erase("$metadata");
  if (auto fault = twin_fault(section)) return refuse(std::string(name) + ": " + *fault);
  return section;
}

json::object stamp_of(WallTime now, std::optional<std::int64_t> version) {
  json::object stamp{{"$lastUpdated", to_rfc3339(now)}};
  if (version) stamp["$lastUpdatedVersion"] = *version;
  return stamp;
}

json::object with_version(const json::object& values, std::int64_t version) {
  auto copy = values;
  copy["$version"] = version;
  return copy;
}

}  // namespace

std::optional<std::string> twin_fault(const json::object& change) {
  return object_fault(change, 0);
}

std::size_t twin_size(const json::value& value) {
  std::size_t size = 0;
  if (const auto* object = value.if_object()) {
    for (const auto& [key, member] : *object) size += key.size() + twin_size(member);
  } else if (const auto* array = value.if_array()) {
    for (const auto& element : *array) size += twin_size(element);
  } else if (const auto* text = value.if_string()) {
    size = text->size();
  } else if (value.is_bool()) {
    size = 4;
  } else if (value.is_number()) {
    size = 8;
  }
  return size;
}

TwinResult<std::int64_t> Twin::patch_reported(const json::object& patch, WallTime now,
                                              std::optional<std::int64_t> expected) {
  if (expected && *expected != reported_.version) {
    return tl::make_unexpected(TwinRefusal{412, 412001, "the reported properties have another version"});
  }
  if (auto fault = twin_fault(patch)) return refuse("reported: " + *fault);
  auto next = reported_;
  merge(next.values, next.metadata, patch, stamp_of(now, std::nullopt));
  if (twin_size(next.values) > kMaxProperties) return refuse("the reported properties are larger than 32 KB");
  ++next.version;
  reported_ = std::move(next);
  ++version_;
  return reported_.version;
}

TwinResult<Twin::Notification> Twin::patch(const json::object& body, WallTime now) {
  return change(body, false, now);
}

TwinResult<Twin::Notification> Twin::replace(const json::object& body, WallTime now) {
  return change(body, true, now);
}

TwinResult<Twin::Notification> Twin::change(const json::object& body, bool replace, WallTime now) {
  auto tags = section_of(body, "tags");
  if (!tags) return tl::make_unexpected(tags.error());
  TwinResult<std::optional<json::object>> desired = std::nullopt;
  if (const auto* properties = body.if_contains("properties"); properties != nullptr && properties->is_object()) {
    desired = section_of(properties->get_object(), "desired");
    if (!desired) return tl::make_unexpected(desired.error());
  }

  auto next_tags = replace && *tags ? json::object() : tags_;
  json::object ignored;
  if (*tags) merge(next_tags, ignored, **tags, {});
  if (twin_size(next_tags) > kMaxTags) return refuse("the tags are larger than 8 KB");
  auto next = desired_;
  Notification notification;
  if (*desired) {
    // A replacement is told as the patch that leads there, so that the device can drop what is gone.
    const auto patch = replace ? difference(desired_.values, **desired) : **desired;
    ++next.version;
    merge(next.values, next.metadata, patch, stamp_of(now, next.version));
    if (twin_size(next.values) > kMaxProperties) return refuse("the desired properties are larger than 32 KB");
    notification = with_version(patch, next.version);
  }
  tags_ = std::move(next_tags);
  desired_ = std::move(next);
  ++version_;
  ++etag_;
  return notification;
}

json::object Twin::device_view() const {
  return {{"desired", with_version(desired_.values, desired_.version)},
          {"reported", with_version(reported_.values, reported_.version)}};
}

json::object Twin::service_view() const {
  const auto whole = [](const Section& section) {
    auto out = section.values;
    out["$metadata"] = section.metadata;
    out["$version"] = section.version;
    return out;
  };
  return {{"desired", whole(desired_)}, {"reported", whole(reported_)}};
}

std::string Twin::etag() const {
  return etag_text(etag_);
}

}  // namespace trunkline::hubsim
