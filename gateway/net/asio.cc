// SPDX-License-Identifier: Apache-2.0
// Asio is compiled here once (BOOST_ASIO_SEPARATE_COMPILATION); every other source includes declarations only.
#include <utility>

#include <boost/asio/impl/src.hpp>
#include <boost/asio/ssl/impl/src.hpp>
