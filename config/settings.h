// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "gateway/base/clock.h"
#include "gateway/base/result.h"
#include "gateway/core/message.h"
#include "gateway/mapping/device_map.h"
#include "gateway/mapping/family.h"
#include "gateway/net/endpoint.h"

namespace trunkline::config {

// When a device's telemetry link is attached.
enum class Attach {
  needed,  // at its first message
  start,   // at once
};

// What an operator may write in trunkline.toml; the initial values are the defaults. An immutable value once loaded.
struct Hub {
  std::string host;                        // required: tenant, TLS name and token audience
  net::Endpoint address;                   // where to connect; host:5671 unless set
  std::string ca_file;                     // empty: the system's store
  Milliseconds token_lifetime{3'600'000};  // 30s to 24h
  double attach_rate = 100;                // devices per second after a (re)connect; 0 is "off"
  Attach attach = Attach::needed;          // of telemetry links
  double send_rate = 0;                    // messages per second toward the hub; 0 is "off"
  unsigned max_devices_per_connection = 990;
  Milliseconds report_every{1'000};  // of each device's reported properties, at most
  bool report_state = false;         // each twin says whether its device is connected, and more
};

struct Identity {
  std::string store = "/var/lib/trunkline/identity.db";
  std::string key_file;  // sealing key; empty: "<store>.key" beside the store
};

enum class Durability {
  power,    // synced before the acknowledgement
  process,  // survives kill -9, not a power cut
};

struct Spool {
  std::string directory = "/var/lib/trunkline/spool";
  Durability durability = Durability::power;
  std::uint64_t max_bytes = 1ULL << 30;
  std::uint64_t max_messages = 10'000'000;
  Milliseconds max_age{7LL * 24 * 3'600'000};
  unsigned device_share = 10;  // percent of max_bytes that one device may hold
  Milliseconds commit_delay{0};
  Milliseconds ledger_flush{10'000};
};

struct Status {
  std::string listen = "127.0.0.1:9464";
  std::string control = "/run/trunkline/control.sock";
};

struct Mqtt {
  std::string name = "default";
  SourcePlace place;
  bool tls = false;      // mqtts://
  net::Endpoint broker;  // from "mqtt://127.0.0.1:1883"
  std::string user;
  std::string password_file;  // 0600
  std::string ca_file;
  std::string cert;                     // our own certificate (PEM, the chain with it), where the broker asks for one
  std::string key;                      // 0600
  bool verify_certificate = true;       // with mqtts://: it must come from an authority that we trust …
  bool verify_host = true;              // … and be for the host in `broker`
  std::string version = "5";            // or "3.1.1"
  std::string client_id = "trunkline";  // fixed: the broker keeps our session by this name
  Milliseconds keep_alive{30'000};
  std::optional<Durability> durability;  // instead of spool.durability
};

struct Coap {
  std::string listen;       // plain UDP; empty: none
  std::string listen_dtls;  // DTLS 1.2; empty: none
  std::string cert;         // PEM; with key and ca_file devices may show a certificate
  std::string key;          // 0600
  std::string ca_file;      // of the devices' certificates
  Milliseconds command_wait{500};
  Milliseconds session_timeout{300'000};
  std::uint64_t max_body = 64 * 1024;
  unsigned max_sessions = 5000;  // of each listener
  unsigned max_handshakes = 500;
  double peer_rate = 1000;  // requests per second of one peer; 0 is "off"
  std::optional<Durability> durability;
};

struct Settings {
  std::string file;  // as given
  Hub hub;
  Identity identity;
  Spool spool;
  Status status;
  std::vector<Mqtt> mqtt;
  std::optional<Coap> coap;
  std::optional<Durability> tcp_durability;  // of the table [tcp]
  std::string log_level = "info";            // debug, info, warning, error
  std::vector<DeviceMap> devices;            // from devices.d beside the file, in order of file name
  std::vector<DeviceFamily> families;        // to be expanded over the identities (expand_families)
};

// One thing that is wrong, as the operator reads it: "file:line:col: message; what to do".
struct Problem {
  SourcePlace place;  // line 0: the file as a whole
  std::string message;
  [[nodiscard]] std::string text() const;
};

struct Loaded {
  Settings settings;              // usable only without problems
  std::vector<Problem> problems;  // every one, over all files, in order of file and line
  std::vector<Problem> warnings;  // loads all the same
  bool paths_usable = false;      // [identity] and [status] are right, whatever else is wrong
};

// Reads trunkline.toml and devices.d/*.toml beside it. Never throws, never stops at the first problem. Called on the
// main thread.
Loaded load(const std::string& file);

}  // namespace trunkline::config
