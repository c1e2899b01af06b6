// SPDX-License-Identifier: Apache-2.0
#include "config/main_file.h"

#include <sys/un.h>

#include <cctype>

#include "config/suggest.h"

namespace trunkline::config {
namespace {

bool is_host_name(std::string_view text) {
  if (text.empty() || text.size() > 253 || text.front() == '.' || text.front() == '-') return false;
  for (const char c : text) {
    if (std::isalnum(static_cast<unsigned char>(c)) == 0 && c != '.' && c != '-') return false;
  }
  return text.find("..") == std::string_view::npos;
}

void read_hub(TableReader& root, MainFile& main) {
  auto& hub = main.settings.hub;
  const auto* entry = root.table("hub");
  if (entry == nullptr) {
    if (root.find("hub") == nullptr) {
      root.findings().problem({1, 1}, "the table [hub] is missing; add it with host = \"<name>.azure-devices.net\"");
    }
    return;
  }
  TableReader reader(*entry->value.table(), entry->value.mark, "hub", root.findings());
  if (auto host = reader.required_text("host")) {
    if (is_host_name(host->value)) {
      hub.host = host->value;
    } else if (host->value.find_first_of(";=") != std::string::npos) {
      // Never quoted: a connection string holds a key (S-01).
      reader.findings().problem(host->mark,
                                "hub.host holds a connection string; write its HostName alone, and give the key to "
                                "\"trunkline identity add\"");
    } else {
      reader.findings().problem(host->mark, "hub.host is " + in_quotes(host->value) +
                                                "; write the host name alone, such as \"contoso.azure-devices.net\"");
    }
  }
  hub.address = {hub.host, 5671};
  if (auto address = reader.text("address")) {
    if (auto endpoint = net::Endpoint::parse(address->value); endpoint && endpoint->port != 0) {
      hub.address = *endpoint;
    } else {
      reader.findings().problem(address->mark, "hub.address is " + in_quotes(address->value) +
                                                   "; write host and port, such as \"10.0.0.1:5671\"");
    }
  }
  if (auto file = reader.path("ca_file")) {
    hub.ca_file = file->value;
    main.files.push_back({"hub.ca_file", file->value, root.findings().place(file->mark)});
  }
  if (auto life = reader.duration("token_lifetime")) {
    hub.token_lifetime = *life;
  }
  if (auto rate = reader.rate("attach_rate")) hub.attach_rate = *rate;
  if (auto when = reader.choice("attach")) {
    hub.attach = when->value == "start" ? Attach::start : Attach::needed;
  }
  if (auto rate = reader.rate("send_rate")) hub.send_rate = *rate;
  if (auto most = reader.integer("max_devices_per_connection")) {
    hub.max_devices_per_connection = static_cast<unsigned>(*most);
  }
  if (auto every = reader.duration("report_every")) {
    hub.report_every = *every;
  }
  if (auto state = reader.flag("report_state")) hub.report_state = *state;
  reader.not_yet_except("transport", "amqps");
  reader.not_yet({"proxy"});
  reader.finish();
}

void read_identity(TableReader& root, MainFile& main) {
  const auto* entry = root.table("identity");
  if (entry == nullptr) return;
  TableReader reader(*entry->value.table(), entry->value.mark, "identity", root.findings());
  if (auto store = reader.path("store")) main.settings.identity.store = store->value;
  if (auto key = reader.path("key_file")) main.settings.identity.key_file = key->value;
  reader.finish();
}

void read_spool(TableReader& root, MainFile& main) {
  const auto* entry = root.table("spool");
  if (entry == nullptr) return;
  auto& spool = main.settings.spool;
  TableReader reader(*entry->value.table(), entry->value.mark, "spool", root.findings());
  if (auto directory = reader.path("directory")) spool.directory = directory->value;
  if (auto durability = read_durability(reader)) spool.durability = *durability;
  // Below this the journal and one message of the largest size leave no room.
  if (auto most = reader.size("max_bytes")) spool.max_bytes = *most;
  if (auto most = reader.integer("max_messages")) {
    spool.max_messages = static_cast<std::uint64_t>(*most);
  }
  if (auto most = reader.duration("max_age")) spool.max_age = *most;
  if (auto share = reader.percent("device_share")) spool.device_share = *share;
  if (auto delay = reader.duration("commit_delay")) spool.commit_delay = *delay;
  if (auto flush = reader.duration("ledger_flush")) {
    spool.ledger_flush = *flush;
  }
  reader.finish();
}

void read_status(TableReader& root, MainFile& main) {
  auto& status = main.settings.status;
  if (const auto* entry = root.table("status")) {
    TableReader reader(*entry->value.table(), entry->value.mark, "status", root.findings());
    if (auto listen = reader.text("listen")) {
      main.status_place = root.findings().place(listen->mark);
      const auto address = ListenAddress::parse(listen->value);
      if (!address) {
        reader.findings().problem(listen->mark, "status.listen is " + in_quotes(listen->value) +
                                                    "; write an IP address and a port, such as \"127.0.0.1:9464\"");
      } else {
        status.listen = address->text();
        if (!address->loopback) {
          reader.findings().warning(listen->mark,
                                    "status.listen is " + status.listen +
                                        ": everyone who reaches it sees the status; 127.0.0.1 keeps it on this box");
        }
      }
    }
    if (auto control = reader.path("control")) {
      if (control->value.size() >= sizeof(sockaddr_un::sun_path)) {
        reader.findings().problem(control->mark, "status.control has " + std::to_string(control->value.size()) +
                                                     " bytes; the path of a socket has at most " +
                                                     std::to_string(sizeof(sockaddr_un::sun_path) - 1));
      } else {
        status.control = control->value;
      }
    }
    reader.finish();
  }
  main.status_listen = ListenAddress::parse(status.listen);
}

void read_log(TableReader& root, MainFile& main) {
  const auto* entry = root.table("log");
  if (entry == nullptr) return;
  TableReader reader(*entry->value.table(), entry->value.mark, "log", root.findings());
  if (auto level = reader.choice("level")) {
    main.settings.log_level = level->value;
  }
  reader.finish();
}

}  // namespace

MainFile read_main_file(const Document& document, Findings& findings) {
  MainFile main;
  main.settings.file = document.file;
  TableReader root(*document.root.table(), {1, 1}, "", findings);
  auto before = findings.problems.size();
  read_identity(root, main);
  read_status(root, main);
  main.paths_usable = findings.problems.size() == before;
  read_hub(root, main);
  read_spool(root, main);
  read_mqtt(root, main);
  read_coap(root, main);
  read_tcp(root, main);
  read_log(root, main);
  for (const auto name : {"device", "family"}) {
    if (const auto* entry = root.find(name)) {
      findings.problem(entry->mark, "[[" + std::string(name) +
                                        "]] belongs in a file of the folder devices.d beside this one; move it there");
    }
  }
  root.finish();
  return main;
}

}  // namespace trunkline::config
