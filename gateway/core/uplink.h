// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "gateway/base/clock.h"
#include "gateway/core/command.h"
#include "gateway/core/message.h"
#include "gateway/core/method.h"
#include "gateway/core/outcome.h"
#include "gateway/core/token.h"
#include "gateway/core/twin.h"

namespace trunkline {

// The multiplexer's dense number of a device; saves the hot path every look-up by name. Chosen by the multiplexer,
// stable for the life of the process.
struct DeviceSlot {
  std::uint32_t value = 0;
  friend auto operator<=>(const DeviceSlot&, const DeviceSlot&) = default;
};

// The multiplexer's dense number of a connection, from 0. One is the normal case; past max_devices_per_connection there
// are more.
struct ConnectionSlot {
  std::uint32_t value = 0;
  friend auto operator<=>(const ConnectionSlot&, const ConnectionSlot&) = default;
};

// Which of a device's links. methods and twin are pairs, one link each way, attached and ended together.
enum class DeviceLink : std::uint8_t { telemetry, commands, methods, twin };
inline constexpr std::size_t kDeviceLinks = 4;
std::string_view to_string(DeviceLink link);

// Names one command delivery of one epoch of one connection. A settle that carries an old epoch is ignored.
struct CommandTag {
  ConnectionSlot connection;
  std::uint64_t epoch = 0;
  std::uint64_t delivery = 0;
};

// Names one method call of one epoch of one connection. A response that carries an old epoch is dropped: its caller has
// been told already.
struct MethodTag {
  ConnectionSlot connection;
  std::uint64_t epoch = 0;
  std::uint64_t call = 0;
};

// Why something on the hub's side ended or was refused, in the hub's words and sorted by what to do.
struct LinkFault {
  enum class Kind {
    transport,     // TCP, TLS or AMQP connection lost or refused: retry
    unauthorised,  // token or key refused: renew once, then wait for a person
    not_found,     // unknown or disabled device, or an address that no template matches
    throttled,     // the hub asks for less: retry later
    taken_over,    // another client holds the device
    oversize,      // message too large
    protocol,      // our own fault by AMQP's rules: log loudly
    busy,          // the hub is moving or failing: retry
    timeout,       // no answer within our limit
    full,          // the connection holds as many tokens as the hub allows: another connection is needed
    redirect,      // the hub wants us at another of its addresses; the uplink goes there at the next open()
    stopped,       // we closed it
  };
  Kind kind = Kind::transport;
  std::string condition;    // AMQP error condition, or "trunkline:…" for what we found ourselves
  std::string description;  // the hub's text, at most 512 bytes
  std::optional<Milliseconds> retry_after;

  [[nodiscard]] std::string text() const;  // kind, condition and description in one line
};
std::string_view to_string(LinkFault::Kind kind);

// What happens on the uplinks. Called on the hub thread, from within the uplink's own dispatch; calling back into
// Uplink is allowed in every one. After on_lost nothing more comes of that connection until the next open(); after
// Uplink::detach nothing more comes of that device on that connection.
class UplinkEvents {
 public:
  virtual ~UplinkEvents() = default;
  virtual void on_ready(ConnectionSlot connection) = 0;                  // open, $cbs attached both ways
  virtual void on_lost(ConnectionSlot connection, LinkFault fault) = 0;  // every link and delivery with it
  virtual void on_authorised(DeviceSlot slot) = 0;                 // put-token answered 2xx, first time and renewal
  virtual void on_refused(DeviceSlot slot, LinkFault fault) = 0;   // put-token refused, or not answered in time
  virtual void on_attached(DeviceSlot slot, DeviceLink link) = 0;  // of a pair: both are
  // A link was refused at attach or ended later, or its AMQP session ended (then once for each attached link).
  // Unsettled deliveries of that link get no outcome.
  virtual void on_detached(DeviceSlot slot, DeviceLink link, LinkFault fault) = 0;
  virtual void on_sendable(DeviceSlot slot) = 0;  // send may succeed again: credit came or bytes left
  virtual void on_outcome(DeviceSlot slot, Position position, Outcome outcome) = 0;
  virtual void on_command(DeviceSlot slot, Command command, CommandTag tag) = 0;
  virtual void on_method(DeviceSlot slot, MethodCall call, MethodTag tag) = 0;
  virtual void on_twin_answer(DeviceSlot slot, TwinAnswer answer) = 0;
  // The desired properties changed; JSON text of the merge patch, with "$version".
  virtual void on_desired(DeviceSlot slot, std::string patch) = 0;
};

// One connection to the hub as the multiplexer sees it. HubLink implements it over AMQP; all calls on the hub thread;
// none blocks; failures come as events. Owned by the composition root.
class Uplink {
 public:
  virtual ~Uplink() = default;

  enum class SendResult {
    sent,       // on its way; exactly one of on_outcome, on_detached or on_lost follows
    no_credit,  // on_sendable follows when it may succeed
    blocked,    // too many bytes queued; on_sendable follows
    detached,   // the telemetry link is not attached
  };

  virtual void open() = 0;  // one attempt; on_ready or on_lost follows
  virtual void authorise(DeviceSlot slot, const DeviceId& device, Token token) = 0;
  virtual void attach(DeviceSlot slot, DeviceLink link) = 0;  // only once authorised in this connection
  virtual void detach(DeviceSlot slot) = 0;                   // ends its AMQP session silently
  virtual SendResult send(DeviceSlot slot, const MessagePtr& message) = 0;
  // The command link's total credit from now on (0 withdraws what was not used; what is on its way still arrives).
  virtual void grant_commands(DeviceSlot slot, unsigned credit) = 0;
  virtual void settle(CommandTag tag, const Outcome& outcome) = 0;
  virtual void respond(MethodTag tag, const MethodResponse& response) = 0;  // once for each on_method
  virtual bool ask_twin(DeviceSlot slot, const TwinRequest& request) = 0;   // false: the twin links are not attached
  virtual void close() = 0;               // orderly; on_lost(stopped) follows within 2 s
  virtual void abort(LinkFault why) = 0;  // at once, the peer is not heard any more; on_lost(why) follows
};

// Makes connections when the multiplexer needs a further one. Hub thread; what it returns lives until the process ends.
class UplinkFactory {
 public:
  virtual ~UplinkFactory() = default;
  virtual Uplink& uplink(ConnectionSlot connection) = 0;
};

// Counts a message as the hub does (hub-amqp-protocol.md 5.3): body, values of system properties, names and values of
// application properties. Any thread.
class MessageSizer {
 public:
  virtual ~MessageSizer() = default;
  [[nodiscard]] virtual std::size_t size(const Telemetry& telemetry) const = 0;
  [[nodiscard]] virtual std::size_t limit() const = 0;
};

}  // namespace trunkline
