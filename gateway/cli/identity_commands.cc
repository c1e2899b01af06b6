// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <optional>
#include <ostream>

#include "config/settings.h"
#include "gateway/base/crypto.h"
#include "gateway/base/encoding.h"
#include "gateway/base/json.h"
#include "gateway/cli/commands.h"
#include "gateway/cli/control_client.h"
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

Result<Secret> take_key(const AddKey& key, const Streams& streams) {
  if (key.generate) return Secret(random_bytes(32));
  if (!key.text.empty()) {
    streams.err << "warning: a key on the command line is seen by other users and kept by the shell's history; use "
                   "--key-file\n";
    return identity::decode_key(key.text);
  }
  auto text = read_secret_text(key.file, streams.in, kMaxKeyText);
  if (!text) return fail(text.error());
  if (others_may_read(key.file)) streams.err << "warning: others may read " << key.file << "; chmod 600 it\n";
  auto line = text->reveal();
  while (!line.empty() && (line.back() == '\n' || line.back() == '\r' || line.back() == ' ')) line.remove_suffix(1);
  return identity::decode_key(line);
}

std::optional<Identity> find(const std::vector<Identity>& all, const DeviceId& device) {
  const auto found = std::find_if(all.begin(), all.end(), [&](const auto& one) { return one.device == device; });
  return found == all.end() ? std::nullopt : std::optional(*found);
}

json::object describe(const Identity& identity) {
  return {{"id", identity.device.text()},
          {"enabled", identity.enabled},
          {"secondary", !identity.secondary.empty()},
          {"psk", !identity.psk.empty()},
          {"updated", to_rfc3339(identity.updated)}};
}

}  // namespace

int identity_add(const Place& place, const std::string& id, const AddKey& key, const Streams& streams) {
  const auto device = parse_id(id, streams);
  if (!device) return kUsage;
  auto primary = take_key(key, streams);
  if (!primary) {
    streams.err << "trunkline: " << primary.error().message << '\n';
    return kUsage;
  }
  int status = kDone;
  const auto opened = open_place(place, streams, status);
  if (!opened) return status;
  const auto all = opened->store->all();
  if (!all) return failed(all.error(), streams);
  auto known = find(*all, *device);
  Result<void> stored;
  if (!known) {
    stored = opened->store->add({*device, *primary, {}, {}, true, {}});
  } else if (key.generate) {
    streams.err << "trunkline: device " << id << " has a key already; remove it first to make another\n";
    return kFailed;
  } else {
    // The old keys go together: a secondary key of before is not part of what the operator gave.
    known->primary = *primary;
    known->secondary = {};
    known->updated = {};
    stored = opened->store->put({*known});
  }
  if (!stored) return failed(stored.error(), streams);
  if (key.generate) streams.out << base64_encode(primary->reveal()) << '\n';
  const auto done = (known ? "gave " + id + " another key" : "added " + id) +
                    (key.generate ? "; register it at the hub with the key above, which is not shown again" : "");
  // With --generate standard output carries the key alone.
  return announce(*opened, done, streams, key.generate ? streams.err : streams.out);
}

int identity_import(const Place& place, const std::string& file, const Streams& streams) {
  const auto text = read_secret_text(file, streams.in, identity::kMaxCsvBytes);
  if (!text) {
    streams.err << "trunkline: " << text.error().message << '\n';
    return kUsage;
  }
  if (others_may_read(file)) streams.err << "warning: others may read " << file << "; chmod 600 it, or remove it\n";
  const auto import = identity::parse_identities(text->reveal());
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
  if (auto stored = opened->store->put(import.identities); !stored) return failed(stored.error(), streams);
  return announce(*opened, "imported " + std::to_string(import.identities.size()) + " identities", streams,
                  streams.out);
}

int identity_list(const Place& place, bool as_json, const Streams& streams) {
  int status = kDone;
  const auto opened = open_place(place, streams, status);
  if (!opened) return status;
  const auto all = opened->store->all();
  if (!all) return failed(all.error(), streams);
  if (as_json) {
    json::array out;
    for (const auto& identity : *all) out.push_back(describe(identity));
    streams.out << json::serialize(out) << '\n';
    return kDone;
  }
  TextTable table({"device", "state", "secondary", "psk", "updated"});
  for (const auto& identity : *all) {
    table.add({identity.device.text(), identity.enabled ? "enabled" : "disabled",
               identity.secondary.empty() ? "no" : "yes", identity.psk.empty() ? "no" : "yes",
               to_rfc3339(identity.updated)});
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
  const auto all = opened->store->all();
  if (!all) return failed(all.error(), streams);
  const auto found = find(*all, *device);
  if (!found) return failed({ErrorCode::not_found, "device " + id + " has no identity"}, streams);
  if (as_json) {
    streams.out << json::serialize(describe(*found)) << '\n';
    return kDone;
  }
  const auto key = [](const Secret& secret) {
    return secret.empty() ? std::string("none") : "set, " + std::to_string(secret.reveal().size()) + " bytes";
  };
  streams.out << "device     " << id << "\nstate      " << (found->enabled ? "enabled" : "disabled") << "\nprimary    "
              << key(found->primary) << "\nsecondary  " << key(found->secondary) << "\npsk        " << key(found->psk)
              << "\nupdated    " << to_rfc3339(found->updated) << '\n';
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
