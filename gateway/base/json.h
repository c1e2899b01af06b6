// SPDX-License-Identifier: Apache-2.0
#pragma once

// The one way to JSON: Boost.JSON, compiled once (boost_json.cc). Include this only in sources that read or write JSON.
#include <boost/json.hpp>

namespace trunkline {
namespace json = boost::json;
}
