// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "gateway/base/clock.h"
#include "gateway/base/shared_value.h"
#include "gateway/core/device_id.h"
#include "gateway/core/message.h"
#include "gateway/core/priority.h"
#include "gateway/mapping/payload_map.h"
#include "gateway/mapping/tcp_map.h"

namespace trunkline {

// Where in the operator's files something was written; line and column count from 1.
struct SourcePlace {
  std::string file;
  std::uint32_t line = 0;
  std::uint32_t column = 0;
};

// Which event means that the device did the command (C-01).
enum class CommandDone {
  replied,       // the device's own reply or result arrived; the default where one is mapped
  acknowledged,  // the protocol's acknowledgement: a broker's PUBACK, a 2.xx of the device's CoAP server
  written,       // the bytes were handed to the connection
};

// What happens to a message of a device that is at its own limit (D-06).
enum class OnFull {
  refuse,       // the device is asked to wait
  drop_newest,  // it is refused for good (a broker is acknowledged) and counted as dropped
  drop_oldest,  // the device's oldest waiting message makes room, counted as dropped
};

// What becomes of retained messages that a broker brings at the subscription: they are state, not news.
enum class Retained {
  state,    // sent up with the property retained=true; the default
  drop,     // acknowledged and counted
  forward,  // as if they were new
};

// A topic that says whether something is there, such as a last will.
struct MqttPresence {
  std::string topic;
  std::string online = "online";  // the payload, or the member "state" of a JSON object
  std::string offline = "offline";
};

// Which of the devices that share a topic speaks, as the payload says (I-02: only where the map says so).
struct PayloadKey {
  std::string pointer;  // RFC 6901
  std::string value;
};

// Topics are patterns (topic_pattern.h): what a family does not know of its member stays a capture. In the command's
// topic it is filled by the command's application property of that name.
struct MqttMap {
  std::string broker;                         // name of the [[mqtt]] table, "default" for a plain [mqtt]
  std::string telemetry;                      // topic
  std::optional<std::string> command;         // topic to publish on
  std::optional<std::string> command_reply;   // topic on which the device says that it is done
  std::vector<std::string> more_telemetry{};  // further topics
  std::optional<MqttPresence> presence{};     // of the device
  std::optional<MqttPresence> bridge{};       // of what stands between it and the broker
  std::string command_payload{};  // template: {payload} {object} {id} {device} and captures; empty: as it is
  Retained retained = Retained::state;
  std::vector<std::string> ignore{};  // topics that mean nothing here though a wider one would match
  // What to subscribe to for the whole family instead of the topics themselves, and that for its presence.
  std::vector<std::string> filters{};
  std::vector<std::string> state_filters{};
  std::optional<PayloadKey> key{};
  std::optional<std::string> method{};        // topic to publish calls on; {name} is the method's name
  std::optional<std::string> method_reply{};  // topic of the device's answers
  std::optional<std::string> desired{};       // topic to publish changes of the desired properties on
  std::optional<std::string> reported{};      // topic on which the device says its state, as JSON
};

// The device's own CoAP server, from "coap://10.0.0.7:5683/cmd".
struct CoapPush {
  std::string host;  // an IP address
  std::uint16_t port = 5683;
  std::string path;
};

// Where a CoAP device says when its message was: an option of its own number, or a query "name=…". An empty option is
// a device without a clock, whose answer carries our time in the same option.
struct CoapTime {
  unsigned option = 0;  // 0: the query
  std::string query;
  DeviceTime rule;
};

struct CoapMap {
  std::optional<std::string> address;  // source address that is this device, on the plain listener
  std::string telemetry;               // path, "/t"; unique over all devices when neither identity nor address is set
  std::optional<std::string> command;  // path that the device observes
  std::optional<std::string> result;   // path to which it POSTs "?id=<id>" when done
  std::optional<std::string> identity{};  // PSK identity or certificate name; then it is heard on DTLS only
  bool piggyback = false;                 // commands come in the answer to its telemetry
  std::optional<CoapPush> push{};         // commands are POSTed there
  std::optional<CoapTime> time{};
  // Paths that the device observes, or on its own server if it has push; and to which it POSTs.
  std::optional<std::string> method{};
  std::optional<std::string> method_reply{};  // "?id=<id>&status=<status>" and the answer
  std::optional<std::string> desired{};
  std::optional<std::string> reported{};  // its state, as JSON; with "?id=<id>" it confirms desired properties too

  [[nodiscard]] bool takes_commands() const { return command || piggyback || push; }
};

// What an operator wrote, one option to its value, both as TOML: "mqtt.telemetry" -> "\"a/b\"".
using WrittenMap = std::map<std::string, std::string>;

// Everything an operator says of one device: the hub's id, the protocol it speaks, and how. Made by config from
// devices.d, an immutable value from then on. Exactly one of mqtt, coap and tcp is set.
struct DeviceMap {
  DeviceId id;
  SourcePlace place{};
  std::string content_type{};  // of its telemetry; empty: the adapter's default
  std::string content_encoding{};
  CommandDone command_done = CommandDone::replied;
  // Queue mode, command_done = "stored": commands are taken into the gateway's own care, and `command_done` is what
  // ends that: the reply where one is mapped, else the protocol's own acknowledgement.
  bool keeps_commands = false;
  std::size_t max_commands = 100;                // kept at the same time
  std::uint64_t max_command_bytes = 256 * 1024;  // of them together
  Milliseconds command_keep{48LL * 3'600'000};   // longest that one is kept
  Milliseconds command_timeout{45'000};        // from a message's arrival to its outcome, within the hub's lock (C-02)
  Milliseconds method_timeout{30'000};         // from a method's call to the device's answer
  std::optional<Milliseconds> expect_every{};  // silence of three times this means away (C-02)
  Priority priority = Priority::normal;
  unsigned in_flight = 64;                      // unsettled messages at the hub at the same time, 1 to 1000 (D-03)
  std::optional<std::uint64_t> max_bytes{};     // of the spool; less than its share
  std::optional<std::uint64_t> max_messages{};  // waiting and dead letters together
  std::optional<Milliseconds> max_age{};        // instead of the gateway's
  std::optional<OnFull> on_full{};              // unset: refuse, and drop_newest for MQTT (D-06)
  std::shared_ptr<const PayloadMap> shape{};    // null: bytes pass untouched
  std::vector<Property> captures{};             // of a family's member: what its id says
  // Equal texts are equal maps; a family's members share the family's.
  std::shared_ptr<const WrittenMap> written{};
  SharedValue<MqttMap> mqtt{};
  SharedValue<CoapMap> coap{};
  SharedValue<TcpMap> tcp{};

  [[nodiscard]] bool takes_commands() const {
    return (mqtt && mqtt->command) || (coap && coap->takes_commands()) || (tcp && tcp->command);
  }
  [[nodiscard]] bool takes_methods() const {
    return (mqtt && mqtt->method) || (coap && coap->method) || (tcp && tcp->method);
  }
  [[nodiscard]] bool takes_desired() const {
    return (mqtt && mqtt->desired) || (coap && coap->desired) || (tcp && tcp->desired);
  }
  [[nodiscard]] bool reports() const {
    return (mqtt && mqtt->reported) || (coap && coap->reported) || (tcp && tcp->reported) ||
           (shape && !shape->report.empty());
  }
};

// What a new configuration says of an adapter's devices.
struct DeviceChanges {
  std::vector<DeviceId> removed;
  std::vector<DeviceMap> added;  // also in place of the map that a device has now
};

}  // namespace trunkline
