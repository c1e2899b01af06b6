// SPDX-License-Identifier: Apache-2.0
#include "adapters/tcp/request.h"

#include <utility>

#include "adapters/tcp/framing/checks.h"
#include "adapters/tcp/framing/write.h"
#include "gateway/mapping/tcp_map.h"

namespace trunkline::tcp {

namespace {

FrameCheck check_of(std::string_view name) {
  return name == "bcc"   ? FrameCheck::bcc
         : name == "lrc" ? FrameCheck::lrc
         : name == "sum" ? FrameCheck::sum
                         : FrameCheck::crc16;
}

}  // namespace

Result<Request> Request::make(std::string_view send, Framing framing) {
  auto parsed = Template::parse(send, kTcpSendFields);
  if (!parsed) return fail(parsed.error());
  return Request(std::move(*parsed), std::move(framing));
}

Request::Request(Template send, Framing framing) : send_(std::move(send)), framing_(std::move(framing)), ends_(0) {
  // No device id and no number holds a line end, so whatever is there is the operator's.
  ends_ = ends_within(framing_, fill({"x", "1", "x", "x", "1"}));
}

std::string Request::fill(const Values& values) const {
  std::size_t from = 0;
  return send_.fill_by([&](std::string& out, std::string_view name) {
    if (name == "payload") {
      out += values.payload;
    } else if (name == "id") {
      out += values.id;
    } else if (name == "device") {
      out += values.device;
    } else if (name == "name") {
      out += values.name;
    } else if (name == "version") {
      out += values.version;
    } else if (name == "from") {
      from = out.size();
    } else {
      constexpr std::string_view kHex = "_hex";
      const bool hex = name.ends_with(kHex);
      if (hex) name.remove_suffix(kHex.size());
      out += check_value(check_of(name), hex, std::string_view(out).substr(from));
    }
  });
}

Result<std::string> Request::wire(const Values& values) const {
  return write_frame(framing_, fill(values), ends_);
}

}  // namespace trunkline::tcp
