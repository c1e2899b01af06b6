// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "gateway/base/clock.h"
#include "gateway/core/message.h"

namespace trunkline {

struct Decode;

// One value of the message that goes up, and where it comes from.
struct Pick {
  enum class From { pointer, capture, constant };
  std::string name;
  From from = From::pointer;
  std::string source;   // JSON pointer (RFC 6901), name of a capture, or the constant
  bool number = false;  // a text becomes the number that it starts with, "21.5 C" becomes 21.5
  double factor = 1;    // of a number: value * factor + offset
  double offset = 0;
};

// Messages of which a value is none of these pass untouched.
struct OnlyIf {
  std::string pointer;
  std::vector<std::string> values;
};

// Where the device says when it was.
struct DeviceTime {
  enum class Format { iso8601, unix_seconds, unix_milliseconds };
  std::string pointer;
  Format format = Format::iso8601;
  bool assume_utc = false;  // a time without a zone is UTC; otherwise it is not believed
};

// How what a device says becomes what goes up, for every adapter alike. Without one the bytes pass untouched. Made by
// config from `map = { … }`, immutable from then on.
struct PayloadMap {
  static constexpr std::size_t kMaxMembers = 1000;      // of a merged or grouped object
  static constexpr std::size_t kMaxChannels = 256;      // of one device whose last message is remembered
  static constexpr std::size_t kMaxObject = 64 * 1024;  // of what is remembered of one device, as text

  std::shared_ptr<const Decode> decode{};  // bytes that are no JSON become an object first; null: they are JSON
  std::optional<OnlyIf> only{};
  std::string root{};          // JSON pointer to the part that counts; empty: all of it
  std::vector<Pick> fields{};  // empty: everything under root
  std::string name{};          // the payload is one value: it goes up as { name: value }; a template over captures
  bool number = false;         // of that value: a text becomes a number
  Milliseconds group{0};       // values that come within this time go up as one object; 0: each on its own
  bool merge = false;          // the payload is a change (RFC 7396); the whole goes up
  bool change_only = false;    // what says the same as the last one is dropped
  double dead_band = 0;        // numbers that moved by no more than this are the same
  Milliseconds every{0};       // at most one message in this time, the rest is dropped
  std::vector<Property> properties{};  // name, template over captures
  std::optional<DeviceTime> time{};
  std::vector<std::string> report{};  // members of what goes up that are the device's state: reported properties too

  [[nodiscard]] bool reads_json() const {
    return decode || only || !root.empty() || !fields.empty() || !name.empty() || merge || change_only ||
           group.count() > 0 || time || !report.empty();
  }
};

}  // namespace trunkline
