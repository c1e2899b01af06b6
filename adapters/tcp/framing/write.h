// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "gateway/base/result.h"
#include "gateway/mapping/framing.h"

namespace trunkline::tcp {

// The way down: one message as the framing puts it on the wire, so that the device reads exactly this one. `message` is
// what the framing shows of a frame on the way up, without what it can work out by itself: marks, stuffing, counts and
// check values are added. Lines may hold further ends of the operator's own; `ends` says how many, any other is the
// payload's. invalid: the device would read something else, such as two commands. Pure.
Result<std::string> write_frame(const Framing& framing, std::string_view message, std::size_t ends = 0);

// Line ends within a text, its last one not counted; 0 for kinds that have none.
std::size_t ends_within(const Framing& framing, std::string_view text);

}  // namespace trunkline::tcp
