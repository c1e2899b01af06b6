// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <string>

namespace trunkline::tests {

// A throw-away certificate authority and server certificate as PEM files in a temporary directory, gone with the
// object. The certificate is valid for `name`, an IP address or a DNS name, in a time that is given in seconds from
// now.
class TlsIdentity {
 public:
  explicit TlsIdentity(const std::string& name = "127.0.0.1", long begins = -3600, long ends = 24L * 3600);
  ~TlsIdentity();
  TlsIdentity(const TlsIdentity&) = delete;
  TlsIdentity& operator=(const TlsIdentity&) = delete;

  [[nodiscard]] std::string ca_file() const { return directory_ / "ca.pem"; }
  [[nodiscard]] std::string certificate_file() const { return directory_ / "server.pem"; }
  [[nodiscard]] std::string key_file() const { return directory_ / "server.key"; }

 private:
  std::filesystem::path directory_;
};

}  // namespace trunkline::tests
