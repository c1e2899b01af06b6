// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <concepts>
#include <functional>
#include <initializer_list>
#include <string>
#include <string_view>

#include "gateway/base/clock.h"

namespace trunkline::log {

// error: loss, or a person is needed. warning: something unexpected was survived without loss. info: the story of the
// daemon, never per message. debug: per message.
enum class Level { debug, info, warning, error };

// One key=value pair. Values are quoted when needed, escaped and cut at 256 bytes, because device names and peer texts
// come from outside. Keys are fixed words: device, msg, adapter, epoch, error, attempt, peer, ...
struct Field {
  std::string_view key;
  std::string value;

  Field(std::string_view k, std::string_view v) : key(k), value(v) {}
  Field(std::string_view k, const char* v) : key(k), value(v) {}
  Field(std::string_view k, const std::string& v) : key(k), value(v) {}
  Field(std::string_view k, bool v) : key(k), value(v ? "true" : "false") {}
  template <std::integral N>
  requires(!std::same_as<N, bool>) Field(std::string_view k, N v) : key(k), value(std::to_string(v)) {}
};

// Before the first line, once: the lowest level that is written. Lines go to standard error with the priority prefix of
// sd-daemon(3) when it is the journal (JOURNAL_STREAM is set), else with a time stamp.
void set_level(Level level);
bool enabled(Level level);

// One line: the event's name (subject_verb, past tense, stable) and its fields. Any thread. Never bodies, tokens or
// keys. Lines above debug go through the Governor (log_governor.h): what repeats about the same adapter, device or
// connection, or about many of them, is counted instead of written (log_lines_suppressed), and all together are capped
// (log_lines_dropped).
void write(Level level, std::string_view event, std::initializer_list<Field> fields = {});

inline void debug(std::string_view event, std::initializer_list<Field> fields = {}) {
  write(Level::debug, event, fields);
}
inline void info(std::string_view event, std::initializer_list<Field> fields = {}) {
  write(Level::info, event, fields);
}
inline void warning(std::string_view event, std::initializer_list<Field> fields = {}) {
  write(Level::warning, event, fields);
}
inline void error(std::string_view event, std::initializer_list<Field> fields = {}) {
  write(Level::error, event, fields);
}

// Where lines go, and the time that the Governor sees; empty members are standard error and the steady clock. For
// tests; while no other thread logs that minds.
struct Output {
  std::function<void(Level, const std::string&)> write;
  std::function<SteadyTime()> now;
};
void redirect(Output output);

// The text of one line without prefix; pure, for tests.
std::string format_line(std::string_view event, std::initializer_list<Field> fields);

}  // namespace trunkline::log
