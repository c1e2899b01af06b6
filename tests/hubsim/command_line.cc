// SPDX-License-Identifier: Apache-2.0
#include "tests/hubsim/command_line.h"

#include <charconv>

namespace trunkline::hubsim {
namespace {

// "ID:KEY"; a key is base64 and has no colon, an id may have one.
Result<NamedKey> named_key(const std::string& option, const std::string& text) {
  const auto colon = text.rfind(':');
  if (colon == text.npos || colon == 0 || colon + 1 == text.size()) {
    return fail(ErrorCode::invalid, option + " wants NAME:KEY");
  }
  return NamedKey{text.substr(0, colon), text.substr(colon + 1)};
}

Result<void> apply(HubOptions& options, const std::string& option, const std::string& value) {
  if (option == "--listen") {
    if (options.listen.empty()) {
      options.listen = value;
    } else {
      options.also_listen.push_back(value);
    }
  } else if (option == "--max-tokens") {
    const auto* end = value.data() + value.size();
    const auto number = std::from_chars(value.data(), end, options.limits.tokens_per_connection);
    if (number.ec != std::errc() || number.ptr != end) return fail(ErrorCode::invalid, "--max-tokens wants a number");
  } else if (option == "--https") {
    options.https = value;
  } else if (option == "--hub-name") {
    options.hub_name = value;
  } else if (option == "--state") {
    options.state_directory = value;
  } else if (option == "--control") {
    options.control_socket = value;
  } else if (option == "--events") {
    options.events_file = value;
  } else if (option == "--record") {
    if (value != "all" && value != "count") return fail(ErrorCode::invalid, "--record is all or count");
    options.record_bodies = value == "all";
  } else if (option == "--device" || option == "--policy") {
    auto entry = named_key(option, value);
    if (!entry) return fail(entry.error());
    (option == "--device" ? options.devices : options.policies).push_back(std::move(*entry));
  } else {
    return fail(ErrorCode::invalid, "unknown option " + option);
  }
  return {};
}

}  // namespace

Result<CommandLine> parse_command_line(const std::vector<std::string>& arguments) {
  CommandLine line;
  line.options.listen.clear();
  line.options.hub_name.clear();
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const auto& argument = arguments[i];
    if (argument == "--help" || argument == "-h") {
      line.what = CommandLine::What::help;
      return line;
    }
    if (i == 0 && argument == "ctl") {
      line.what = CommandLine::What::ask;
      continue;
    }
    if (!argument.starts_with("--")) {
      if (line.what != CommandLine::What::ask || !line.request.empty()) {
        return fail(ErrorCode::invalid, "unexpected argument " + argument);
      }
      line.request = argument;
      continue;
    }
    const auto equals = argument.find('=');
    if (equals == argument.npos && i + 1 == arguments.size()) {
      return fail(ErrorCode::invalid, argument + " wants a value");
    }
    const auto value = equals == argument.npos ? arguments[++i] : argument.substr(equals + 1);
    if (auto applied = apply(line.options, argument.substr(0, equals), value); !applied) return fail(applied.error());
  }
  if (line.what == CommandLine::What::ask) {
    if (line.options.control_socket.empty() || line.request.empty()) {
      return fail(ErrorCode::invalid, "ctl wants --control SOCKET and a request");
    }
    return line;
  }
  if (line.options.hub_name.empty()) return fail(ErrorCode::invalid, "--hub-name is missing");
  if (line.options.listen.empty()) line.options.listen = "127.0.0.1:5671";
  if (line.options.state_directory.empty()) return fail(ErrorCode::invalid, "--state is missing");
  return line;
}

std::string help_text() {
  return R"(trunkline-hubsim: a hub to test against, on this machine, without a cloud account

  trunkline-hubsim --hub-name NAME --state DIR [options]
  trunkline-hubsim ctl --control SOCKET '{"op":"status"}'

  --hub-name NAME        the hub's host name; without a dot, ".azure-devices.net" is put behind it
  --state DIR            where its CA (ca.pem) and server certificate are made and kept
  --listen HOST:PORT     127.0.0.1:5671 if not given; port 0 chooses a free one; may be repeated, the first is the hub's
  --https HOST:PORT      the service side over HTTPS: registry, twins, direct methods; none if not given
  --device ID:KEY        a device and its base64 key; any number; of a module, DEVICE/MODULE:KEY
  --policy NAME:KEY      a shared access policy; without any, iothubowner and service get random keys
  --control SOCKET       a Unix socket to look inside and to inject faults
  --max-tokens N         identities that one connection may ever authorise; 1000 if not given
  --record all|count     keep every arrival (the default), or only count
  --events FILE          append one JSON line for each arrival

The first line on standard output is a JSON object with the port, the host, the CA file and the policy keys.
Arrivals, command queues and feedback live in memory and are gone when it ends. SIGTERM ends it.
)";
}

}  // namespace trunkline::hubsim
