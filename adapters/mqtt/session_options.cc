// SPDX-License-Identifier: Apache-2.0
#include "adapters/mqtt/session_options.h"

#include <unistd.h>

#include <cerrno>
#include <fstream>

namespace trunkline::mqtt {
namespace {

constexpr std::size_t kMaxPassword = 4096;

// The first line; an editor's line end is not part of the password.
Result<Secret> read_password(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return fail(ErrorCode::not_found, "cannot read the password file " + path + ": " + errno_text(errno));
  std::string bytes(kMaxPassword + 1, '\0');
  file.read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  if (file.bad()) return fail(ErrorCode::not_found, "cannot read the password file " + path);
  bytes.resize(static_cast<std::size_t>(file.gcount()));
  Secret whole(std::move(bytes));
  if (whole.reveal().size() > kMaxPassword)
    return fail(ErrorCode::invalid, "the password file " + path + " is too long");
  return Secret(std::string(whole.reveal().substr(0, whole.reveal().find_first_of("\r\n"))));
}

}  // namespace

Result<SessionOptions> session_options(const config::Mqtt& settings) {
  SessionOptions out;
  out.uri = (settings.tls ? "ssl://" : "tcp://") + settings.broker.text();
  out.host = settings.broker.host;
  out.port = settings.broker.port;
  out.client_id = settings.client_id;
  out.user = settings.user;
  out.ca_file = settings.ca_file;
  out.tls = settings.tls;
  out.cert = settings.cert;
  out.key = settings.key;
  out.verify_certificate = settings.verify_certificate;
  out.verify_host = settings.verify_host;
  out.v311 = settings.version == "3.1.1";
  out.keep_alive = settings.keep_alive;
  if (!settings.password_file.empty()) {
    auto password = read_password(settings.password_file);
    if (!password) return fail(password.error());
    out.password = std::move(*password);
  }
  if (settings.tls && !settings.ca_file.empty() && ::access(settings.ca_file.c_str(), R_OK) != 0) {
    return fail(ErrorCode::not_found, "cannot read the CA file " + settings.ca_file + ": " + errno_text(errno));
  }
  return out;
}

}  // namespace trunkline::mqtt
