// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "gateway/base/clock.h"
#include "gateway/mapping/frame_field.h"
#include "gateway/mapping/framing.h"

namespace trunkline {

// How a TCP device is spoken to. All of it is made by config from `tcp = { … }`: immutable values.

// What may stand in braces in what is sent: besides what the command says, check values over all bytes in front of them
// (from {from} on, if that stands there), raw or as capital hexadecimal digits.
inline constexpr std::array<std::string_view, 14> kTcpSendFields{"payload", "id",      "device",  "name",     "version",
                                                                 "from",    "bcc",     "lrc",     "sum",      "crc16",
                                                                 "bcc_hex", "lrc_hex", "sum_hex", "crc16_hex"};

struct TcpCommand {
  std::string send;                  // template of kTcpSendFields
  std::optional<std::string> reply;  // template of the message that means done; such messages are not telemetry
  std::optional<Framing> framing{};  // of what is sent; unset: the line's
  Milliseconds timeout{0};           // for the reply to one sending; 0: the command's whole time
  unsigned retries = 0;              // further sendings
  Milliseconds expire{0};            // a command that is older than this at the hub is never sent; 0: none is too old
};

// Something that is asked again and again; what the device answers is its telemetry.
struct TcpPoll {
  std::string send;  // template of kTcpSendFields; there is no {payload} and no {id}
  Milliseconds every{0};
  Milliseconds timeout{2'000};
};

// A message that only says that its sender lives.
struct TcpHeartbeat {
  Pattern match;
  std::optional<std::string> answer{};  // bytes
  friend bool operator==(const TcpHeartbeat&, const TcpHeartbeat&) = default;
};

// What is sent when nothing was heard for `every`; when nothing comes then, the connection is dead.
struct TcpProbe {
  std::string send;  // bytes
  Milliseconds every{0};
  Milliseconds timeout{10'000};
  friend bool operator==(const TcpProbe&, const TcpProbe&) = default;
};

// What tells the devices of one listener or line apart.
struct TcpIdentify {
  enum class By : std::uint8_t {
    sole,          // there is one device only
    address,       // the source address
    registration,  // the first message of a connection, which is no telemetry
    frame,         // each message: several devices on one connection
    certificate,   // its common name
    psk,           // the identity of a pre-shared key
  };
  By by = By::sole;
  FrameField field{};              // registration, frame
  std::size_t bytes = 0;           // registration: so many bytes, in front of the first frame
  std::string answer{};            // registration: sent when it is known
  std::size_t hold_bytes = 4096;   // of a connection that nobody is known on
  Milliseconds hold_time{10'000};  // likewise
  friend bool operator==(const TcpIdentify&, const TcpIdentify&) = default;
};

struct TcpTls {
  std::string cert;        // ours, PEM
  std::string key;         // 0600
  std::string ca_file;     // whom the peer's certificate must come from
  std::string name;        // dialling: in the peer's certificate; empty: the host
  bool psk = false;        // pre-shared keys of the identity store
  std::string identity{};  // dialling: who we are by psk; empty: the device's id
  friend bool operator==(const TcpTls&, const TcpTls&) = default;
};

// What all devices on one listener or line have in common.
struct TcpLine {
  TcpIdentify identify{};
  std::optional<FrameField> sequence{};  // of a message: names it in tcp.ack, and tells a repeat
  bool cumulative = false;               // tcp.ack of the last safe message stands for those before it
  std::vector<TcpHeartbeat> heartbeats{};
  std::optional<TcpProbe> probe{};
  Milliseconds silence{0};          // nothing heard for so long: the connection is dead; 0: never
  Milliseconds dead_after{60'000};  // the network path is dead when nothing is acknowledged for so long
  Milliseconds gap{0};              // between anything heard or sent and what is sent next
  Milliseconds release{0};     // dialling: connected only while there is something to do, and so long after; 0: always
  Milliseconds retry{30'000};  // dialling: the longest wait between two attempts
  std::string bind{};          // dialling: our own address, or the name of an interface
  bool refuse_second = false;  // a second connection of a device is refused; else it takes the place of the first
  unsigned max_connections = 20'000;
  unsigned max_per_address = 0;      // listening: connections of one source address; 0: as many as there may be
  std::vector<std::string> allow{};  // listening: addresses and networks that may connect; empty: all
  std::optional<TcpTls> tls{};
  friend bool operator==(const TcpLine&, const TcpLine&) = default;
};

// Bytes that a device sends, and what shall become of them; where its author wrote it.
struct TcpSample {
  std::string bytes;
  std::vector<std::string> out;  // messages that go up
  std::uint32_t line = 0;
  std::uint32_t column = 0;
};

struct TcpMap {
  std::string listen;  // "ADDRESS:PORT", or
  Framing framing;
  std::optional<std::string> ack;  // sent for each message once it is safe; {sequence} with line.sequence
  std::optional<TcpCommand> command;
  std::string connect{};  // "HOST:PORT" to dial
  TcpLine line{};
  std::string is{};  // what line.identify finds for this device
  std::vector<TcpPoll> polls{};
  // A method, answered by `reply` with {payload} and {status}; it has {name} to send. Desired properties, with
  // {version}; without a reply they are taken over when they were written.
  std::optional<TcpCommand> method{};
  std::optional<TcpCommand> desired{};
  std::optional<std::string> reported{};  // template with {payload}: messages that say the device's state, as JSON
  std::vector<TcpSample> samples{};
};

// Do both maps say the same of the listener or line that they share?
inline bool same_line(const TcpMap& a, const TcpMap& b) {
  return a.listen == b.listen && a.connect == b.connect && a.framing == b.framing && a.ack == b.ack && a.line == b.line;
}

}  // namespace trunkline
