// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <variant>

#include "gateway/base/clock.h"
#include "gateway/core/command.h"
#include "gateway/core/outcome.h"

namespace trunkline {

// What a device did with a command, kept so that a redelivery after a crash repeats the outcome and not the act (C-01).
struct CommandRecord {
  DeviceId device;
  std::uint64_t sequence = 0;  // the hub's, unique per device queue
  WallTime enqueued{};         // the hub's; tells a queue that was made anew from the old one
  std::string id;              // the service's message-id, may be empty
  Outcome outcome;
  WallTime at{};
};

// A command in the gateway's own care (queue mode). Its `expires` is always set.
struct KeptCommand {
  std::uint64_t number = 0;  // ours; ascending in the order in which they were taken
  Command command;

  // What it costs on disk, page remainders included, in bytes.
  [[nodiscard]] std::uint64_t footprint() const;
};
// It is taken, and the hub may be told so: both in one commit, or a crash between them would take it twice.
struct TakenCommand {
  KeptCommand kept;
  CommandRecord record;
};
// It leaves our care.
struct EndedCommand {
  enum class Fate : std::uint8_t {
    delivered,  // the device did it
    expired,    // its time ran out, here
    failed,     // the device or its adapter says that it can never be done
  };
  DeviceId device;
  std::uint64_t number = 0;
  Fate fate = Fate::delivered;
};

// A device's desired properties, so that it gets them after a restart without the hub.
struct TwinCopy {
  DeviceId device;
  std::int64_t version = 0;
  std::string desired;  // JSON text of an object

  // What it costs on disk, page remainders included, in bytes.
  [[nodiscard]] std::uint64_t footprint() const;
};

// Something that is not a message and has to be durable.
using Note = std::variant<CommandRecord, TakenCommand, EndedCommand, TwinCopy>;

// Of a device, since the spool's file was made: taken = delivered + expired + failed + waiting (D-05).
struct CommandBook {
  std::uint64_t taken = 0;
  std::uint64_t delivered = 0;
  std::uint64_t expired = 0;
  std::uint64_t failed = 0;
  std::uint64_t waiting = 0;  // counted from rows

  [[nodiscard]] std::int64_t unaccounted() const {
    return static_cast<std::int64_t>(taken) - static_cast<std::int64_t>(delivered + expired + failed + waiting);
  }
  CommandBook& operator+=(const CommandBook& other) {
    taken += other.taken;
    delivered += other.delivered;
    expired += other.expired;
    failed += other.failed;
    waiting += other.waiting;
    return *this;
  }
};

}  // namespace trunkline
