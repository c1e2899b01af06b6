// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace trunkline {

// Reports a broken invariant on standard error and aborts. systemd restarts us; the spool makes that safe.
[[noreturn]] void check_failed(const char* condition, const char* why, const char* file, int line);

}  // namespace trunkline

// An invariant of ours, in every build type. Never for what a peer or an operator can cause.
#define TRUNKLINE_CHECK(condition, why) \
  (static_cast<bool>(condition) ? void(0) : ::trunkline::check_failed(#condition, why, __FILE__, __LINE__))
