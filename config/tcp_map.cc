// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <span>
#include <string_view>
#include <unordered_map>
#include <unordered_set>

#include "config/device_file.h"
#include "config/framing.h"
#include "config/suggest.h"
#include "gateway/mapping/template.h"
#include "gateway/net/network_set.h"

namespace trunkline::config {
namespace {

using namespace std::string_view_literals;

constexpr std::size_t kMost = 4096;  // bytes of anything that is sent
constexpr Milliseconds kDay{86'400'000};

std::optional<std::string> read_send(TableReader& reader, std::span<const std::string_view> fields) {
  if (reader.require("send") == nullptr) return std::nullopt;
  const auto send = read_bytes(reader, "send", kMost);
  if (!send) return std::nullopt;
  if (const auto parsed = Template::parse(send->value, fields); !parsed) {
    reader.findings().problem(send->mark, reader.name_of("send") + ": " + parsed.error().message);
    return std::nullopt;
  }
  return send->value;
}

void read_reply(TableReader& command, const TcpMap& tcp, TcpCommand& out) {
  const auto reply = read_bytes(command, "reply", kMost);
  if (!reply) return;
  out.reply = reply->value;
  const auto parsed = Template::parse(reply->value, {"payload", "id", "device"});
  if (!parsed) {
    command.findings().problem(reply->mark, "tcp.command.reply: " + parsed.error().message);
    return;
  }
  if (parsed->fill({}).empty() && !parsed->has("id")) {
    command.findings().problem(reply->mark,
                               "tcp.command.reply would take every line for a reply; add a word that only replies "
                               "have, or {id}");
  }
  const bool lines = tcp.framing.kind == FramingKind::line && !tcp.framing.end.empty();
  if (lines && reply->value.find(tcp.framing.end) != std::string::npos) {
    command.findings().problem(reply->mark,
                               "tcp.command.reply has the end of a line in it; a reply is one line, "
                               "without its end");
  }
}

void read_command(TableReader& reader, TcpMap& tcp) {
  const auto* entry = reader.table("command");
  if (entry == nullptr) return;
  TableReader command(*entry->value.table(), entry->value.mark, "tcp.command", reader.findings());
  TcpCommand out;
  out.send = read_send(command, kTcpSendFields).value_or("");
  read_reply(command, tcp, out);
  if (const auto* framing = command.table("framing")) {
    read_framing(*framing, reader.findings(), out.framing.emplace());
  }
  const auto timeout = command.duration("timeout", Milliseconds(10), Milliseconds(45'000));
  out.timeout = timeout.value_or(Milliseconds(0));
  if (const auto retries = command.integer("retries", 0, 10)) out.retries = static_cast<unsigned>(*retries);
  if (out.retries > 0 && !timeout) {
    command.findings().problem(command.find("retries")->value.mark,
                               "tcp.command.retries without tcp.command.timeout: nothing says when to send again");
  }
  out.expire = command.duration("expire", Milliseconds(100), kDay * 30).value_or(Milliseconds(0));
  command.finish();
  tcp.command = std::move(out);
}

std::optional<Template> checked_template(TableReader& reader, std::string_view key, const Found<std::string>& text,
                                         std::initializer_list<std::string_view> names) {
  auto parsed = Template::parse(text.value, names);
  if (!parsed) {
    reader.findings().problem(text.mark, reader.name_of(key) + ": " + parsed.error().message);
    return std::nullopt;
  }
  return *parsed;
}

// A method or desired properties: what is sent, and the line that answers.
std::optional<TcpCommand> read_tcp_call(TableReader& reader, std::string_view key, bool needs_reply,
                                        std::initializer_list<std::string_view> sent,
                                        std::initializer_list<std::string_view> said) {
  const auto* entry = reader.table(key);
  if (entry == nullptr) return std::nullopt;
  TableReader call(*entry->value.table(), entry->value.mark, reader.name_of(key), reader.findings());
  TcpCommand out;
  if (call.require("send") != nullptr) {
    if (auto send = read_bytes(call, "send", kMost); send && checked_template(call, "send", *send, sent)) {
      out.send = send->value;
    }
  }
  if (needs_reply) (void)call.require("reply");
  if (auto reply = read_bytes(call, "reply", kMost)) {
    out.reply = reply->value;
    const auto parsed = checked_template(call, "reply", *reply, said);
    if (parsed && parsed->fill({}).empty() && !parsed->has("id")) {
      call.findings().problem(reply->mark, call.name_of("reply") +
                                               " would take every line for a reply; add a word that only replies "
                                               "have, or {id}");
    }
  }
  call.finish();
  return out;
}

// `tcp.name = [{ … }, { … }]`, or one table.
template <class Read>
void read_tables(TableReader& reader, std::string_view name, std::size_t most, const Read& read) {
  const auto* entry = reader.find(name);
  if (entry == nullptr) return;
  std::vector<const Node*> nodes;
  if (const auto* array = entry->value.array()) {
    for (const auto& item : array->items) nodes.push_back(&item);
  } else {
    nodes.push_back(&entry->value);
  }
  if (nodes.size() > most) {
    reader.findings().problem(entry->value.mark, reader.name_of(name) + " has " + std::to_string(nodes.size()) +
                                                     " entries; write at most " + std::to_string(most));
    return;
  }
  for (const auto* node : nodes) {
    if (node->table() == nullptr) {
      reader.findings().problem(node->mark, reader.name_of(name) + " is " + std::string(node->type_name()) +
                                                "; write a table, or an array of tables");
      continue;
    }
    TableReader inner(*node->table(), node->mark, reader.name_of(name), reader.findings());
    read(inner);
    inner.finish();
  }
}

void read_polls(TableReader& reader, TcpMap& tcp) {
  static constexpr std::array<std::string_view, 10> kFields{"device", "from",    "bcc",     "lrc",     "sum",
                                                            "crc16",  "bcc_hex", "lrc_hex", "sum_hex", "crc16_hex"};
  read_tables(reader, "poll", 64, [&](TableReader& poll) {
    TcpPoll out;
    out.send = read_send(poll, kFields).value_or("");
    if (poll.require("every") != nullptr) {
      out.every = poll.duration("every", Milliseconds(10), kDay).value_or(Milliseconds(0));
    }
    if (const auto timeout = poll.duration("timeout", Milliseconds(10), Milliseconds(60'000))) out.timeout = *timeout;
    tcp.polls.push_back(std::move(out));
  });
}

std::optional<Pattern> read_pattern(TableReader& reader, std::string_view key) {
  const auto text = reader.text(key);
  if (!text) return std::nullopt;
  auto pattern = Pattern::parse(text->value);
  if (pattern) return *pattern;
  reader.findings().problem(text->mark, reader.name_of(key) + ": " + pattern.error().message);
  return std::nullopt;
}

// offset and size, match, or pointer; `as = "hex"`.
void read_frame_field(TableReader& reader, FrameField& field) {
  int ways = 0;
  if (reader.find("match") != nullptr) {
    ++ways;
    field.from = FrameField::From::match;
    field.pattern = read_pattern(reader, "match");
  }
  if (auto pointer = reader.text("pointer")) {
    ++ways;
    field.from = FrameField::From::pointer;
    field.pointer = pointer->value;
    if (field.pointer.front() != '/') {
      reader.findings().problem(pointer->mark, reader.name_of("pointer") + " is " + in_quotes(field.pointer) +
                                                   "; write a JSON pointer such as \"/id\"");
    }
  }
  if (reader.find("size") != nullptr || reader.find("offset") != nullptr) {
    ++ways;
    if (const auto offset = reader.integer("offset", 0, 65'535)) field.offset = static_cast<std::size_t>(*offset);
    if (reader.require("size") != nullptr) {
      field.size = static_cast<std::size_t>(reader.integer("size", 1, 256).value_or(1));
    }
  }
  if (const auto as = reader.choice("as", {"text", "hex"})) field.hex = as->value == "hex";
  if (ways != 1) {
    reader.findings().problem(reader.mark(), reader.name_of("") + "needs one of match, pointer, and offset with size");
  }
}

void read_identify(TableReader& reader, TcpMap& tcp) {
  const auto* entry = reader.table("identify");
  if (entry == nullptr) return;
  TableReader inner(*entry->value.table(), entry->value.mark, "tcp.identify", reader.findings());
  auto& identify = tcp.line.identify;
  const bool said = inner.require("by") != nullptr;
  const auto by = inner.choice("by", {"address", "registration", "frame", "certificate", "psk"});
  const auto is = inner.text("is");
  if (is) tcp.is = is->value;
  if (!by) {
    if (said) return;
    return inner.finish();
  }
  using By = TcpIdentify::By;
  identify.by = by->value == "address"        ? By::address
                : by->value == "registration" ? By::registration
                : by->value == "frame"        ? By::frame
                : by->value == "certificate"  ? By::certificate
                                              : By::psk;
  if (identify.by == By::address) {
    if (!is) {
      static_cast<void>(inner.require("is"));
    } else if (const auto network = net::NetworkSet().add(is->value); !network) {
      inner.findings().problem(
          is->mark, "tcp.identify.is: " + network.error().message + "; write such as \"10.0.0.7\" or \"10.0.7.0/24\"");
    }
  }
  if (identify.by == By::registration) {
    if (const auto bytes = inner.integer("bytes", 1, 256)) {
      identify.bytes = static_cast<std::size_t>(*bytes);
      identify.field.size = identify.bytes;
    }
    if (auto answer = read_bytes(inner, "answer", kMost)) identify.answer = answer->value;
  }
  const bool whole = identify.bytes > 0 && inner.find("match") == nullptr && inner.find("size") == nullptr;
  if (whole) {
    if (const auto as = inner.choice("as", {"text", "hex"})) identify.field.hex = as->value == "hex";
  } else if (identify.by == By::registration || identify.by == By::frame) {
    read_frame_field(inner, identify.field);
  }
  if (identify.by == By::registration || identify.by == By::frame) {
    if (const auto hold = inner.size("hold", 1, 65'536)) identify.hold_bytes = *hold;
    if (const auto time = inner.duration("hold_time", Milliseconds(100), Milliseconds(600'000))) {
      identify.hold_time = *time;
    }
  }
  inner.finish();
}

void read_tls(TableReader& reader, TcpMap& tcp, std::vector<NamedFile>& files) {
  const auto* entry = reader.table("tls");
  if (entry == nullptr) return;
  TableReader inner(*entry->value.table(), entry->value.mark, "tcp.tls", reader.findings());
  auto& tls = tcp.line.tls.emplace();
  const auto path = [&](const char* key) {
    auto found = inner.path(key);
    if (!found) return std::string();
    files.push_back({inner.name_of(key), found->value, inner.findings().place(found->mark), key == "key"sv});
    return found->value;
  };
  tls.ca_file = path("ca_file");
  tls.cert = path("cert");
  tls.key = path("key");
  tls.psk = inner.flag("psk").value_or(false);
  if ((inner.find("cert") == nullptr) != (inner.find("key") == nullptr)) {
    inner.findings().problem(inner.mark(), "tcp.tls.cert and tcp.tls.key belong together; set both");
  } else if (tcp.connect.empty()) {
    if (inner.find("cert") == nullptr && !tls.psk) {
      inner.findings().problem(inner.mark(), "tcp.tls needs cert and key, or psk = true");
    }
  } else {
    if (auto name = inner.text("name")) tls.name = name->value;
    if (auto identity = inner.text("identity")) tls.identity = identity->value;
    if (tls.psk && (inner.find("cert") != nullptr || inner.find("ca_file") != nullptr || !tls.name.empty())) {
      inner.findings().problem(inner.mark(),
                               "tcp.tls.psk when dialling: the key is the proof of both sides; remove the certificates "
                               "and the name, or the key");
    } else if (!tls.psk && !tls.identity.empty()) {
      inner.findings().problem(inner.find("identity")->value.mark,
                               "tcp.tls.identity is who we are by a pre-shared key; add psk = true, or remove it");
    } else if (tls.identity.size() > 128) {
      inner.findings().problem(inner.find("identity")->value.mark,
                               "tcp.tls.identity is longer than 128 bytes; shorten it");
    }
  }
  inner.finish();
}

void check_proof(TableReader& reader, const TcpMap& tcp) {
  using By = TcpIdentify::By;
  const auto by = tcp.line.identify.by;
  const bool shared = by != By::sole;
  const auto mark = shared ? reader.find("identify")->value.mark : reader.mark();
  if (!tcp.connect.empty() && shared && by != By::frame) {
    reader.findings().problem(mark,
                              "who is dialled is known; with tcp.connect only tcp.identify.by = \"frame\" tells "
                              "devices apart");
  }
  const auto& tls = tcp.line.tls;
  if (by == By::psk && !(tls && tls->psk)) {
    reader.findings().problem(mark, "tcp.identify.by = \"psk\" needs tcp.tls = { psk = true }");
  }
  if (by == By::certificate && !(tls && !tls->ca_file.empty())) {
    reader.findings().problem(mark, "tcp.identify.by = \"certificate\" needs tcp.tls with cert, key and ca_file");
  }
}

void read_listening(TableReader& reader, TcpLine& line) {
  if (reader.find("connect") != nullptr) return;
  if (const auto most = reader.integer("max_connections", 1, 100'000)) {
    line.max_connections = static_cast<unsigned>(*most);
  }
  if (const auto most = reader.integer("max_per_address", 1, 100'000)) {
    line.max_per_address = static_cast<unsigned>(*most);
  }
  for (auto& one : reader.texts("allow")) {
    if (const auto network = net::NetworkSet().add(one.value); !network) {
      reader.findings().problem(
          one.mark, "tcp.allow: " + network.error().message + "; write such as \"10.0.0.7\" or \"10.0.7.0/24\"");
    }
    line.allow.push_back(std::move(one.value));
  }
}

void read_dialling(TableReader& reader, TcpLine& line) {
  if (reader.find("connect") == nullptr) return;
  line.release = reader.duration("release", Milliseconds(100), kDay).value_or(Milliseconds(0));
  if (const auto retry = reader.duration("retry", Milliseconds(500), kDay)) line.retry = *retry;
  if (auto bind = reader.text("bind")) line.bind = bind->value;
}

void read_liveness(TableReader& reader, TcpLine& line) {
  line.silence = reader.duration("silence", Milliseconds(100), kDay).value_or(Milliseconds(0));
  if (const auto dead = reader.duration("dead_after", Milliseconds(2'000), kDay)) line.dead_after = *dead;
  line.gap = reader.duration("gap", Milliseconds(1), Milliseconds(60'000)).value_or(Milliseconds(0));
  read_tables(reader, "heartbeat", 16, [&](TableReader& inner) {
    static_cast<void>(inner.require("match"));
    auto match = read_pattern(inner, "match");
    auto answer = read_bytes(inner, "answer", kMost);
    if (match) line.heartbeats.push_back({*match, answer ? std::optional(answer->value) : std::nullopt});
  });
  const auto* entry = reader.table("probe");
  if (entry == nullptr) return;
  TableReader inner(*entry->value.table(), entry->value.mark, "tcp.probe", reader.findings());
  auto& probe = line.probe.emplace();
  if (inner.require("send") != nullptr) {
    if (auto send = read_bytes(inner, "send", kMost)) probe.send = send->value;
  }
  if (inner.require("every") != nullptr) {
    probe.every = inner.duration("every", Milliseconds(50), kDay).value_or(Milliseconds(0));
  }
  if (const auto timeout = inner.duration("timeout", Milliseconds(50), Milliseconds(600'000))) probe.timeout = *timeout;
  inner.finish();
}

void read_acknowledgement(TableReader& reader, TcpMap& tcp) {
  const auto ack = read_bytes(reader, "ack", kMost);
  if (ack) tcp.ack = ack->value;
  tcp.line.cumulative = reader.flag("cumulative").value_or(false);
  const auto* entry = reader.table("sequence");
  if (entry == nullptr) return;
  TableReader inner(*entry->value.table(), entry->value.mark, "tcp.sequence", reader.findings());
  read_frame_field(inner, tcp.line.sequence.emplace());
  inner.finish();
  if (!ack) return;
  if (const auto parsed = Template::parse(ack->value, {"sequence"}); !parsed) {
    reader.findings().problem(ack->mark, "tcp.ack: " + parsed.error().message);
  }
}

}  // namespace

void read_tcp_map(const Entry& entry, const TableReader& device, Findings& findings, DeviceDraft& draft) {
  TableReader reader(*entry.value.table(), entry.value.mark, device.name_of("tcp"), findings);
  auto& tcp = draft.map.tcp.emplace();
  if (auto connect = reader.text("connect")) {
    const auto target = net::Endpoint::parse(connect->value);
    if (reader.find("listen") != nullptr) {
      findings.problem(connect->mark, "tcp.connect beside tcp.listen; a device is either dialled or listened for");
      return;
    }
    if (!target || target->port == 0) {
      findings.problem(connect->mark, "tcp.connect is " + in_quotes(connect->value) +
                                          "; write a host and a port, such as \"10.0.0.9:4001\"");
    } else {
      tcp.connect = target->text();
      draft.listener_place = findings.place(connect->mark);
    }
  } else if (auto listen = reader.required_text("listen")) {
    draft.listener = ListenAddress::parse(listen->value);
    draft.listener_place = findings.place(listen->mark);
    if (!draft.listener || draft.listener->port == 0) {
      findings.problem(listen->mark, "tcp.listen is " + in_quotes(listen->value) +
                                         "; write an IP address and a port, such as \"10.0.0.1:4001\"");
      draft.listener.reset();
    } else {
      tcp.listen = draft.listener->text();
    }
  }
  if (const auto* framing = reader.table("framing")) read_framing(*framing, findings, tcp.framing);
  read_acknowledgement(reader, tcp);
  read_identify(reader, tcp);
  read_dialling(reader, tcp.line);
  read_liveness(reader, tcp.line);
  read_tls(reader, tcp, draft.files);
  if (const auto second = reader.choice("second", {"replace", "refuse"})) {
    tcp.line.refuse_second = second->value == "refuse";
  }
  read_listening(reader, tcp.line);
  check_proof(reader, tcp);
  read_command(reader, tcp);
  read_polls(reader, tcp);
  tcp.method =
      read_tcp_call(reader, "method", true, {"payload", "id", "name", "device"}, {"payload", "id", "status", "device"});
  tcp.desired = read_tcp_call(reader, "desired", false, {"payload", "id", "version", "device"},
                              {"payload", "id", "version", "device"});
  if (auto reported = read_bytes(reader, "reported", 4096)) {
    const auto parsed = checked_template(reader, "reported", *reported, {"payload", "device"});
    if (parsed && (!parsed->has("payload") || parsed->fill({}).empty())) {
      reader.findings().problem(reported->mark,
                                "tcp.reported needs {payload}, and a word that only such lines have, such as "
                                "\"STATE {payload}\"");
    }
    tcp.reported = std::move(reported->value);
  }
  reader.not_yet({"durability"});
  reader.finish();
}

void check_tcp_lines(const std::vector<DeviceDraft>& drafts, std::vector<Problem>& problems,
                     std::vector<Problem>& warnings) {
  std::unordered_set<std::string> open;
  std::unordered_map<std::string, const DeviceDraft*> first;
  std::unordered_map<std::string, const DeviceDraft*> named;
  for (const auto& draft : drafts) {
    if (!draft.map.tcp) continue;
    const auto& tcp = *draft.map.tcp;
    // Old devices cannot do TLS; then at least not every network needs to reach them (I-02).
    if (draft.listener && draft.listener->wildcard && !tcp.line.tls && tcp.line.allow.empty() &&
        open.insert(tcp.listen).second) {
      warnings.push_back(
          {draft.listener_place,
           "tcp.listen is " + tcp.listen +
               " without tcp.tls: whoever reaches this machine, on any of its networks, can speak as the "
               "device; listen on the address of the devices' network, such as \"10.0.0.1:" +
               std::to_string(draft.listener->port) + "\", or say tcp.allow = [\"10.0.0.0/24\"]"});
    }
    const bool sole = tcp.line.identify.by == TcpIdentify::By::sole;
    const auto& address = tcp.connect.empty() ? tcp.listen : tcp.connect;
    if (address.empty() || (sole && tcp.connect.empty())) continue;  // other listeners collide as such
    const auto [found, fresh] = first.emplace(tcp.connect + '|' + tcp.listen, &draft);
    const auto& other = *found->second;
    const auto where = " at " + place_text(other.listener_place);
    if (!fresh && (sole || other.map.tcp->line.identify.by == TcpIdentify::By::sole)) {
      problems.push_back({draft.listener_place, "tcp.connect " + address + " is dialled already" + where +
                                                    "; devices share it when both say tcp.identify"});
      continue;
    }
    if (!fresh && !same_line(tcp, *other.map.tcp)) {
      problems.push_back({draft.listener_place, address + " is shared with the device" + where +
                                                    ", but they do not say the same of framing, acknowledgement or "
                                                    "line; what they share must be equal in both"});
      continue;
    }
    if (sole) continue;
    const auto& is = tcp.is.empty() ? draft.map.id.text() : tcp.is;
    if (const auto [same, alone] = named.emplace(address + '|' + is, &draft); !alone) {
      problems.push_back({draft.listener_place, "on " + address + " the device" + " at " +
                                                    place_text(same->second->listener_place) + " is " + in_quotes(is) +
                                                    " already; give each its own tcp.identify.is"});
    }
  }
}

}  // namespace trunkline::config
