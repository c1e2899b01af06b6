// SPDX-License-Identifier: Apache-2.0
#include "gateway/mapping/json_text.h"

#include <charconv>
#include <cmath>

#include "gateway/base/encoding.h"

namespace trunkline {
namespace {

void put(std::string& out, const json::value& value) {
  switch (value.kind()) {
    case json::kind::object: {
      out += '{';
      bool first = true;
      for (const auto& member : value.get_object()) {
        if (!first) out += ',';
        first = false;
        out += json::serialize(member.key());
        out += ':';
        put(out, member.value());
      }
      out += '}';
      return;
    }
    case json::kind::array: {
      out += '[';
      bool first = true;
      for (const auto& item : value.get_array()) {
        if (!first) out += ',';
        first = false;
        put(out, item);
      }
      out += ']';
      return;
    }
    case json::kind::double_: {
      if (!std::isfinite(value.get_double())) {
        out += "null";  // a number too large for JSON's readers has no text
        return;
      }
      char text[32];
      const auto done = std::to_chars(std::begin(text), std::end(text), value.get_double());
      out.append(text, done.ptr);
      return;
    }
    default:
      out += json::serialize(value);
  }
}

}  // namespace

std::string json_text(const json::value& value) {
  std::string out;
  put(out, value);
  return out;
}

Result<json::value> read_json(std::string_view text) {
  if (!is_utf8(text)) return fail(ErrorCode::invalid, "the payload is not valid UTF-8");
  boost::system::error_code failed;
  auto value = json::parse(json::string_view(text.data(), text.size()), failed);
  if (failed) return fail(ErrorCode::invalid, "the payload is not JSON (" + failed.message() + ")");
  return value;
}

}  // namespace trunkline
