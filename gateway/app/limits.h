// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "config/settings.h"
#include "gateway/pipeline/capacity.h"
#include "gateway/pipeline/spool.h"

namespace trunkline::app {

// What the configuration says about safety, in the pipeline's own terms. Pure.

// map: null for devices that are in no map any more.
DevicePolicy policy_of(const config::Settings& settings, const DeviceMap* map);
Spool::Options spool_options(const config::Settings& settings);

}  // namespace trunkline::app
