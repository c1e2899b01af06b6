// SPDX-License-Identifier: Apache-2.0
#include <ostream>

#include "config/settings.h"
#include "gateway/base/json.h"
#include "gateway/cli/commands.h"
#include "gateway/cli/control_client.h"
#include "gateway/cli/status_text.h"
#include "gateway/cli/text_table.h"

namespace trunkline::cli {
namespace {

constexpr Milliseconds kPatience{10'000};

Result<json::object> ask_status(const std::string& socket) {
  const auto answer = ask_gateway(socket, R"({"op":"status"})", kPatience);
  if (!answer) return fail(answer.error());
  boost::system::error_code bad;
  auto value = json::parse(*answer, bad);
  if (bad || !value.is_object() || !value.as_object().contains("verdict")) {
    return fail(ErrorCode::internal, socket + ": it gave an answer that makes no sense");
  }
  return std::move(value.as_object());
}

}  // namespace

int status(const Place& place, bool as_json, const Streams& streams) {
  const auto loaded = config::load(place.config);
  if (!loaded.paths_usable) {
    for (const auto& problem : loaded.problems) streams.err << problem.text() << '\n';
    return kUsage;
  }
  auto answer = ask_status(loaded.settings.status.control);
  int code = kFailed;
  if (!answer) {
    if (answer.error().code == ErrorCode::not_found) code = kNotRunning;
    answer = json::object{{"verdict", code == kNotRunning ? "not running" : "failed"},
                          {"reason", answer.error().message},
                          {"action", code == kNotRunning ? "start it: systemctl start trunkline" : "look at its log"}};
  } else if (const auto& verdict = answer->at("verdict"); verdict.is_string() && verdict.as_string() == "ok") {
    code = kDone;
  }
  if (as_json) {
    streams.out << json::serialize(*answer) << '\n';
  } else {
    streams.out << status_text(*answer);
  }
  return code;
}

}  // namespace trunkline::cli
