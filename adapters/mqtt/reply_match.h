// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "gateway/core/command.h"

namespace trunkline::mqtt {

// A message on a device's command_reply or method_reply topic.
struct Reply {
  std::optional<std::string> correlation;  // MQTT 5 correlation data
  std::string payload;
  CommandKind to = CommandKind::message;  // of what its topic answers
};

enum class ReplyVerdict {
  done,    // it answers the command that is outstanding
  late,    // it answers a command that has ended before
  nobody,  // it answers nothing that we know
};

// Whom a reply answers. Pure. `outstanding` is the wire id of the device's one outstanding command, if any; `ended` are
// those of the last ones that ended. Correlation data decides alone where the device sends it. Else a payload that is a
// wire id, or a JSON object whose member "id" is one, names its command; anything else answers the outstanding one.
ReplyVerdict match_reply(const Reply& reply, const std::optional<std::string>& outstanding,
                         const std::vector<std::string>& ended);

// Does it say itself whom it answers?
bool names_itself(const Reply& reply);

// The id that a payload states: itself without surrounding blanks when it is decimal digits only, or the member "id"
// (text or non-negative number) of a JSON object.
std::optional<std::string> stated_id(std::string_view payload);

}  // namespace trunkline::mqtt
