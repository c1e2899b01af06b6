// SPDX-License-Identifier: Apache-2.0
#include <unistd.h>

#include <algorithm>
#include <map>
#include <ostream>
#include <set>
#include <unordered_set>

#include "adapters/mqtt/broker_proof.h"
#include "adapters/tcp/samples.h"
#include "adapters/tcp/tls.h"
#include "config/settings.h"
#include "gateway/base/json.h"
#include "gateway/base/log.h"
#include "gateway/cli/commands.h"
#include "gateway/cli/hub_proof.h"
#include "gateway/mapping/family.h"
#include "gateway/mapping/topic_pattern.h"
#include "identity/identity_store.h"

namespace trunkline::cli {
namespace {

// Families become devices, and what a broker or MQTT itself makes of them is said.
void expand(config::Loaded& loaded, const std::vector<identity::Identity>& all) {
  std::vector<DeviceId> known;
  for (const auto& identity : all) known.push_back(identity.device);
  auto expanded = expand_families(std::move(loaded.settings.devices), loaded.settings.families, known);
  loaded.settings.devices = std::move(expanded.devices);
  for (auto& note : expanded.warnings) loaded.warnings.push_back({std::move(note.place), std::move(note.message)});
}

// The filters that we subscribe with at each broker, unknown devices of families included.
std::map<std::string, std::set<std::string>> own_filters(const config::Settings& settings) {
  std::map<std::string, std::set<std::string>> out;
  const auto add = [&](const DeviceMap& map) {
    if (!map.mqtt) return;
    auto& filters = out[map.mqtt->broker];
    filters.insert(map.mqtt->filters.begin(), map.mqtt->filters.end());
    const auto topic = TopicPattern::parse(map.mqtt->telemetry);
    if (map.mqtt->filters.empty() && topic && !topic->is_exact()) filters.insert(topic->filter());
  };
  for (const auto& map : settings.devices) add(map);
  for (const auto& family : settings.families) add(family.prototype);
  return out;
}

// Where a broker's PUBACK cannot tell whether anybody listens.
void name_blind_spots(config::Loaded& loaded) {
  const auto filters = own_filters(loaded.settings);
  const auto look = [&loaded, &filters](const DeviceMap& map, const std::string& who) {
    if (!map.mqtt || !map.mqtt->command || map.command_done != CommandDone::acknowledged) return;
    std::string why;
    for (const auto& broker : loaded.settings.mqtt) {
      if (broker.name == map.mqtt->broker && broker.version == "3.1.1") why = "MQTT 3.1.1 does not tell";
    }
    const auto command = TopicPattern::parse(*map.mqtt->command);
    for (const auto& filter : filters.at(map.mqtt->broker)) {
      if (command && filter_covers(filter, command->filter())) why = "we listen there ourselves, with " + filter;
    }
    if (why.empty()) return;
    loaded.warnings.push_back(
        {map.place, who +
                        ": command_done = \"acknowledged\" also counts a command that the broker took while nobody "
                        "listened (" +
                        why + "); map mqtt.command_reply where that matters"});
  };
  for (const auto& map : loaded.settings.devices) look(map, "device " + map.id.text());
  for (const auto& family : loaded.settings.families) look(family.prototype, "family " + family.id);
}

// Adds what only the identity store can tell. A store that is not there yet is not made by a look at it.
std::vector<identity::Identity> check_identities(config::Loaded& loaded) {
  const auto& file = loaded.settings.identity.store;
  std::unordered_set<std::string> known;
  if (access(file.c_str(), F_OK) == 0) {
    const auto store = identity::open_store(file, loaded.settings.identity.key_file);
    auto all = store ? (*store)->all() : fail(store.error());
    if (!all) {
      loaded.problems.push_back({{file, 0, 0}, all.error().message});
      return {};
    }
    expand(loaded, *all);
    for (const auto& identity : *all) {
      if (identity.enabled) known.insert(identity.device.text());
    }
    for (const auto& device : loaded.settings.devices) {
      if (known.contains(device.id.text())) continue;
      loaded.warnings.push_back({device.place, "device " + device.id.text() +
                                                   " has no identity (or a disabled one); add it with \"trunkline "
                                                   "identity add " +
                                                   device.id.text() + "\""});
    }
    return std::move(*all);
  }
  if (!loaded.settings.devices.empty()) {
    loaded.warnings.push_back(
        {{file, 0, 0}, "there is no identity store yet; fill it with \"trunkline identity add\" or \"import\""});
  }
  return {};
}

// Asks the hub itself; what it refuses is a problem where the device stands.
void check_hub(config::Loaded& loaded, const std::vector<identity::Identity>& identities, bool quiet,
               const Streams& streams) {
  const auto& hub = loaded.settings.hub;
  const auto proof = prove_hub(hub, identities);
  const auto name = "hub " + hub.host;
  if (!proof.unreachable.empty()) {
    loaded.problems.push_back(
        {{loaded.settings.file, 0, 0}, name + " at " + hub.address.text() + ": " + proof.unreachable});
    return;
  }
  const auto place_of = [&loaded](const DeviceId& device) {
    for (const auto& map : loaded.settings.devices) {
      if (map.id == device) return map.place;
    }
    return SourcePlace{loaded.settings.identity.store, 0, 0};
  };
  for (const auto& refusal : proof.refused) {
    const auto& device = refusal.device;
    loaded.problems.push_back({place_of(device), "device " + device.text() + ": the hub refuses it: " + refusal.why});
  }
  for (const auto& device : proof.by_secondary) {
    loaded.warnings.push_back({place_of(device), "device " + device.text() +
                                                     ": only its secondary key works; give it the new primary key with "
                                                     "\"trunkline identity add " +
                                                     device.text() + "\""});
  }
  if (quiet) return;
  streams.out << name << ", proven: it lets us in\n"
              << name << ", proven: it takes the keys of " << proof.accepted
              << (proof.accepted == 1 ? " device\n" : " devices\n");
  if (proof.not_tried > 0)
    streams.out << name << ", not checked: the keys of " << proof.not_tried << " further devices"
                << (proof.lost.empty() ? "" : ": " + proof.lost) << '\n';
}

// Tries each broker; what it fails is a problem at its table.
void check_brokers(config::Loaded& loaded, bool quiet, const Streams& streams) {
  using Verdict = mqtt::BrokerProof::Verdict;
  for (const auto& broker : loaded.settings.mqtt) {
    for (const auto& proof : mqtt::prove_broker(broker)) {
      const auto text = proof.what + (proof.detail.empty() ? "" : ": " + proof.detail);
      if (proof.verdict == Verdict::failed) {
        loaded.problems.push_back({broker.place, "broker " + broker.broker.text() + ", not so: " + text});
      } else if (!quiet) {
        streams.out << "broker " << broker.broker.text() << ", "
                    << (proof.verdict == Verdict::proven ? "proven: " : "not checked: ") << text << '\n';
      }
    }
  }
}

// Certificates and keys that can be read and yet not be used; what cannot be read was reported where it is named.
void check_tcp_tls(config::Loaded& loaded) {
  std::vector<TcpTls> tried;
  for (const auto& device : loaded.settings.devices) {
    if (!device.tcp || !device.tcp->line.tls) continue;
    const auto& tls = *device.tcp->line.tls;
    const auto unreadable = [](const std::string& file) { return !file.empty() && access(file.c_str(), R_OK) != 0; };
    if (unreadable(tls.cert) || unreadable(tls.key) || unreadable(tls.ca_file)) continue;
    if (std::find(tried.begin(), tried.end(), tls) != tried.end()) continue;
    tried.push_back(tls);
    if (const auto usable = tcp::check_tls(*device.tcp); !usable) {
      loaded.problems.push_back({device.place, "device " + device.id.text() + ": " + usable.error().message});
    }
  }
}

json::array to_json(const std::vector<config::Problem>& problems) {
  json::array out;
  for (const auto& problem : problems) {
    out.push_back(json::object{{"file", problem.place.file},
                               {"line", problem.place.line},
                               {"column", problem.place.column},
                               {"message", problem.message}});
  }
  return out;
}

}  // namespace

int check(const Place& place, bool as_json, bool live, const Streams& streams) {
  auto loaded = config::load(place.config);
  std::vector<identity::Identity> identities;
  name_blind_spots(loaded);
  if (loaded.paths_usable) identities = check_identities(loaded);
  check_tcp_tls(loaded);
  for (const auto& device : loaded.settings.devices) {
    if (!device.tcp) continue;
    for (auto& [line, column, message] : tcp::run_samples(device)) {
      loaded.problems.push_back({{device.place.file, line, column}, std::move(message)});
    }
  }
  if (live && loaded.problems.empty()) {
    log::set_level(log::Level::error);
    check_brokers(loaded, as_json, streams);
    check_hub(loaded, identities, as_json, streams);
  }
  const bool good = loaded.problems.empty();
  std::size_t mqtt = 0, coap = 0, tcp = 0;
  for (const auto& device : loaded.settings.devices) {
    mqtt += device.mqtt ? 1 : 0;
    coap += device.coap ? 1 : 0;
    tcp += device.tcp ? 1 : 0;
  }
  if (as_json) {
    streams.out << json::serialize(json::object{{"ok", good},
                                                {"problems", to_json(loaded.problems)},
                                                {"warnings", to_json(loaded.warnings)},
                                                {"devices", loaded.settings.devices.size()},
                                                {"identities", identities.size()}})
                << '\n';
    return good ? kDone : kUsage;
  }
  for (const auto& problem : loaded.problems) streams.err << problem.text() << '\n';
  for (auto& warning : loaded.warnings) {
    warning.message.insert(0, "warning: ");
    streams.err << warning.text() << '\n';
  }
  if (!good) {
    streams.err << loaded.problems.size() << (loaded.problems.size() == 1 ? " problem" : " problems") << '\n';
    return kUsage;
  }
  streams.out << "ok: " << loaded.settings.devices.size() << " devices (" << mqtt << " MQTT, " << coap << " CoAP, "
              << tcp << " TCP), " << identities.size() << " identities, hub " << loaded.settings.hub.host << '\n';
  return kDone;
}

}  // namespace trunkline::cli
