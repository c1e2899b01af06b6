// SPDX-License-Identifier: Apache-2.0
#include "gateway/amqp/message_writer.h"

#include <array>
#include <cstdint>
#include <cstring>

#include "gateway/base/check.h"

namespace trunkline::amqp {

namespace {

// Format codes of AMQP 1.0 section 1.6.
enum Code : std::uint8_t {
  kDescribed = 0x00,
  kNull = 0x40,
  kSmallUlong = 0x53,
  kTimestamp = 0x83,
  kBinary8 = 0xA0,
  kString8 = 0xA1,
  kSymbol8 = 0xA3,
  kBinary32 = 0xB0,
  kString32 = 0xB1,
  kSymbol32 = 0xB3,
  kList8 = 0xC0,
  kMap8 = 0xC1,
  kList32 = 0xD0,
  kMap32 = 0xD1,
};

// Descriptors of the sections, section 3.2.
enum Section : std::uint8_t { kAnnotations = 0x72, kProperties = 0x73, kApplicationProperties = 0x74, kData = 0x75 };

constexpr std::size_t kSectionHead = 3;    // described, small ulong, descriptor
constexpr std::size_t kTimestampSize = 9;  // code and eight bytes
constexpr std::size_t kPropertyFields = 10;

std::size_t variable_size(std::string_view text) {
  return text.size() <= 0xFF ? 2 + text.size() : 5 + text.size();
}

// A list or map of `content` bytes. The size field of a compound counts its count field too.
bool is_small(std::size_t content, std::size_t count) {
  return content + 1 <= 0xFF && count <= 0xFF;
}
std::size_t compound_size(std::size_t content, std::size_t count) {
  return content + (is_small(content, count) ? 3 : 9);
}

// One field of the properties section: a text of some kind, a time, or nothing.
struct Field {
  std::uint8_t code8 = kNull;
  std::string_view text;
  const std::optional<WallTime>* time = nullptr;

  [[nodiscard]] bool set() const { return time != nullptr ? time->has_value() : !text.empty(); }
  [[nodiscard]] std::size_t size() const {
    if (!set()) return 1;
    return time != nullptr ? kTimestampSize : variable_size(text);
  }
};
using Fields = std::array<Field, kPropertyFields>;

Fields fields_of(const BareMessage& message) {
  const Field none;
  return {Field{kString8, message.message_id},
          none,  // user-id
          Field{kString8, message.to},
          none,  // subject
          none,  // reply-to
          Field{kString8, message.correlation_id},
          Field{kSymbol8, message.content_type},
          Field{kSymbol8, message.content_encoding},
          Field{kNull, {}, &message.absolute_expiry_time},
          Field{kNull, {}, &message.creation_time}};
}

struct Extent {
  std::size_t content = 0;  // bytes of the elements
  std::size_t count = 0;    // elements; 0 means that the section is left out

  [[nodiscard]] std::size_t section_size() const {
    return count == 0 ? 0 : kSectionHead + compound_size(content, count);
  }
};

// Trailing nulls of a list are left out (section 1.4).
Extent extent(const Fields& fields) {
  Extent result;
  std::size_t size = 0;
  for (std::size_t i = 0; i < fields.size(); ++i) {
    size += fields[i].size();
    if (fields[i].set()) result = {size, i + 1};
  }
  return result;
}

Extent extent(std::span<const NamedText> pairs) {
  Extent result;
  for (const auto& pair : pairs) result.content += variable_size(pair.name) + variable_size(pair.value);
  result.count = pairs.size() * 2;
  return result;
}

class Writer {
 public:
  explicit Writer(char* at) : at_(at) {}

  void byte(std::size_t value) { *at_++ = static_cast<char>(value); }
  void number(std::uint64_t value, unsigned bytes) {
    while (bytes-- > 0) byte(value >> (8 * bytes) & 0xFFU);
  }
  void section(Section section) {
    byte(kDescribed);
    byte(kSmallUlong);
    byte(section);
  }
  // code8 is the code of the short form; the long form's is 0x10 above it, for every variable type.
  void variable(std::uint8_t code8, std::string_view text) {
    if (text.size() <= 0xFF) {
      byte(code8);
      byte(text.size());
    } else {
      byte(code8 + 0x10U);
      number(text.size(), 4);
    }
    if (!text.empty()) std::memcpy(at_, text.data(), text.size());
    at_ += text.size();
  }
  void compound(std::uint8_t code8, const Extent& extent) {
    if (is_small(extent.content, extent.count)) {
      byte(code8);
      byte(extent.content + 1);
      byte(extent.count);
    } else {
      byte(code8 + 0x10U);
      number(extent.content + 4, 4);
      number(extent.count, 4);
    }
  }
  void pairs(Section kind, std::uint8_t name_code, std::span<const NamedText> pairs, const Extent& size) {
    if (pairs.empty()) return;
    section(kind);
    compound(kMap8, size);
    for (const auto& pair : pairs) {
      variable(name_code, pair.name);
      variable(kString8, pair.value);
    }
  }
  void properties(const Fields& fields, const Extent& size) {
    if (size.count == 0) return;
    section(kProperties);
    compound(kList8, size);
    for (std::size_t i = 0; i < size.count; ++i) {
      const auto& field = fields[i];
      if (!field.set()) {
        byte(kNull);
      } else if (field.time != nullptr) {
        byte(kTimestamp);
        number(static_cast<std::uint64_t>((*field.time)->time_since_epoch().count()), 8);
      } else {
        variable(field.code8, field.text);
      }
    }
  }
  [[nodiscard]] const char* at() const { return at_; }

 private:
  char* at_;
};

static_assert(kString8 + 0x10 == kString32 && kSymbol8 + 0x10 == kSymbol32 && kBinary8 + 0x10 == kBinary32);
static_assert(kList8 + 0x10 == kList32 && kMap8 + 0x10 == kMap32);

// What is counted once for the size and again for the compounds' heads.
struct Plan {
  explicit Plan(const BareMessage& message)
      : fields(fields_of(message)),
        annotations(extent(message.annotations)),
        properties(extent(fields)),
        application_properties(extent(message.application_properties)),
        size(annotations.section_size() + properties.section_size() + application_properties.section_size() +
             kSectionHead + variable_size(message.body)) {}

  Fields fields;
  Extent annotations;
  Extent properties;
  Extent application_properties;
  std::size_t size;
};

}  // namespace

std::size_t encoded_size(const BareMessage& message) {
  return Plan(message).size;
}

Result<void> append(const BareMessage& message, std::string& out, std::size_t limit) {
  const Plan plan(message);
  const auto size = plan.size;
  if (size > limit || size > UINT32_MAX) {
    return fail(ErrorCode::exhausted,
                "a message of " + std::to_string(size) + " bytes, more than " + std::to_string(limit));
  }
  const auto before = out.size();
  out.resize(before + size);
  Writer writer(out.data() + before);
  writer.pairs(kAnnotations, kSymbol8, message.annotations, plan.annotations);
  writer.properties(plan.fields, plan.properties);
  writer.pairs(kApplicationProperties, kString8, message.application_properties, plan.application_properties);
  writer.section(kData);
  writer.variable(kBinary8, message.body);
  TRUNKLINE_CHECK(writer.at() == out.data() + out.size(), "the encoded size is exact");
  return {};
}

}  // namespace trunkline::amqp
