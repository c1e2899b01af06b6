// SPDX-License-Identifier: Apache-2.0
#include "gateway/base/log.h"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <cstdlib>
#include <mutex>
#include <utility>

#include "gateway/base/log_governor.h"

namespace trunkline::log {
namespace {

constexpr std::size_t kMaxValue = 256;

// The log sink is the one singleton (style guide 6.5): everything may log, nothing may depend on what is logged.
spdlog::logger& sink() {
  static const auto logger = [] {
    auto made = std::make_shared<spdlog::logger>("trunkline", std::make_shared<spdlog::sinks::stderr_sink_mt>());
    made->set_pattern(std::getenv("JOURNAL_STREAM") != nullptr ? "%v" : "%Y-%m-%dT%H:%M:%S.%e %^%l%$ %v");
    made->set_level(spdlog::level::info);
    made->flush_on(spdlog::level::debug);
    return made;
  }();
  return *logger;
}

spdlog::level::level_enum spd(Level level) {
  switch (level) {
    case Level::debug:
      return spdlog::level::debug;
    case Level::info:
      return spdlog::level::info;
    case Level::warning:
      return spdlog::level::warn;
    case Level::error:
      return spdlog::level::err;
  }
  return spdlog::level::err;
}

const char* priority(Level level) {
  static const bool journal = std::getenv("JOURNAL_STREAM") != nullptr;
  if (!journal) return "";
  switch (level) {
    case Level::debug:
      return "<7>";
    case Level::info:
      return "<6>";
    case Level::warning:
      return "<4>";
    case Level::error:
      return "<3>";
  }
  return "<3>";
}

void append_value(std::string& line, std::string_view value) {
  const bool cut = value.size() > kMaxValue;
  if (cut) value = value.substr(0, kMaxValue);
  bool plain = !value.empty() && !cut;
  for (char c : value) {
    if (c <= ' ' || c == '"' || c == '=' || c == '\\' || c == 0x7F) plain = false;
  }
  if (plain) {
    line += value;
    return;
  }
  static constexpr char kDigits[] = "0123456789abcdef";
  line += '"';
  for (char c : value) {
    const auto b = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      line += '\\';
      line += c;
    } else if (b < 0x20 || b == 0x7F) {
      line += "\\x";
      line += kDigits[b >> 4];
      line += kDigits[b & 15];
    } else {
      line += c;
    }
  }
  if (cut) line += "...";
  line += '"';
}

// Whom a line is about; a peer is another one each time it connects.
std::string subject_of(std::initializer_list<Field> fields) {
  std::string subject;
  for (const auto& field : fields) {
    if (field.key != "adapter" && field.key != "device" && field.key != "connection") continue;
    if (!subject.empty()) subject += ' ';
    subject += field.value;
  }
  return subject;
}

struct Shared {
  std::mutex mutex;
  Governor governor;
  Output output;
};

Shared& shared() {
  static Shared state;
  return state;
}

std::string line_of(const Governor::Omitted& omitted) {
  if (omitted.event.empty()) return format_line("log_lines_dropped", {{"count", omitted.count}});
  if (omitted.subject.empty() && omitted.subjects > 0) {
    return format_line("log_lines_suppressed",
                       {{"event", omitted.event}, {"subjects", omitted.subjects}, {"count", omitted.count}});
  }
  return format_line("log_lines_suppressed",
                     {{"event", omitted.event}, {"subject", omitted.subject}, {"count", omitted.count}});
}

void say(const Shared& state, Level level, const std::string& line) {
  if (state.output.write) {
    state.output.write(level, line);
  } else {
    sink().log(spd(level), "{}{}", priority(level), line);
  }
}

}  // namespace

void set_level(Level level) {
  sink().set_level(spd(level));
}

bool enabled(Level level) {
  return sink().should_log(spd(level));
}

std::string format_line(std::string_view event, std::initializer_list<Field> fields) {
  std::string line(event);
  for (const auto& field : fields) {
    line += ' ';
    line += field.key;
    line += '=';
    append_value(line, field.value);
  }
  return line;
}

void write(Level level, std::string_view event, std::initializer_list<Field> fields) {
  if (!enabled(level)) return;
  auto& state = shared();
  const std::lock_guard lock(state.mutex);
  if (level != Level::debug) {
    const auto now = state.output.now ? state.output.now() : std::chrono::steady_clock::now();
    const auto verdict = state.governor.admit(event, subject_of(fields), level >= Level::warning, now);
    for (const auto& omitted : verdict.omitted) say(state, Level::info, line_of(omitted));
    if (!verdict.write) return;
  }
  say(state, level, format_line(event, fields));
}

void redirect(Output output) {
  auto& state = shared();
  const std::lock_guard lock(state.mutex);
  state.output = std::move(output);
  state.governor = Governor();
}

}  // namespace trunkline::log
