// SPDX-License-Identifier: Apache-2.0
#include "tests/component/hub/rig.h"

#include <cstdlib>
#include <stdexcept>

#include "gateway/base/encoding.h"
#include "identity/sas.h"

namespace trunkline::tests {

namespace {

std::filesystem::path temporary_directory() {
  std::string pattern = std::filesystem::temp_directory_path() / "trunkline-hub-XXXXXX";
  if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("cannot make a temporary directory");
  return pattern;
}

}  // namespace

Rig::Rig(const std::function<void(hub::HubLink::Options&)>& adjust,
         const std::function<void(hubsim::HubOptions&)>& adjust_hub)
    : directory(temporary_directory()) {
  hubsim::HubOptions hub;
  hub.state_directory = directory;
  hub.hub_name = "contoso.example.net";
  if (adjust_hub) adjust_hub(hub);
  auto started = hubsim::HubServer::start(hub);
  if (!started) throw std::runtime_error(started.error().message);
  server = std::move(*started);

  hub::HubLink::Options options;
  options.host = server->host();
  options.address = {"127.0.0.1", server->port()};
  options.ca_file = server->ca_file();
  options.gateway_id = "gateway-1";
  options.spool_uuid = "00112233445566778899aabbccddeeff";
  if (adjust) adjust(options);
  link = std::make_unique<hub::HubLink>(io, options, clock, metrics);
  link->set_events(*this);
}

Rig::~Rig() {
  link.reset();
  server.reset();
  std::error_code ignored;
  std::filesystem::remove_all(directory, ignored);
}

bool Rig::until(const std::function<bool()>& done, std::chrono::milliseconds limit) {
  const auto deadline = std::chrono::steady_clock::now() + limit;
  while (!done()) {
    io.restart();
    if (io.run_one_until(deadline) == 0 && std::chrono::steady_clock::now() >= deadline) return done();
  }
  return true;
}

void Rig::run_for(std::chrono::milliseconds time) {
  until([] { return false; }, time);
}

void Rig::connect() {
  const auto before = ready;
  link->open();
  REQUIRE(ready == before);  // never from within the call
  REQUIRE(until([&] { return ready == before + 1; }));
}

DeviceSlot Rig::add(const std::string& id) {
  devices_.push_back({*DeviceId::parse(id), server->add_device(id), {}});
  return {static_cast<std::uint32_t>(devices_.size() - 1)};
}

void Rig::wrong_key(DeviceSlot slot) {
  devices_.at(slot.value).key = base64_encode(std::string(32, 'x'));
}

void Rig::authorise(DeviceSlot slot) {
  const auto& device = devices_.at(slot.value);
  Token token;
  token.audience = server->host() + "/devices/" + device.id.text();
  token.expires = clock.wall() + std::chrono::hours(1);
  token.text = identity::sign_token(token.audience, Secret(*base64_decode(device.key)), token.expires);
  link->authorise(slot, device.id, std::move(token));
}

void Rig::online(DeviceSlot slot, DeviceLink which) {
  if (events(slot).authorised == 0) {
    authorise(slot);
    REQUIRE(until([&] { return events(slot).authorised > 0; }));
  }
  const auto before = events(slot).attached[which];
  link->attach(slot, which);
  REQUIRE(until([&] { return events(slot).attached[which] == before + 1; }));
}

MessagePtr Rig::reading(DeviceSlot slot, const std::string& body) {
  return std::make_shared<Message>(Message{Position::make(1, ++last_sequence_), clock.wall(),
                                           Telemetry{id(slot), body, "text/plain", {}, {}, {}, Source::tcp}});
}

Uplink::SendResult Rig::send(DeviceSlot slot, const std::string& body) {
  const auto message = reading(slot, body);
  auto result = link->send(slot, message);
  // The first credit comes after the attach.
  if (result == Uplink::SendResult::no_credit) {
    const auto before = events(slot).sendable;
    REQUIRE(until([&] { return events(slot).sendable > before; }));
    result = link->send(slot, message);
  }
  return result;
}

std::string Rig::control(const std::string& request) {
  auto answer = server->control(request);
  INFO(request << " -> " << answer);
  REQUIRE(answer.find("\"ok\":true") != std::string::npos);
  return answer;
}

void Rig::on_lost(ConnectionSlot, LinkFault fault) {
  lost.push_back(std::move(fault));
  if (when_lost) when_lost();
}

void Rig::on_detached(DeviceSlot slot, DeviceLink which, LinkFault fault) {
  events(slot).detached.emplace_back(which, std::move(fault));
  if (when_detached) when_detached(slot);
}

}  // namespace trunkline::tests
