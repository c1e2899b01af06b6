// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <boost/container/deque.hpp>

namespace trunkline {

// A queue of which every device has one and which is empty most of the time. Unlike std::deque (576 bytes before
// anything is in it) it takes no memory until then, and little for a few.
template <typename T>
using LazyQueue =
    boost::container::deque<T, void, boost::container::deque_options_t<boost::container::block_bytes<256>>>;

}  // namespace trunkline
