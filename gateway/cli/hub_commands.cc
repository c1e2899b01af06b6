// SPDX-License-Identifier: Apache-2.0
#include "gateway/cli/hub_commands.h"

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <optional>

#include "gateway/base/crypto.h"
#include "gateway/base/json.h"
#include "gateway/cli/key_input.h"
#include "gateway/cli/text_table.h"
#include "gateway/service/operator_hub.h"

namespace trunkline::cli {
namespace {

using service::OperatorHub;

constexpr std::size_t kMaxText = 4096;
constexpr const char* kHelp =
    R"(The connection string of a shared access policy comes from --connection-string-file, from the environment
variable TRUNKLINE_CONNECTION_STRING, or from --connection-string (which other users may see while this runs).
Modules are "<device>/<module>". A message or payload of "-" is read from standard input.

  trunkline hub devices
  trunkline hub send boiler-7 "open valve" --ack full
  trunkline hub feedback --wait 60
  trunkline hub call boiler-7 restart '{"delay":5}'
  trunkline hub twin boiler-7 --desired '{"rate":5}'

Exit status: 0 done, 1 the hub or the device refused or could not be reached, 2 wrong usage.)";

std::string or_input(const std::string& text, const Streams& streams) {
  if (text != "-") return text;
  return {std::istreambuf_iterator<char>(streams.in), std::istreambuf_iterator<char>()};
}

int failed(const Streams& streams, const Error& error) {
  streams.err << "trunkline hub: " << plain(error.message) << '\n';
  return kFailed;
}

}  // namespace

struct HubCommands::Arguments {
  std::string connection_string;
  std::string connection_string_file;
  std::string address;
  std::string https;
  std::string ca_file;
  unsigned timeout_s = 30;
  bool json = false;
  unsigned top = 1000;
  std::string device;
  std::string body;
  std::string id;
  std::string ack;
  std::string content_type;
  std::string correlation_id;
  unsigned lifetime_s = 0;
  std::vector<std::string> properties;
  unsigned wait_s = 60;
  unsigned count = 0;
  std::string method;
  std::string payload = "null";
  std::string desired;
  std::string tags;

  [[nodiscard]] Result<OperatorHub::Options> options(const Streams& streams) const;
  int devices(OperatorHub& hub, const Streams& streams) const;
  int send(OperatorHub& hub, const Streams& streams) const;
  int feedback(OperatorHub& hub, const Streams& streams) const;
  int call(OperatorHub& hub, const Streams& streams) const;
  int twin(OperatorHub& hub, const Streams& streams) const;
};

