// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace trunkline::coap {

// The name that a certificate (DER) gives its owner: its first DNS name, else its last common name; empty if it has
// none that is plain text. Not libcoap's: 4.3.1 looks for "CN=" anywhere in the subject's text, so that an organisation
// called "CN=tank-3" would be taken for that device.
std::string certificate_name(const std::uint8_t* der, std::size_t size);

}  // namespace trunkline::coap
