// SPDX-License-Identifier: Apache-2.0
#include "identity/directory.h"

#include "identity/sas.h"

namespace trunkline::identity {
namespace {

bool same_keys(const Identity& a, const Identity& b) {
  return a.primary == b.primary && a.secondary == b.secondary && a.psk == b.psk && a.enabled == b.enabled;
}

}  // namespace

Directory::Directory(std::string hub_host, Milliseconds token_lifetime)
    : hub_host_(std::move(hub_host)), token_lifetime_(token_lifetime), snapshot_(std::make_shared<const Snapshot>()) {}

std::vector<DeviceId> Directory::replace(std::vector<Identity> identities) {
  const auto before = snapshot_.load();
  auto snapshot = std::make_shared<Snapshot>();
  snapshot->reserve(identities.size());
  std::vector<DeviceId> changed;
  for (auto& identity : identities) {
    const auto old = before->find(identity.device);
    if (old == before->end() || !same_keys(old->second, identity)) changed.push_back(identity.device);
    auto device = identity.device;
    snapshot->insert_or_assign(std::move(device), std::move(identity));
  }
  for (const auto& [device, identity] : *before) {
    if (!snapshot->contains(device)) changed.push_back(device);
  }
  snapshot_.store(std::move(snapshot));
  return changed;
}

Result<Token> Directory::token(const DeviceId& device, KeyChoice key, WallTime now) const {
  const auto snapshot = snapshot_.load();
  const auto found = snapshot->find(device);
  if (found == snapshot->end()) {
    return fail(
        ErrorCode::not_found,
        "device " + device.text() + " has no identity; add it with \"trunkline identity add " + device.text() + "\"");
  }
  if (!found->second.enabled) {
    return fail(ErrorCode::denied, "device " + device.text() + " is disabled in the identity store");
  }
  const auto& secret = key == KeyChoice::primary ? found->second.primary : found->second.secondary;
  if (secret.empty()) return fail(ErrorCode::not_found, "device " + device.text() + " has no secondary key");
  Token token;
  token.audience = hub_host_ + "/devices/" + std::string(device.device());
  if (!device.module().empty()) token.audience += "/modules/" + std::string(device.module());
  token.expires = now + token_lifetime_.load();
  token.text = sign_token(token.audience, secret, token.expires);
  return token;
}

Result<Secret> Directory::psk(const DeviceId& device) const {
  const auto snapshot = snapshot_.load();
  const auto found = snapshot->find(device);
  if (found != snapshot->end() && !found->second.enabled) {
    return fail(ErrorCode::denied, "device " + device.text() + " is disabled in the identity store");
  }
  if (found == snapshot->end() || found->second.psk.empty()) {
    return fail(ErrorCode::not_found, "device " + device.text() + " has no pre-shared key in the identity store");
  }
  return found->second.psk;
}

bool Directory::known(const DeviceId& device) const {
  return snapshot_.load()->contains(device);
}

std::size_t Directory::size() const {
  return snapshot_.load()->size();
}

}  // namespace trunkline::identity