HubCommands::HubCommands(CLI::App& app) : arguments_(std::make_unique<Arguments>()) {
  auto& a = *arguments_;
  hub_ = app.add_subcommand("hub", "The service side of the hub: devices, send, feedback, call, twin");
  hub_->require_subcommand(1);
  hub_->fallthrough();
  hub_->footer(kHelp);
  hub_->add_option("--connection-string-file", a.connection_string_file, "A file with it, or - for standard input")
      ->type_name("FILE");
  hub_->add_option("--connection-string", a.connection_string, "The connection string itself")->type_name("TEXT");
  hub_->add_option("--address", a.address, "Where AMQP is, if not at the host's port 5671")->type_name("HOST:PORT");
  hub_->add_option("--https", a.https, "Where HTTPS is, if not at the host's port 443")->type_name("HOST:PORT");
  hub_->add_option("--ca-file", a.ca_file, "Whom to trust instead of the system's authorities")->type_name("FILE");
  hub_->add_option("--timeout", a.timeout_s, "Seconds to wait for the hub")
      ->check(CLI::Range(1, 3600))
      ->capture_default_str();
  hub_->add_flag("--json", a.json, "Print JSON");

  const auto with_device = [&](const char* name, const char* help) {
    auto* command = hub_->add_subcommand(name, help);
    command->add_option("device", a.device, "The device's id, or <device>/<module>")->required();
    return command;
  };
  auto* devices = hub_->add_subcommand("devices", "The registered devices, without their keys");
  devices->add_option("--top", a.top, "At most so many")->check(CLI::Range(1, 1000))->capture_default_str();
  auto* send = with_device("send", "Send a cloud-to-device message; prints its message id");
  send->add_option("message", a.body, "The message")->required();
  send->add_option("--id", a.id, "Its message id; made if not given")->type_name("ID");
  send->add_option("--ack", a.ack, "What is told as feedback")
      ->check(CLI::IsMember({"none", "positive", "negative", "full"}));
  send->add_option("--content-type", a.content_type, "Such as application/json")->type_name("TYPE");
  send->add_option("--correlation-id", a.correlation_id, "Passed on to the device")->type_name("ID");
  send->add_option("--lifetime", a.lifetime_s, "Seconds until it is too late")->check(CLI::Range(1, 172'800));
  send->add_option("--property", a.properties, "An application property; may be repeated")->type_name("NAME=VALUE");
  auto* feedback = hub_->add_subcommand("feedback", "What became of messages that were sent with --ack");
  feedback->add_option("--wait", a.wait_s, "Seconds to listen")->check(CLI::Range(1, 86'400))->capture_default_str();
  feedback->add_option("--count", a.count, "End after so many records");
  auto* call = with_device("call", "Call a direct method; prints status and payload");
  call->add_option("method", a.method, "Its name")->required();
  call->add_option("payload", a.payload, "JSON")->capture_default_str();
  call->add_option("--wait", a.wait_s, "Seconds to wait for the device")
      ->check(CLI::Range(5, 300))
      ->capture_default_str();
  auto* twin = with_device("twin", "Show a twin, or change it and show it");
  twin->add_option("--desired", a.desired, "A merge patch of the desired properties")->type_name("JSON");
  twin->add_option("--tags", a.tags, "A merge patch of the tags")->type_name("JSON");
}

HubCommands::~HubCommands() = default;

Result<OperatorHub::Options> HubCommands::Arguments::options(const Streams& streams) const {
  Secret text;
  if (!connection_string_file.empty()) {
    if (others_may_read(connection_string_file)) {
      streams.err << "trunkline hub: warning: others may read " << plain(connection_string_file) << '\n';
    }
    auto read = read_secret_text(connection_string_file, streams.in, kMaxText);
    if (!read) return fail(read.error());
    text = std::move(*read);
  } else if (!connection_string.empty()) {
    streams.err << "trunkline hub: warning: other users may see --connection-string in the process list\n";
    text = Secret(connection_string);
  } else if (const auto* from = std::getenv("TRUNKLINE_CONNECTION_STRING"); from != nullptr) {
    text = Secret(from);
  } else {
    return fail(ErrorCode::invalid,
                "no connection string: set TRUNKLINE_CONNECTION_STRING or --connection-string-file");
  }
  auto account = service::ConnectionString::parse(text.reveal());
  if (!account) return fail(account.error());
  const auto place = [&](const std::string& said, std::uint16_t port) -> Result<net::Endpoint> {
    if (said.empty()) return net::Endpoint{account->host, port};
    auto parsed = net::Endpoint::parse(said);
    if (!parsed) return fail(parsed.error());
    return *parsed;
  };
  const auto amqp = place(address, 5671);
  if (!amqp) return fail(amqp.error().in("--address"));
  const auto rest = place(https, 443);
  if (!rest) return fail(rest.error().in("--https"));
  return OperatorHub::Options{std::move(*account), *amqp, *rest, ca_file, std::chrono::seconds(timeout_s)};
}

int HubCommands::Arguments::devices(OperatorHub& hub, const Streams& streams) const {
  const auto text = hub.devices(top);
  if (!text) return failed(streams, text.error());
  if (json) {
    streams.out << *text << '\n';
    return kDone;
  }
  boost::system::error_code wrong;
  const auto value = trunkline::json::parse(*text, wrong);
  const auto* list = wrong ? nullptr : value.if_array();
  if (list == nullptr) return failed(streams, {ErrorCode::unavailable, "the hub's list cannot be read"});
  TextTable table({"DEVICE", "STATUS", "CONNECTION", "LAST ACTIVITY"});
  const auto member = [](const trunkline::json::object& in, const char* name) {
    const auto* found = in.if_contains(name);
    return found != nullptr && found->is_string() ? std::string(found->get_string()) : std::string("-");
  };
  for (const auto& entry : *list) {
    if (!entry.is_object()) continue;
    const auto& object = entry.get_object();
    table.add({member(object, "deviceId"), member(object, "status"), member(object, "connectionState"),
               member(object, "lastActivityTime")});
  }
  streams.out << table.text();
  return kDone;
}

int HubCommands::Arguments::send(OperatorHub& hub, const Streams& streams) const {
  auto to = DeviceId::parse(device);
  if (!to) return failed(streams, to.error());
  hub::ServiceLink::Message message{
      .device = std::move(*to), .id = id.empty() ? random_uuid() : id, .body = or_input(body, streams)};
  message.ack = ack;
  message.content_type = content_type;
  message.correlation_id = correlation_id;
  message.lifetime = std::chrono::seconds(lifetime_s);
  for (const auto& text : properties) {
    const auto equals = text.find('=');
    if (equals == std::string::npos || equals == 0) {
      streams.err << "trunkline hub: --property " << plain(text) << ": write NAME=VALUE\n";
      return kUsage;
    }
    message.properties.push_back({text.substr(0, equals), text.substr(equals + 1)});
  }
  const auto outcome = hub.send(message);
  if (!outcome) return failed(streams, outcome.error());
  if (outcome->kind != Outcome::Kind::accepted) {
    return failed(streams, {ErrorCode::invalid, "the hub " + std::string(to_string(outcome->kind)) + " the message: " +
                                                    outcome->condition + " " + outcome->description});
  }
  streams.out << (json ? R"({"id":)" + trunkline::json::serialize(trunkline::json::value(message.id)) + "}"
                       : message.id)
              << '\n';
  return kDone;
}

int HubCommands::Arguments::feedback(OperatorHub& hub, const Streams& streams) const {
  unsigned seen = 0;
  const auto done = hub.feedback(std::chrono::seconds(wait_s), [&](const std::string& record) {
    ++seen;
    if (json) {
      streams.out << record << '\n' << std::flush;
    } else {
      const auto value = trunkline::json::parse(record);
      const auto member = [&](const char* name) {
        const auto* found = value.is_object() ? value.get_object().if_contains(name) : nullptr;
        return found != nullptr && found->is_string() ? plain(std::string(found->get_string())) : std::string("-");
      };
      streams.out << member("enqueuedTimeUtc") << "  " << member("deviceId") << "  " << member("originalMessageId")
                  << "  " << member("statusCode") << '\n'
                  << std::flush;
    }
    return count == 0 || seen < count;
  });
  if (!done) return failed(streams, done.error());
  return count > 0 && seen < count ? kFailed : kDone;
}

int HubCommands::Arguments::call(OperatorHub& hub, const Streams& streams) const {
  const auto to = DeviceId::parse(device);
  if (!to) return failed(streams, to.error());
  const auto answer = hub.call(*to, {method, or_input(payload, streams)}, std::chrono::seconds(wait_s));
  if (!answer) return failed(streams, answer.error());
  if (json) {
    streams.out << R"({"status":)" << answer->status << R"(,"payload":)" << answer->payload << "}\n";
  } else {
    streams.out << answer->status << ' ' << answer->payload << '\n';
  }
  return answer->status >= 200 && answer->status < 300 ? kDone : kFailed;
}

int HubCommands::Arguments::twin(OperatorHub& hub, const Streams& streams) const {
  const auto to = DeviceId::parse(device);
  if (!to) return failed(streams, to.error());
  trunkline::json::object patch;
  for (const auto& [text, is_desired] : {std::pair(&desired, true), std::pair(&tags, false)}) {
    if (text->empty()) continue;
    boost::system::error_code wrong;
    auto value = trunkline::json::parse(*text, wrong);
    if (wrong || !value.is_object()) {
      streams.err << "trunkline hub: " << (is_desired ? "--desired" : "--tags") << " is no JSON object\n";
      return kUsage;
    }
    if (is_desired) {
      patch["properties"] = trunkline::json::object{{"desired", std::move(value)}};
    } else {
      patch["tags"] = std::move(value);
    }
  }
  const auto shown = patch.empty() ? hub.twin(*to) : hub.patch_twin(*to, trunkline::json::serialize(patch));
  if (!shown) return failed(streams, shown.error());
  streams.out << *shown << '\n';
  return kDone;
}

int HubCommands::run(const Streams& streams) const {
  auto options = arguments_->options(streams);
  if (!options) {
    streams.err << "trunkline hub: " << plain(options.error().message) << '\n';
    return kUsage;
  }
  OperatorHub hub(std::move(*options));
  const auto name = hub_->get_subcommands().front()->get_name();
  if (name == "devices") return arguments_->devices(hub, streams);
  if (name == "send") return arguments_->send(hub, streams);
  if (name == "feedback") return arguments_->feedback(hub, streams);
  if (name == "call") return arguments_->call(hub, streams);
  return arguments_->twin(hub, streams);
}

}  // namespace trunkline::cli
