// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "gateway/base/result.h"

namespace trunkline::hubsim {

struct CertificateFiles {
  std::string ca;           // ca.pem: what clients trust
  std::string certificate;  // server.pem
  std::string key;          // server-key.pem, mode 0600
};

// A CA of our own and a server certificate for the host, "localhost" and 127.0.0.1, in the directory (made if missing).
// What is there and still good for the host is used again. Fails naming the file.
Result<CertificateFiles> prepare_certificate(const std::string& directory, const std::string& host);

}  // namespace trunkline::hubsim
