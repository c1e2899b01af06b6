// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace trunkline::mqtt {

// Shuts down every TCP socket of this process whose peer has this port, in both directions. Paho does not give out its
// socket, and what it must not send can be stopped in no other way: a superset is safe, because a connection that is
// cut needlessly is made again and nothing unacknowledged is lost. Called on Paho's own thread inside its callback, so
// that the socket can neither close nor change meanwhile. Never fails: a socket that is not connected cannot send
// either.
void cut_connections_to(std::uint16_t port);

}  // namespace trunkline::mqtt
