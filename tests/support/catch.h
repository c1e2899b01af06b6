// SPDX-License-Identifier: Apache-2.0
#pragma once

// The only file that includes Catch2: Debian 12 has version 2, Debian 13 version 3.
#if __has_include(<catch2/catch.hpp>)
#include <catch2/catch.hpp>
#else
#include <catch2/catch_all.hpp>
#endif
