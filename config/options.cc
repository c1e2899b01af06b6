// SPDX-License-Identifier: Apache-2.0
#include "config/options.h"

#include <concepts>
#include <cstdio>
#include <cstdlib>

#include "config/main_file.h"
#include "config/map_options.h"
#include "config/units.h"
#include "config/written.h"

namespace trunkline::config {
namespace {

using Kind = Option::Kind;
using Value = std::string;

constexpr std::int64_t kSecond = 1000;
constexpr std::int64_t kHour = 3'600'000;
constexpr std::int64_t kDay = 24 * kHour;
constexpr std::int64_t kKiB = 1024;
constexpr std::int64_t kGiB = 1024 * 1024 * kKiB;

Value text(std::string_view value) {
  return value.empty() ? Value() : toml_text(value);
}
Value text(Milliseconds value) {
  return text(duration_text(value));
}
Value text(std::optional<Durability> value) {
  if (!value) return {};
  return text(*value == Durability::power ? "power" : "process");
}

Value text(unsigned value) {
  return std::to_string(value);
}
Value text(std::uint64_t value) {
  return std::to_string(value);
}
Value text(double value) {
  if (value <= 0) return text("off");
  char out[64];
  std::snprintf(out, sizeof out, "\"%.15g/s\"", value);
  return out;
}
// Not for what merely converts to bool, as a literal does.
Value text(std::same_as<bool> auto value) {
  return value ? "true" : "false";
}
Value text(Attach value) {
  return text(std::string_view(value == Attach::start ? "start" : "needed"));
}

// Where a table's values are.
const Hub& hub(const Settings& s, std::size_t) {
  return s.hub;
}
const Identity& identity(const Settings& s, std::size_t) {
  return s.identity;
}
const Spool& spool(const Settings& s, std::size_t) {
  return s.spool;
}
const Status& status(const Settings& s, std::size_t) {
  return s.status;
}
const Settings& root(const Settings& s, std::size_t) {
  return s;
}
const Mqtt& mqtt(const Settings& s, std::size_t broker) {
  static const Mqtt defaults;
  return broker < s.mqtt.size() ? s.mqtt[broker] : defaults;
}
const Coap& coap(const Settings& s, std::size_t) {
  static const Coap defaults;
  return s.coap ? *s.coap : defaults;
}

template <auto Table, auto Member>
Value of(const Settings& s, std::size_t broker) {
  return text(Table(s, broker).*Member);
}
template <auto Table, auto Member>
Value bytes_of(const Settings& s, std::size_t broker) {
  return text(size_text(Table(s, broker).*Member));
}

Value address_of(const Settings& s, std::size_t) {
  return s.hub.address.port == 0 || s.hub.address == net::Endpoint{s.hub.host, 5671} ? Value()
                                                                                     : text(s.hub.address.text());
}
Value share_of(const Settings& s, std::size_t) {
  return text(std::to_string(s.spool.device_share) + "%");
}
Value broker_of(const Settings& s, std::size_t broker) {
  const auto& one = mqtt(s, broker);
  return one.broker.port == 0 ? Value() : text((one.tls ? "mqtts://" : "mqtt://") + one.broker.text());
}

// clang-format off
const std::vector<Option>& table() {
  static const std::vector<Option> rows = {
  {"hub", "host", Kind::text, 0, 0, {}, "required", "host name of the hub: tenant, TLS name and token audience", of<hub, &Hub::host>},
  {"hub", "address", Kind::text, 0, 0, {}, "hub.host, port 5671", "where to connect, as host:port", address_of},
  {"hub", "ca_file", Kind::path, 0, 0, {}, "the system's", "PEM file of the certificates to trust", of<hub, &Hub::ca_file>},
  {"hub", "token_lifetime", Kind::duration, 30 * kSecond, kDay, {}, "", "life of a device's token; it is renewed in time", of<hub, &Hub::token_lifetime>, true},
  {"hub", "attach_rate", Kind::rate, 0, 10'000, {}, "", "devices that come back in a second after a lost connection", of<hub, &Hub::attach_rate>, true},
  {"hub", "attach", Kind::choice, 0, 0, {"needed", "start"}, "", "when a device's telemetry link is attached: at its first message, or at once", of<hub, &Hub::attach>},
  {"hub", "send_rate", Kind::rate, 0, 1'000'000, {}, "", "messages a second toward the hub at most; the gateway slows down by itself when the hub complains", of<hub, &Hub::send_rate>, true},
  {"hub", "max_devices_per_connection", Kind::integer, 1, 1000, {}, "", "past this a further connection opens by itself", of<hub, &Hub::max_devices_per_connection>},
  {"hub", "report_every", Kind::duration, 100, kHour, {}, "", "reported properties of one device go up at most so often, merged", of<hub, &Hub::report_every>},
  {"hub", "report_state", Kind::flag, 0, 0, {}, "", "each twin says, under gateway, whether its device is connected, when it was heard, and which desired properties it confirmed", of<hub, &Hub::report_state>},

  {"identity", "store", Kind::path, 0, 0, {}, "", "the devices' keys, sealed", of<identity, &Identity::store>},
  {"identity", "key_file", Kind::path, 0, 0, {}, "the store's name and .key", "the sealing key, mode 0600; systemd's credential \"sealing-key\" comes first", of<identity, &Identity::key_file>},

  {"spool", "directory", Kind::path, 0, 0, {}, "", "messages that are safe here and not yet at the hub", of<spool, &Spool::directory>},
  {"spool", "durability", Kind::choice, 0, 0, {"power", "process"}, "", "power: synced before the acknowledgement; process: survives kill -9, not a power cut", of<spool, &Spool::durability>},
  {"spool", "max_bytes", Kind::size, 1024 * kKiB, 1024 * kGiB, {}, "", "all of it on disk, journal and dead letters included", bytes_of<spool, &Spool::max_bytes>},
  {"spool", "max_messages", Kind::integer, 1, 1'000'000'000, {}, "", "messages and dead letters held at the same time", of<spool, &Spool::max_messages>},
  {"spool", "max_age", Kind::duration, kShortestAge.count(), kLongestAge.count(), {}, "", "older messages are dropped and counted as expired", of<spool, &Spool::max_age>, true},
  {"spool", "device_share", Kind::percent, 1, 100, {}, "", "of max_bytes, the most that one device holds", share_of},
  {"spool", "commit_delay", Kind::duration, 0, 60 * kSecond, {}, "", "how long a message may wait for the hub before it is written; never for a sender that waits for its answer", of<spool, &Spool::commit_delay>},
  {"spool", "ledger_flush", Kind::duration, 100, kHour, {}, "", "how often messages that were never written are booked", of<spool, &Spool::ledger_flush>},

  {"status", "listen", Kind::text, 0, 0, {}, "", "metrics, health and status over HTTP, as address:port", of<status, &Status::listen>},
  {"status", "control", Kind::path, 0, 0, {}, "", "socket of the commands, at most 107 bytes", of<status, &Status::control>},

  {"mqtt", "name", Kind::text, 0, 0, {}, "", "what device maps call this broker; needed with several [[mqtt]]", of<mqtt, &Mqtt::name>},
  {"mqtt", "broker", Kind::text, 0, 0, {}, "required", "mqtt://host:1883, or mqtts://host:8883 for TLS", broker_of},
  {"mqtt", "user", Kind::text, 0, 0, {}, "none", "who we are at the broker", of<mqtt, &Mqtt::user>},
  {"mqtt", "password_file", Kind::path, 0, 0, {}, "none", "holds the password alone, mode 0600", of<mqtt, &Mqtt::password_file>},
  {"mqtt", "ca_file", Kind::path, 0, 0, {}, "the system's", "PEM file of the certificates to trust, with mqtts://", of<mqtt, &Mqtt::ca_file>},
  {"mqtt", "verify_certificate", Kind::flag, 0, 0, {}, "", "with mqtts://: a trusted authority signed the broker's certificate; off for a test bench only", of<mqtt, &Mqtt::verify_certificate>},
  {"mqtt", "verify_host", Kind::flag, 0, 0, {}, "", "with mqtts://: that certificate is for the host in broker; off for a test bench only", of<mqtt, &Mqtt::verify_host>},
  {"mqtt", "client_id", Kind::text, 0, 0, {}, "", "the broker keeps our session under this name, at most 256 bytes", of<mqtt, &Mqtt::client_id>},
  {"mqtt", "version", Kind::choice, 0, 0, {"5", "3.1.1"}, "", "3.1.1: no properties, and the broker does not say why it refuses", of<mqtt, &Mqtt::version>},
  {"mqtt", "cert", Kind::path, 0, 0, {}, "none", "our certificate (PEM, with its chain), where a broker with mqtts:// asks for one", of<mqtt, &Mqtt::cert>},
  {"mqtt", "key", Kind::path, 0, 0, {}, "none", "its key, mode 0600", of<mqtt, &Mqtt::key>},
  {"mqtt", "keep_alive", Kind::duration, kSecond, 65'535 * kSecond, {}, "", "whole seconds (MQTT 5 section 3.1.2.10)", of<mqtt, &Mqtt::keep_alive>},
  {"mqtt", "durability", Kind::choice, 0, 0, {"power", "process"}, "the spool's", "for its messages", of<mqtt, &Mqtt::durability>},

  {"coap", "listen", Kind::text, 0, 0, {}, "required without listen_dtls", "plain UDP, an IP address and a port", of<coap, &Coap::listen>},
  {"coap", "listen_dtls", Kind::text, 0, 0, {}, "none", "DTLS 1.2, for the devices with coap.identity", of<coap, &Coap::listen_dtls>},
  {"coap", "cert", Kind::path, 0, 0, {}, "none", "our certificate, PEM; with key and ca_file devices may show a certificate instead of a key", of<coap, &Coap::cert>},
  {"coap", "key", Kind::path, 0, 0, {}, "none", "its key, mode 0600", of<coap, &Coap::key>},
  {"coap", "ca_file", Kind::path, 0, 0, {}, "none", "the authority of the devices' certificates, PEM", of<coap, &Coap::ca_file>},
  {"coap", "command_wait", Kind::duration, 0, 30 * kSecond, {}, "", "how long the answer to a device with coap.piggyback waits for a command", of<coap, &Coap::command_wait>},
  {"coap", "session_timeout", Kind::duration, 10 * kSecond, kDay, {}, "", "a peer that is silent for so long is forgotten, and its DTLS session with it", of<coap, &Coap::session_timeout>},
  {"coap", "max_body", Kind::size, kKiB, 256 * kKiB, {}, "", "of one message, both ways, in blocks if need be", bytes_of<coap, &Coap::max_body>},
  {"coap", "max_sessions", Kind::integer, 1, 100'000, {}, "", "peers of each listener", of<coap, &Coap::max_sessions>},
  {"coap", "max_handshakes", Kind::integer, 1, 100'000, {}, "", "unfinished DTLS handshakes, half of them from one address; more wait for their retransmission", of<coap, &Coap::max_handshakes>},
  {"coap", "peer_rate", Kind::rate, 0, 1'000'000, {}, "", "requests of one peer in a second, beyond it 4.29", of<coap, &Coap::peer_rate>},
  {"coap", "durability", Kind::choice, 0, 0, {"power", "process"}, "the spool's", "for its messages", of<coap, &Coap::durability>},

  {"tcp", "durability", Kind::choice, 0, 0, {"power", "process"}, "the spool's", "for the messages of all TCP devices", of<root, &Settings::tcp_durability>},

  {"log", "level", Kind::choice, 0, 0, {"debug", "info", "warning", "error"}, "", "from which on lines go to standard error, which is the journal under systemd", of<root, &Settings::log_level>, true},
  };
  return rows;
}
// clang-format on

std::string join(const std::vector<std::string_view>& words, std::string_view between) {
  std::string out;
  for (const auto word : words) out += (out.empty() ? "" : std::string(between)) + text(word);
  return out;
}

std::string in_unit(Kind kind, std::int64_t value) {
  switch (kind) {
    case Kind::duration:
      return text(Milliseconds(value));
    case Kind::size:
      return text(size_text(static_cast<std::uint64_t>(value)));
    case Kind::percent:
      return text(std::to_string(value) + "%");
    default:
      return std::to_string(value);
  }
}

// What mdoc(7) would read as its own.
std::string escaped(std::string_view plain) {
  std::string out;
  for (const char c : plain) {
    if (c == '\\') {
      out += "\\e";
    } else if (c == '-') {
      out += "\\-";
    } else {
      out += c;
    }
  }
  return out;
}

std::string sentence(std::string_view words) {
  std::string out(words);
  if (!out.empty() && out.front() >= 'a' && out.front() <= 'z')
    out.front() = static_cast<char>(out.front() - 'a' + 'A');
  return out + ".";
}

// Markdown of one line as text of a manual page: code is set apart by its form already.
std::string plain(std::string_view markdown) {
  std::string out;
  for (const char c : markdown) {
    if (c != '`') out += c;
  }
  out = escaped(out);
  // A line that begins with a dot or a quote would be a request.
  return out.starts_with('.') || out.starts_with('\'') ? "\\&" + out : out;
}

std::string kind_text(const Option& option) {
  switch (option.kind) {
    case Kind::text:
      return "a string";
    case Kind::path:
      return "a path, from / on";
    case Kind::choice:
      return "one of " + join(option.choices, ", ");
    case Kind::flag:
      return "true or false";
    case Kind::integer:
      return "a number, " + option.range_text();
    case Kind::duration:
      return "a duration, " + option.range_text();
    case Kind::size:
      return "a size, " + option.range_text();
    case Kind::rate:
      return "a rate, " + option.range_text();
    case Kind::percent:
      return "a percentage, " + option.range_text();
  }
  return {};
}

}  // namespace

std::string Option::range_text() const {
  if (kind == Kind::choice) return join(choices, ", ");
  if (kind == Kind::rate) return "up to \"" + std::to_string(high) + "/s\", or \"off\"";
  if (low == 0 && high == 0) return {};
  return in_unit(kind, low) + " to " + in_unit(kind, high);
}

std::string Option::default_text() const {
  return unset.empty() ? value(Settings(), 0) : std::string(unset);
}

std::span<const Option> options() {
  return table();
}

const Option& option(std::string_view table_name, std::string_view name) {
  for (const auto& one : table()) {
    if (one.table == table_name && one.name == name) return one;
  }
  std::fprintf(stderr, "bug: no option %.*s.%.*s\n", static_cast<int>(table_name.size()), table_name.data(),
               static_cast<int>(name.size()), name.data());
  std::abort();
}

std::string print_settings(const Settings& settings) {
  std::string out;
  const auto print = [&](std::string_view name, std::string_view head, std::size_t broker) {
    std::string lines;
    for (const auto& one : table()) {
      if (one.table != name) continue;
      if (const auto value = one.value(settings, broker); !value.empty())
        lines += std::string(one.name) + " = " + value + "\n";
    }
    if (!lines.empty()) out += (out.empty() ? "" : "\n") + std::string(head) + "\n" + lines;
  };
  std::string_view last;
  for (const auto& one : table()) {
    if (one.table == last) continue;
    last = one.table;
    if (last == "mqtt") {
      for (std::size_t i = 0; i < settings.mqtt.size(); ++i) print(last, "[[mqtt]]", i);
    } else if (last != "coap" || settings.coap) {
      print(last, "[" + std::string(last) + "]", 0);
    }
  }
  return out;
}

std::string options_markdown() {
  std::string out = "| option | default | values | meaning | a change |\n|---|---|---|---|---|\n";
  for (const auto& one : table()) {
    const auto range = one.range_text();
    const auto code = [](const std::string& t) { return t.empty() ? t : "`" + t + "`"; };
    out += "| `" + one.full_name() + "` | " + (one.unset.empty() ? code(one.default_text()) : std::string(one.unset)) +
           " | " + range + " | " + std::string(one.meaning) + " | " + (one.reloadable ? "reload" : "restart") + " |\n";
  }
  return out;
}

std::string options_manual() {
  std::string out =
      ".\\\" Made by \"trunkline config manual\".\n.Dd $Mdocdate$\n.Dt TRUNKLINE.TOML 5\n.Os\n.Sh NAME\n.Nm "
      "trunkline.toml\n"
      ".Nd configuration of the trunkline gateway\n.Sh DESCRIPTION\nTables and keys in TOML.\nNumbers with a unit are "
      "strings: durations in ms, s, m, h or d; sizes in B, KiB, MiB, GiB, KB, MB or GB; rates such as\n.Dq 100/s .\n"
      "Device maps go to the folder devices.d beside the file.\n.Dq trunkline check\nsays everything that is wrong at "
      "once;\n.Dq trunkline config print\nsays what holds;\n.Dq trunkline reload\ntakes over changed device maps, and "
      "the options that say so; the others "
      "need a restart.\n.Sh OPTIONS\n";
  std::string_view last;
  for (const auto& one : table()) {
    if (one.table != last) {
      if (!last.empty()) out += ".El\n";
      last = one.table;
      out += ".Ss " +
             std::string(last == "mqtt" ? "[mqtt], or [[mqtt]] with a name for several brokers"
                                        : "[" + std::string(last) + "]") +
             "\n.Bl -tag -width indent\n";
    }
    out += ".It Ic " + std::string(one.name) + "\n" + escaped(sentence(one.meaning)) + "\n" +
           escaped(sentence(kind_text(one) + (one.unset.starts_with("required") ? "; " : "; default: ") +
                            one.default_text())) +
           (one.reloadable ? "\nA reload takes a change over.\n" : "\n");
  }
  out += ".El\n.Sh DEVICE MAPS\nKeys of a\n.Dq [[device]]\nor\n.Dq [[family]] :\n.Bl -tag -width indent\n";
  for (const auto& one : map_options()) {
    std::string names;
    for (const auto name : one.names) names += (names.empty() ? ".It Ic " : " , ") + std::string(name);
    out +=
        names + "\n" + plain(sentence(one.meaning)) + "\n" + plain("Default: " + std::string(one.unset) + ".") + "\n";
  }
  return out + ".El\n.Sh SEE ALSO\n.Xr trunkline 8\n";
}

}  // namespace trunkline::config
