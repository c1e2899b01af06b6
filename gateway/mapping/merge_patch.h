// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "gateway/base/json.h"

namespace trunkline {

// JSON merge patches (RFC 7396): what twins, and devices that tell only what changed, speak in. Pure.

void apply_patch(json::object& document, const json::object& patch);

// `first` becomes the patch that does what both do, one after the other: what is deleted stays null.
void combine_patches(json::object& first, const json::object& second);

// The patch that makes `from` into `to`.
json::object difference(const json::object& from, const json::object& to);

// The part of `patch` that would change `document`; empty: the document says all of it already.
json::object needed_part(const json::object& patch, const json::object& document);

}  // namespace trunkline
