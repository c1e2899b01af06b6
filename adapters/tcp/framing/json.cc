// SPDX-License-Identifier: Apache-2.0
#include "adapters/tcp/framing/json.h"

#include <algorithm>

namespace trunkline::tcp {

Look JsonScanner::look(std::string_view bytes) {
  if (depth_ == 0) {
    const auto begin = std::min(bytes.find_first_of("{["), bytes.size());
    if (begin > 0) {
      const auto between = bytes.substr(0, begin);
      // White space, the record separator of RFC 7464, and a comma between documents are no noise.
      const bool separators = between.find_first_not_of(" \t\r\n\x1E,") == std::string_view::npos;
      return Look::skip(begin, separators ? FrameFault::none : FrameFault::noise);
    }
  }
  while (at_ < bytes.size()) {
    if (!take(bytes[at_])) {
      // The rest of an over-long document breaks off here, and this may begin the next one.
      if (at_ == 0) {
        forget();
        return look(bytes);
      }
      const auto gone = at_;
      const auto fault = dropping_ ? FrameFault::none : FrameFault::malformed;
      forget();
      return Look::skip(gone, fault);
    }
    ++at_;
    if (depth_ > 0) continue;
    const auto length = at_;
    if (!dropping_ && length <= most_) return Look::frame(length, bytes.substr(0, length));
    const auto fault = dropping_ ? FrameFault::none : FrameFault::overlong;
    forget();
    return Look::skip(length, fault);
  }
  if (bytes.size() <= most_ && !dropping_) return Look::more();
  const auto fault = dropping_ ? FrameFault::none : FrameFault::overlong;
  dropping_ = true;
  return Look::skip(bytes.size(), fault);
}

// False: no JSON text goes on like this.
bool JsonScanner::take(char c) {
  if (in_string_) {
    if (static_cast<unsigned char>(c) < 0x20) return false;
    if (escaped_) {
      escaped_ = false;
    } else if (c == '\\') {
      escaped_ = true;
    } else if (c == '"') {
      in_string_ = false;
      last_ = c;
    }
    return true;
  }
  switch (c) {
    case ' ':
    case '\t':
    case '\r':
    case '\n':
      return true;
    case '"':
      in_string_ = true;
      return true;
    case '{':
    case '[':
      // RFC 8259: a value stands at the beginning, after a colon, and in an array after its bracket or a comma.
      if (depth_ > 0 && last_ != ':' && (objects_[depth_ - 1] || (last_ != '[' && last_ != ','))) return false;
      if (depth_ == kDeepest) return false;
      objects_[depth_++] = c == '{';
      break;
    case '}':
    case ']':
      if (objects_[depth_ - 1] != (c == '}')) return false;
      --depth_;
      break;
    default:
      if (static_cast<unsigned char>(c) < 0x20) return false;
      break;
  }
  last_ = c;
  return true;
}

void JsonScanner::forget() {
  dropping_ = false;
  in_string_ = escaped_ = false;
  depth_ = 0;
  last_ = 0;
}

void JsonScanner::restart() {
  at_ = 0;
  // The rest of an over-long document is followed to its end.
  if (!dropping_) forget();
}

Look JsonScanner::on_silence(std::string_view bytes) {
  forget();
  at_ = 0;
  return Look::skip(bytes.size(), FrameFault::timeout);
}

}  // namespace trunkline::tcp
