// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "gateway/base/result.h"

namespace trunkline::hubsim {

using Properties = std::vector<std::pair<std::string, std::string>>;

// The sections of an AMQP message that the hub reads or writes. Identifiers keep their encoded form beside their text,
// because an answer must carry them in the same AMQP type.
struct Message {
  std::string message_id;
  std::string message_id_raw;
  std::string user_id;
  std::string to;
  std::string correlation_id;
  std::string correlation_id_raw;
  std::string content_type;
  std::string content_encoding;
  std::optional<std::int64_t> absolute_expiry_time;  // milliseconds since the epoch
  Properties properties;                             // application properties, values as text
  Properties annotations;                            // message annotations likewise
  std::string body;                                  // the bytes of Data, or the text of an AmqpValue
};

// Pure. Sections are taken in any order, as the C SDK writes them; several Data sections are one body. Refuses bytes
// that are not a message.
Result<Message> decode_message(std::string_view payload);

// The messages of a batch (message-format 0x80013700): Data sections only, each holding a whole message. Proton hides
// the format code, so a batch is known by its shape. Nothing if the payload is an ordinary message.
std::optional<std::vector<std::string_view>> split_batch(std::string_view payload);

// What the hub meters: body, values of system properties, names and values of user properties.
std::size_t metered_size(const Message& message);

// Appends one section.
void append_properties(std::string& out, const Message& message);
void append_application_properties(std::string& out, const Properties& properties);
void append_data(std::string& out, std::string_view body);

// The value of an application property, by exact name.
const std::string* find_property(const Message& message, std::string_view name);
const std::string* find_annotation(const Message& message, std::string_view name);
// The value of an application property as it was encoded, for a reader that cares about its type; empty if there is
// none.
std::string_view raw_property(std::string_view payload, std::string_view name);

}  // namespace trunkline::hubsim
