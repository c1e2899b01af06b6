// SPDX-License-Identifier: Apache-2.0
#include <unistd.h>

#include <algorithm>
#include <iostream>
#include <map>
#include <optional>
#include <ostream>
#include <unordered_map>

#include "config/settings.h"
#include "gateway/base/crypto.h"
#include "gateway/base/encoding.h"
#include "gateway/base/json.h"
#include "gateway/cli/commands.h"
#include "gateway/cli/control_client.h"
#include "gateway/cli/hub_proof.h"
#include "gateway/cli/key_input.h"
#include "gateway/cli/text_table.h"
#include "identity/csv_import.h"
#include "identity/identity_store.h"
#include "identity/key_text.h"

namespace trunkline::cli {
namespace {

using identity::Identity;

constexpr std::size_t kMaxKeyText = 4096;

struct Opened {
  std::unique_ptr<identity::IdentityStore> store;
  std::string control;  // empty: no gateway to tell
};

// The store that the configuration or the command line names; anything wrong is said and gives nothing.
std::optional<Opened> open_place(const Place& place, const Streams& streams, int& status) {
  Opened out;
  std::string file = place.store;
  std::string key_file;
  if (file.empty()) {
    const auto loaded = config::load(place.config);
    if (!loaded.paths_usable) {
      for (const auto& problem : loaded.problems) streams.err << problem.text() << '\n';
      status = kUsage;
      return std::nullopt;
    }
    file = loaded.settings.identity.store;
    key_file = loaded.settings.identity.key_file;
    out.control = loaded.settings.status.control;
  }
  auto store = identity::open_store(file, key_file);
  if (!store) {
    streams.err << "trunkline: " << store.error().message << '\n';
    status = kFailed;
    return std::nullopt;
  }
  out.store = std::move(*store);
  return out;
}

int failed(const Error& error, const Streams& streams) {
  streams.err << "trunkline: " << error.message << '\n';
  return kFailed;
}

// Says what was done, once the running gateway knows it too.
int announce(const Opened& opened, const std::string& done, const Streams& streams, std::ostream& to) {
  if (opened.control.empty()) {
    to << done << '\n';
    return kDone;
  }
  const auto taken = announce_identities(opened.control);
  if (!taken) {
    to << done << '\n';
    streams.err << "trunkline: stored, but the running gateway did not take it: " << taken.error().message
                << "; restart it\n";
    return kFailed;
  }
  to << done << (*taken ? "; the running gateway took it" : "; no gateway is running") << '\n';
  return kDone;
}

std::optional<DeviceId> parse_id(const std::string& id, const Streams& streams) {
  auto device = DeviceId::parse(id);
  if (device) return *device;
  streams.err << "trunkline: " << device.error().message << '\n';
  return std::nullopt;
}

using Decode = Result<Secret> (*)(std::string_view);

Result<Secret> take_key(const AddKey& key, const Streams& streams, Decode decode = identity::decode_key) {
  if (key.generate) return Secret(random_bytes(32));
  if (!key.text.empty()) {
    streams.err << "warning: a key on the command line is seen by other users and kept by the shell's history; use "
                   "--key-file\n";
    return decode(key.text);
  }
  auto text = read_secret_text(key.file, streams.in, kMaxKeyText);
  if (!text) return fail(text.error());
  if (others_may_read(key.file)) streams.err << "warning: others may read " << key.file << "; chmod 600 it\n";
  auto line = text->reveal();
  while (!line.empty() && (line.back() == '\n' || line.back() == '\r' || line.back() == ' ')) line.remove_suffix(1);
  return decode(line);
}

// The device's identity as the store has it now; nothing if it has none.
Result<std::optional<Identity>> look_up(const Opened& opened, const DeviceId& device) {
  auto all = opened.store->all();
  if (!all) return fail(all.error());
  const auto found = std::find_if(all->begin(), all->end(), [&](const auto& one) { return one.device == device; });
  return found == all->end() ? std::nullopt : std::optional(std::move(*found));
}

// Why the hub did not take a key.
std::string refusal_of(const HubProof& proof) {
  if (!proof.unreachable.empty()) return "the hub cannot be asked: " + proof.unreachable;
  if (!proof.lost.empty()) return "the hub went away before it answered: " + proof.lost;
  if (proof.refused.empty()) return "the hub did not answer in time";
  const auto& refusal = proof.refused.front();
  return (refusal.denied ? "the hub refuses the new key: " : "the hub does not say now: ") + refusal.why;
}

bool denied(const HubProof& proof) {
  return proof.accepted == 0 && !proof.refused.empty() && proof.refused.front().denied;
}

using Usages = std::map<std::string, identity::Usage>;

std::string time_text(WallTime time) {
  return time == WallTime{} ? "never" : to_rfc3339(time);
}

json::object describe(const Identity& identity, const Usages& usages) {
  const auto found = usages.find(identity.device.text());
  const auto usage = found == usages.end() ? identity::Usage{identity.device} : found->second;
  const auto time = [](WallTime at) { return at == WallTime{} ? json::value(nullptr) : json::value(to_rfc3339(at)); };
  return {{"id", identity.device.text()},
          {"enabled", identity.enabled},
          {"secondary", !identity.secondary.empty()},
          {"psk", !identity.psk.empty()},
          {"updated", to_rfc3339(identity.updated)},
          {"last_used", time(usage.used)},
          {"last_refused", time(usage.refused)},
          {"refusal", usage.refusal}};
}

std::pair<std::string, std::string> usage_of(const Usages& usages, const Identity& identity) {
  const auto found = usages.find(identity.device.text());
  if (found == usages.end()) return {"never", "never"};
  return {time_text(found->second.used), time_text(found->second.refused)};
}

Result<Usages> usages_of(const Opened& opened) {
  auto noted = opened.store->usage();
  if (!noted) return fail(noted.error());
  Usages out;
  for (auto& usage : *noted) out.emplace(usage.device.text(), std::move(usage));
  return out;
}

}  // namespace

int identity_add(const Place& place, const std::string& id, const AddKey& key, const AddKey& psk,
                 const Streams& streams) {
  const auto device = parse_id(id, streams);
  if (!device) return kUsage;
  if (!key.said() && !psk.said()) {
    streams.err << "trunkline: which key? --key-file FILE, --key BASE64 or --generate; and --psk-file FILE or "
                   "--generate-psk for the device's side\n";
    return kUsage;
  }
  if (key.file == "-" && psk.file == "-") {
    streams.err << "trunkline: only one of the two keys can come from standard input\n";
    return kUsage;
  }
  auto primary = key.said() ? take_key(key, streams) : Result<Secret>(Secret());
  auto shared = psk.said() ? take_key(psk, streams, identity::decode_psk) : Result<Secret>(Secret());
  for (const auto* taken : {&primary, &shared}) {
    if (*taken) continue;
    streams.err << "trunkline: " << taken->error().message << '\n';
    return kUsage;
  }
  int status = kDone;
  const auto opened = open_place(place, streams, status);
  if (!opened) return status;
  const auto looked = look_up(*opened, *device);
  if (!looked) return failed(looked.error(), streams);
  const auto& known = *looked;
  if (known && key.generate) {
    streams.err << "trunkline: device " << id << " has a key already; remove it first to make another\n";
    return kFailed;
  }
  if (!known && !key.said()) {
    streams.err << "trunkline: device " << id << " has no identity yet; give its key at the hub, too (--key-file)\n";
    return kFailed;
  }
  auto wanted = known.value_or(Identity{*device, {}, {}, {}, true, {}});
  if (key.said()) {
    // The old keys go together: a secondary key of before is not part of what the operator gave.
    wanted.primary = *primary;
    wanted.secondary = {};
  }
  if (psk.said()) wanted.psk = *shared;
  wanted.updated = {};
  const auto stored = known ? opened->store->put({wanted}) : opened->store->add(wanted);
  if (!stored) return failed(stored.error(), streams);
  if (key.generate) streams.out << base64_encode(primary->reveal()) << '\n';
  if (psk.generate) streams.out << "base64:" << base64_encode(shared->reveal()) << '\n';
  const auto done = (known ? "gave " + id + " another key" : "added " + id) +
                    (key.generate ? "; register it at the hub with the key above, which is not shown again" : "") +
                    (psk.generate ? "; put the key with base64: into the device, it is not shown again" : "");
  // What is generated stands alone on standard output.
  return announce(*opened, done, streams, key.generate || psk.generate ? streams.err : streams.out);
}

int identity_rotate(const Place& place, const std::string& id, const AddKey& key, const Streams& streams) {
  const auto device = parse_id(id, streams);
  if (!device) return kUsage;
  const auto fresh = take_key(key, streams);
  if (!fresh) {
    streams.err << "trunkline: " << fresh.error().message << '\n';
    return kUsage;
  }
  const auto loaded = config::load(place.config);
  if (!loaded.problems.empty()) {
    for (const auto& problem : loaded.problems) streams.err << problem.text() << '\n';
    streams.err << "trunkline: the hub is asked first, so the configuration must be right\n";
    return kUsage;
  }
  int status = kDone;
  const auto opened = open_place(place, streams, status);
  if (!opened) return status;
  const auto looked = look_up(*opened, *device);
  if (!looked) return failed(looked.error(), streams);
  const auto& known = *looked;
  if (!known) return failed({ErrorCode::not_found, "device " + id + " has no identity; add it"}, streams);
  if (known->primary == *fresh) return failed({ErrorCode::exists, "device " + id + " has this key already"}, streams);
  const auto prove = [&](const Secret& secret) {
    return prove_hub(loaded.settings.hub, {Identity{*device, secret, {}, {}, true, {}}});
  };
  if (const auto proof = prove(*fresh); proof.accepted == 0) {
    streams.err << "trunkline: nothing was changed: " << refusal_of(proof) << '\n';
    return kFailed;
  }
  // A key is forgotten only if the hub says that it is none; a hub that has gone away meanwhile has not said that.
  std::string fate = "; the one before is forgotten, the hub takes it no longer";
  Secret second;
  for (const auto* old : {&known->primary, &known->secondary}) {
    if (old->empty() || *old == *fresh) continue;
    const auto proof = prove(*old);
    if (denied(proof)) continue;
    second = *old;
    fate = std::string("; the ") + (old == &known->primary ? "one before stays as secondary" : "secondary key stays") +
           ", " + (proof.accepted > 0 ? "because the hub takes it, too" : "because nobody knows: " + refusal_of(proof));
    break;
  }
  // That took its time; what somebody else did meanwhile stays.
  const auto again = look_up(*opened, *device);
  if (!again) return failed(again.error(), streams);
  if (!*again || !((*again)->primary == known->primary && (*again)->secondary == known->secondary)) {
    return failed({ErrorCode::exists, "nothing was changed: the keys of " + id + " were changed meanwhile"}, streams);
  }
  auto wanted = **again;
  wanted.primary = *fresh;
  wanted.secondary = second;
  wanted.updated = {};
  if (auto stored = opened->store->put({wanted}); !stored) return failed(stored.error(), streams);
  return announce(*opened, "the hub takes the new key of " + id + fate, streams, streams.out);
}

int identity_import(const Place& place, const std::string& file, const Streams& streams) {
  const auto text = read_secret_text(file, streams.in, identity::kMaxCsvBytes);
  if (!text) {
    streams.err << "trunkline: " << text.error().message << '\n';
    return kUsage;
  }
  if (others_may_read(file)) streams.err << "warning: others may read " << file << "; chmod 600 it, or remove it\n";
  const bool export_of_registry = identity::is_registry_export(text->reveal());
  auto import =
      export_of_registry ? identity::parse_registry(text->reveal()) : identity::parse_identities(text->reveal());
  if (!import.problems.empty()) {
    for (const auto& problem : import.problems) {
      streams.err << file << ':' << problem.line << ": " << problem.message << '\n';
    }
    streams.err << "nothing was imported\n";
    return kUsage;
  }
  int status = kDone;
  const auto opened = open_place(place, streams, status);
  if (!opened) return status;
  if (export_of_registry) {
    // A registry knows nothing of the devices' own keys.
    const auto all = opened->store->all();
    if (!all) return failed(all.error(), streams);
    std::unordered_map<DeviceId, Secret> own;
    for (const auto& known : *all) own.emplace(known.device, known.psk);
    for (auto& one : import.identities) {
      if (const auto found = own.find(one.device); found != own.end()) one.psk = found->second;
    }
  }
  const bool watched = &streams.err == &std::cerr && isatty(STDERR_FILENO) == 1;
  const auto progress = [&](std::size_t written) {
    if (watched) streams.err << '\r' << written << " of " << import.identities.size() << std::flush;
  };
  auto stored = opened->store->put(import.identities, progress);
  if (watched) streams.err << '\r';
  if (!stored) return failed(stored.error(), streams);
  return announce(*opened, "imported " + std::to_string(import.identities.size()) + " identities", streams,
                  streams.out);
}

int identity_list(const Place& place, bool as_json, const Streams& streams) {
  int status = kDone;
  const auto opened = open_place(place, streams, status);
  if (!opened) return status;
  const auto all = opened->store->all();
  if (!all) return failed(all.error(), streams);
  const auto usages = usages_of(*opened);
  if (!usages) return failed(usages.error(), streams);
  if (as_json) {
    json::array out;
    for (const auto& identity : *all) out.push_back(describe(identity, *usages));
    streams.out << json::serialize(out) << '\n';
    return kDone;
  }
  TextTable table({"device", "state", "secondary", "psk", "updated", "last used", "last refused"});
  for (const auto& identity : *all) {
    table.add({identity.device.text(), identity.enabled ? "enabled" : "disabled",
               identity.secondary.empty() ? "no" : "yes", identity.psk.empty() ? "no" : "yes",
               to_rfc3339(identity.updated), usage_of(*usages, identity).first, usage_of(*usages, identity).second});
  }
  streams.out << table.text() << all->size() << (all->size() == 1 ? " identity\n" : " identities\n");
  return kDone;
}

int identity_show(const Place& place, const std::string& id, bool as_json, const Streams& streams) {
  const auto device = parse_id(id, streams);
  if (!device) return kUsage;
  int status = kDone;
  const auto opened = open_place(place, streams, status);
  if (!opened) return status;
  const auto looked = look_up(*opened, *device);
  if (!looked) return failed(looked.error(), streams);
  const auto& found = *looked;
  if (!found) return failed({ErrorCode::not_found, "device " + id + " has no identity"}, streams);
  const auto usages = usages_of(*opened);
  if (!usages) return failed(usages.error(), streams);
  if (as_json) {
    streams.out << json::serialize(describe(*found, *usages)) << '\n';
    return kDone;
  }
  const auto key = [](const Secret& secret) {
    return secret.empty() ? std::string("none") : "set, " + std::to_string(secret.reveal().size()) + " bytes";
  };
  streams.out << "device     " << id << "\nstate      " << (found->enabled ? "enabled" : "disabled") << "\nprimary    "
              << key(found->primary) << "\nsecondary  " << key(found->secondary) << "\npsk        " << key(found->psk)
              << "\nupdated    " << to_rfc3339(found->updated) << "\nused       " << usage_of(*usages, *found).first
              << "\nrefused    " << usage_of(*usages, *found).second;
  if (const auto usage = usages->find(id); usage != usages->end() && !usage->second.refusal.empty()) {
    streams.out << ": " << usage->second.refusal;
  }
  streams.out << '\n';
  return kDone;
}

int identity_enable(const Place& place, const std::string& id, bool enabled, const Streams& streams) {
  const auto device = parse_id(id, streams);
  if (!device) return kUsage;
  int status = kDone;
  const auto opened = open_place(place, streams, status);
  if (!opened) return status;
  if (auto done = opened->store->set_enabled(*device, enabled); !done) return failed(done.error(), streams);
  return announce(*opened, (enabled ? "enabled " : "disabled ") + id, streams, streams.out);
}

int identity_remove(const Place& place, const std::string& id, const Streams& streams) {
  const auto device = parse_id(id, streams);
  if (!device) return kUsage;
  int status = kDone;
  const auto opened = open_place(place, streams, status);
  if (!opened) return status;
  if (auto done = opened->store->remove(*device); !done) return failed(done.error(), streams);
  return announce(*opened, "removed " + id, streams, streams.out);
}

}  // namespace trunkline::cli
