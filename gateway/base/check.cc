// SPDX-License-Identifier: Apache-2.0
#include "gateway/base/check.h"

#include <cstdio>
#include <cstdlib>

namespace trunkline {

void check_failed(const char* condition, const char* why, const char* file, int line) {
  std::fprintf(stderr, "<2>invariant_broken condition=\"%s\" why=\"%s\" at=%s:%d\n", condition, why, file, line);
  std::abort();
}

}  // namespace trunkline
