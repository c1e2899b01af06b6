// SPDX-License-Identifier: Apache-2.0
#include <chrono>
#include <functional>
#include <optional>
#include <ostream>
#include <thread>
#include <utility>

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

namespace {

// One look: the object, or what stands for it where there is no answer, and the exit status that goes with it.
struct Look {
  json::object status;
  int code = kFailed;
};

Look look_at(const std::string& socket) {
  Look out;
  auto answer = ask_status(socket);
  if (!answer) {
    if (answer.error().code == ErrorCode::not_found) out.code = kNotRunning;
    const bool absent = out.code == kNotRunning;
    out.status = json::object{{"verdict", absent ? "not running" : "failed"},
                              {"reason", answer.error().message},
                              {"action", absent ? "start it: systemctl start trunkline" : "look at its log"}};
    return out;
  }
  out.status = std::move(*answer);
  const auto& verdict = out.status.at("verdict");
  if (verdict.is_string() && verdict.as_string() == "ok") out.code = kDone;
  return out;
}

// The control socket, or nothing after saying what is wrong with the configuration.
std::optional<std::string> socket_of(const Place& place, const Streams& streams) {
  const auto loaded = config::load(place.config);
  if (loaded.paths_usable) return loaded.settings.status.control;
  for (const auto& problem : loaded.problems) streams.err << problem.text() << '\n';
  return std::nullopt;
}

const json::array& devices_of(const json::object& status) {
  static const json::array none;
  const auto* devices = status.if_contains("devices");
  return devices != nullptr && devices->is_array() ? devices->as_array() : none;
}

// What to say of a gateway that answers with its devices; of another one its verdict is said.
int of_devices(const Place& place, const Streams& streams, const std::function<int(const json::object&)>& say) {
  const auto socket = socket_of(place, streams);
  if (!socket) return kUsage;
  const auto look = look_at(*socket);
  if (look.status.contains("devices")) return say(look.status);
  streams.err << status_text(look.status);
  return look.code;
}

}  // namespace

int status(const Place& place, bool as_json, const Streams& streams) {
  const auto socket = socket_of(place, streams);
  if (!socket) return kUsage;
  const auto look = look_at(*socket);
  streams.out << (as_json ? json::serialize(look.status) + '\n' : status_text(look.status));
  return look.code;
}

int devices(const Place& place, bool as_json, const Streams& streams) {
  return of_devices(place, streams, [&](const json::object& status) {
    streams.out << (as_json ? json::serialize(devices_of(status)) + '\n' : devices_text(status));
    return kDone;
  });
}

int device(const Place& place, const std::string& id, bool as_json, const Streams& streams) {
  return of_devices(place, streams, [&](const json::object& status) {
    for (const auto& entry : devices_of(status)) {
      const auto* found = entry.if_object();
      const auto* name = found == nullptr ? nullptr : found->if_contains("id");
      if (name == nullptr || !name->is_string() || std::string_view(name->as_string()) != id) continue;
      streams.out << (as_json ? json::serialize(*found) + '\n' : device_text(*found));
      return kDone;
    }
    streams.err << "trunkline: the running gateway has no device " << plain(id)
                << "; \"trunkline devices\" lists them, \"trunkline check\" says what is wrong with a map\n";
    return kFailed;
  });
}

int top(const Place& place, Milliseconds pause, std::uint64_t rounds, const Streams& streams) {
  const auto socket = socket_of(place, streams);
  if (!socket) return kUsage;
  json::object before;
  auto asked = std::chrono::steady_clock::now();
  for (std::uint64_t round = 0;; ++round) {
    const auto look = look_at(*socket);
    const auto now = std::chrono::steady_clock::now();
    const std::chrono::duration<double> passed = now - asked;
    asked = now;
    // Home and clear, so that the terminal keeps its history.
    streams.out << "\x1b[H\x1b[2J" << top_text(look.status, before, round == 0 ? 0 : passed.count()) << std::flush;
    if (!streams.out || round + 1 == rounds) return look.code;
    before = look.status;
    std::this_thread::sleep_for(pause);
  }
}

}  // namespace trunkline::cli
