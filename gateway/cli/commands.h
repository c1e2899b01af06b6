// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <iosfwd>
#include <string>

#include "gateway/base/clock.h"

namespace trunkline::cli {

inline constexpr int kDone = 0;
inline constexpr int kFailed = 1;
inline constexpr int kUsage = 2;
inline constexpr int kNotRunning = 3;

struct Streams {
  std::istream& in;
  std::ostream& out;
  std::ostream& err;
};

// Where a command finds the gateway's files.
struct Place {
  std::string config = "/etc/trunkline/trunkline.toml";
  std::string store;  // instead of the one in the configuration
};

// Each runs one subcommand to its end and returns the exit status.
int check(const Place& place, bool json, bool live, const Streams& streams);
int status(const Place& place, bool json, const Streams& streams);
int devices(const Place& place, bool json, const Streams& streams);
int device(const Place& place, const std::string& id, bool json, const Streams& streams);
// A live view, `rounds` times (0: until it is interrupted).
int top(const Place& place, Milliseconds pause, std::uint64_t rounds, const Streams& streams);

// The running gateway takes the configuration over: 2 when it refuses it, 1 when it had to put everything back.
int reload(const Place& place, bool dry_run, bool json, const Streams& streams);

// "print": what holds, as TOML; "options" and "manual": every option, as Markdown and as a manual page.
int config_text(const Place& place, const std::string& what, const Streams& streams);

int ledger(const Place& place, const std::string& device, const std::string& since, bool json, const Streams& streams);
int spool(const Place& place, bool json, const Streams& streams);

// Which dead letters; nothing said means all of them where nothing is changed.
struct LetterChoice {
  std::string id;
  std::string device;
  bool all = false;
};
int dead_letters(const Place& place, const LetterChoice& choice, bool json, const Streams& streams);
int dead_letter_show(const Place& place, const LetterChoice& choice, bool json, const Streams& streams);
int dead_letters_export(const Place& place, const LetterChoice& choice, const std::string& file,
                        const Streams& streams);  // "-": standard output
int dead_letters_change(const Place& place, const LetterChoice& choice, const std::string& act,
                        const Streams& streams);  // "requeue" or "purge"

// Where a key comes from; nothing said means no key.
struct AddKey {
  std::string file{};  // "-": standard input
  std::string text{};  // from the command line
  bool generate = false;
  [[nodiscard]] bool said() const { return generate || !file.empty() || !text.empty(); }
};
int identity_add(const Place& place, const std::string& id, const AddKey& key, const AddKey& psk,
                 const Streams& streams);
// The key becomes the primary one once the hub took it; the one before stays as secondary while the hub takes it, too.
int identity_rotate(const Place& place, const std::string& id, const AddKey& key, const Streams& streams);
int identity_import(const Place& place, const std::string& file, const Streams& streams);
int identity_list(const Place& place, bool json, const Streams& streams);
int identity_show(const Place& place, const std::string& id, bool json, const Streams& streams);
int identity_enable(const Place& place, const std::string& id, bool enabled, const Streams& streams);
int identity_remove(const Place& place, const std::string& id, const Streams& streams);

}  // namespace trunkline::cli
