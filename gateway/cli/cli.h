// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <iosfwd>

namespace trunkline {

// The subcommands other than `run`. Exit status: 0 done, 1 failed (or the gateway is not well), 2 wrong usage or
// configuration, 3 the gateway does not run. Never throws. A key on the command line is wiped from argv. Main thread.
int cli_main(int argc, char** argv);

// The same with other streams, for tests.
int cli_main(int argc, char** argv, std::istream& in, std::ostream& out, std::ostream& err);

}  // namespace trunkline
