// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "gateway/base/clock.h"
#include "gateway/base/json.h"
#include "gateway/base/result.h"

namespace trunkline::hubsim {

// Why the hub does not take a change: an HTTP-like status, its error code, a sentence.
struct TwinRefusal {
  int status = 400;
  int code = 400004;
  std::string text;
};
template <class T>
using TwinResult = tl::expected<T, TwinRefusal>;

// The document that device and service share (hub-amqp-protocol section 7): tags, desired and reported properties, each
// of the latter with its $version and $metadata, and an ETag that the service's changes advance. A change is a JSON
// merge patch (RFC 7396) or a replacement; it is taken whole or not at all, within the limits of section 7.4. Pure: the
// caller gives the time.
class Twin {
 public:
  // What a change of desired properties tells the device: the patch, deleted keys as null, with the new $version.
  using Notification = std::optional<json::object>;

  // The device's change; answers the new version. With `expected`, only if that is the version so far.
  TwinResult<std::int64_t> patch_reported(const json::object& patch, WallTime now,
                                          std::optional<std::int64_t> expected = {});
  // The service's change: {"tags":{...},"properties":{"desired":{...}}}, other members are left alone, and so are the
  // members $version and $metadata, which a client sends back as it got them.
  TwinResult<Notification> patch(const json::object& body, WallTime now);
  TwinResult<Notification> replace(const json::object& body, WallTime now);

  // {"desired":{...,"$version":n},"reported":{...,"$version":m}}: what a device gets.
  [[nodiscard]] json::object device_view() const;
  // {"desired":...,"reported":...} with $metadata too: the "properties" that the service gets.
  [[nodiscard]] json::object service_view() const;
  [[nodiscard]] const json::object& tags() const { return tags_; }
  [[nodiscard]] const json::object& desired() const { return desired_.values; }
  [[nodiscard]] const json::object& reported() const { return reported_.values; }
  [[nodiscard]] std::int64_t desired_version() const { return desired_.version; }
  [[nodiscard]] std::int64_t reported_version() const { return reported_.version; }
  [[nodiscard]] std::int64_t version() const { return version_; }  // of the whole document
  [[nodiscard]] std::string etag() const;                          // without quotation marks

 private:
  struct Section {
    json::object values;
    json::object metadata;
    std::int64_t version = 1;
  };
  TwinResult<Notification> change(const json::object& body, bool replace, WallTime now);

  json::object tags_;
  Section desired_;
  Section reported_;
  std::int64_t version_ = 2;
  std::uint64_t etag_ = 1;
};

// The rules of section 7.4 for what one change brings. Nothing if it keeps them.
std::optional<std::string> twin_fault(const json::object& change);
// The size by which section 7.4 limits a whole section: names and values, 8 for a number, 4 for a boolean.
std::size_t twin_size(const json::value& value);

}  // namespace trunkline::hubsim
