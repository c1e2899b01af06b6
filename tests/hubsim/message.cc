// SPDX-License-Identifier: Apache-2.0
#include "tests/hubsim/message.h"

#include "tests/hubsim/amqp_value.h"

namespace trunkline::hubsim {
namespace {

// AMQP 1.0 section 3.2.
enum Section : std::uint64_t {
  header = 0x70,
  delivery_annotations = 0x71,
  message_annotations = 0x72,
  properties = 0x73,
  application_properties = 0x74,
  data = 0x75,
  sequence = 0x76,
  value = 0x77,
  footer = 0x78,
};

bool read_properties(std::string_view raw, Message& message) {
  const auto fields = wire::elements(raw);
  if (!fields) return false;
  const auto at = [&fields](std::size_t i) { return i < fields->size() ? (*fields)[i] : std::string_view("\x40", 1); };
  if (!wire::is_null(at(0))) {
    message.message_id = wire::to_text(at(0));
    message.message_id_raw = at(0);
  }
  message.user_id = wire::as_binary(at(1)).value_or(std::string_view());
  message.to = wire::to_text(at(2));
  if (!wire::is_null(at(5))) {
    message.correlation_id = wire::to_text(at(5));
    message.correlation_id_raw = at(5);
  }
  message.content_type = wire::to_text(at(6));
  message.content_encoding = wire::to_text(at(7));
  message.absolute_expiry_time = wire::as_timestamp(at(8));
  return true;
}

bool read_map(std::string_view raw, Properties& properties) {
  const auto entries = wire::elements(raw);
  if (!entries || entries->size() % 2 != 0) return false;
  properties.reserve(entries->size() / 2);
  for (std::size_t i = 0; i < entries->size(); i += 2) {
    properties.emplace_back(wire::to_text((*entries)[i]), wire::to_text((*entries)[i + 1]));
  }
  return true;
}

bool read_section(const wire::Described& section, Message& message) {
  switch (section.code) {
    case Section::properties:
      return read_properties(section.value, message);
    case Section::application_properties:
      return read_map(section.value, message.properties);
    case Section::message_annotations:
      return read_map(section.value, message.annotations);
    case Section::data: {
      const auto bytes = wire::as_binary(section.value);
      if (bytes) message.body.append(*bytes);
      return bytes.has_value();
    }
    case Section::value:
      if (const auto bytes = wire::as_binary(section.value)) {
        message.body = *bytes;
      } else {
        message.body = wire::to_text(section.value);
      }
      return true;
    case Section::header:
    case Section::delivery_annotations:
    case Section::sequence:
    case Section::footer:
      return true;
    default:
      return false;
  }
}

const std::string* find_in(const Properties& properties, std::string_view name) {
  for (const auto& [key, text] : properties) {
    if (key == name) return &text;
  }
  return nullptr;
}

bool starts_a_section(std::string_view bytes) {
  return bytes.size() > 3 && bytes[0] == '\x00' &&
         ((bytes[1] == '\x53' && (bytes[2] & '\x70') == '\x70') || bytes[1] == '\x80');
}

void put_text_or_null(std::string& out, std::string_view text, void (*put)(std::string&, std::string_view)) {
  if (text.empty()) {
    wire::put_null(out);
  } else {
    put(out, text);
  }
}

void put_id(std::string& out, const std::string& raw, const std::string& text) {
  if (!raw.empty()) {
    out.append(raw);
  } else {
    put_text_or_null(out, text, wire::put_string);
  }
}

}  // namespace

Result<Message> decode_message(std::string_view payload) {
  Message message;
  wire::Reader reader(payload);
  if (reader.empty()) return fail(ErrorCode::invalid, "empty message");
  while (!reader.empty()) {
    const auto raw = reader.next();
    const auto section = raw ? wire::described(*raw) : std::nullopt;
    if (!section || !read_section(*section, message)) return fail(ErrorCode::invalid, "not an AMQP message");
  }
  return message;
}

std::optional<std::vector<std::string_view>> split_batch(std::string_view payload) {
  // Cheap for an ordinary message: its first section is not Data.
  std::vector<std::string_view> inner;
  wire::Reader reader(payload);
  while (!reader.empty()) {
    const auto raw = reader.next();
    const auto section = raw ? wire::described(*raw) : std::nullopt;
    if (!section || section->code != Section::data) return std::nullopt;
    const auto bytes = wire::as_binary(section->value);
    if (!bytes || !starts_a_section(*bytes)) return std::nullopt;
    inner.push_back(*bytes);
  }
  if (inner.empty()) return std::nullopt;
  for (const auto message : inner) {
    if (!decode_message(message)) return std::nullopt;
  }
  return inner;
}

std::size_t metered_size(const Message& message) {
  auto size = message.body.size() + message.message_id.size() + message.user_id.size() + message.to.size() +
              message.correlation_id.size() + message.content_type.size() + message.content_encoding.size();
  for (const auto& [name, text] : message.properties) size += name.size() + text.size();
  return size;
}

void append_properties(std::string& out, const Message& message) {
  std::string fields;
  put_id(fields, message.message_id_raw, message.message_id);
  put_text_or_null(fields, message.user_id, wire::put_binary);
  put_text_or_null(fields, message.to, wire::put_string);
  wire::put_null(fields);  // subject
  wire::put_null(fields);  // reply-to
  put_id(fields, message.correlation_id_raw, message.correlation_id);
  put_text_or_null(fields, message.content_type, wire::put_symbol);
  put_text_or_null(fields, message.content_encoding, wire::put_symbol);
  std::uint32_t count = 8;
  if (message.absolute_expiry_time) {
    wire::put_timestamp(fields, *message.absolute_expiry_time);
    ++count;
  }
  wire::put_descriptor(out, Section::properties);
  wire::put_list(out, count, fields);
}

void append_application_properties(std::string& out, const Properties& properties) {
  if (properties.empty()) return;
  std::string entries;
  for (const auto& [name, text] : properties) {
    wire::put_string(entries, name);
    wire::put_string(entries, text);
  }
  wire::put_descriptor(out, Section::application_properties);
  wire::put_map(out, static_cast<std::uint32_t>(2 * properties.size()), entries);
}

void append_data(std::string& out, std::string_view body) {
  wire::put_descriptor(out, Section::data);
  wire::put_binary(out, body);
}

const std::string* find_property(const Message& message, std::string_view name) {
  return find_in(message.properties, name);
}

const std::string* find_annotation(const Message& message, std::string_view name) {
  return find_in(message.annotations, name);
}

std::string_view raw_property(std::string_view payload, std::string_view name) {
  wire::Reader reader(payload);
  while (const auto raw = reader.next()) {
    const auto section = wire::described(*raw);
    if (!section || section->code != Section::application_properties) continue;
    const auto entries = wire::elements(section->value);
    if (!entries) return {};
    for (std::size_t i = 0; i + 1 < entries->size(); i += 2) {
      if (wire::as_text((*entries)[i]) == name) return (*entries)[i + 1];
    }
  }
  return {};
}

}  // namespace trunkline::hubsim
