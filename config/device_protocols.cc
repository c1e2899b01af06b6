// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "config/device_file.h"
#include "config/suggest.h"
#include "gateway/base/encoding.h"
#include "gateway/mapping/template.h"

namespace trunkline::config {
namespace {

// Why `path` cannot be a CoAP path (RFC 7252 sections 5.10.1 and 6.4), or nothing.
std::string path_fault(std::string_view path) {
  if (path.front() != '/') return "does not start with \"/\"; write it such as \"/t\"";
  if (path.size() > 1024) return "is longer than 1024 bytes; shorten it";
  if (path == "/") return "is the root; name a path such as \"/t\"";
  if (!is_utf8(path)) return "is not valid UTF-8; write it in UTF-8";
  if (path.find_first_of("?#") != std::string_view::npos) return "has a query (? or #); write the path alone";
  if (std::any_of(path.begin(), path.end(), [](char c) { return static_cast<unsigned char>(c) <= 0x20; })) {
    return "has a space or control character in it; remove it";
  }
  if (path.substr(0, 12) == "/.well-known") return "starts with /.well-known, which is reserved; use another path";
  for (std::size_t from = 1; from <= path.size();) {
    const auto end = std::min(path.find('/', from), path.size());
    const auto segment = path.substr(from, end - from);
    if (segment.empty()) return "has an empty segment; remove the extra \"/\"";
    if (segment == "." || segment == "..") return "has a segment \".\" or \"..\"; write the path in full";
    if (segment.size() > 255) return "has a segment of more than 255 bytes; shorten it";
    from = end + 1;
  }
  return {};
}

bool starts_with(std::string_view text, std::string_view start) {
  return text.substr(0, start.size()) == start;
}

using Fault = std::string (*)(std::string_view);

struct Address {
  std::string value;
  SourcePlace place;
  bool own = true;  // not made from a missing id, so that it can collide
};

// A topic or path: {device} filled in, then checked.
std::optional<Address> read_address(TableReader& reader, std::string_view key, const DeviceDraft& draft, Fault fault) {
  auto found = reader.text(key);
  if (!found) return std::nullopt;
  const auto parsed = Template::parse(found->value, {"device"});
  if (!parsed) {
    reader.findings().problem(found->mark, reader.name_of(key) + ": " + parsed.error().message);
    return std::nullopt;
  }
  auto value = parsed->fill({{"device", draft.map.id.text()}});
  if (const auto why = fault(value); !why.empty()) {
    reader.findings().problem(found->mark, reader.name_of(key) + " is " + in_quotes(value) + ": it " + why);
    return std::nullopt;
  }
  return Address{std::move(value), reader.findings().place(found->mark), draft.named || !parsed->has("device")};
}

// Why `identity` cannot be one (RFC 4279 section 5.1; OpenSSL ends it at U+0000), or nothing.
std::string identity_fault(std::string_view identity) {
  if (identity.size() > 128) return "is longer than 128 bytes; shorten it";
  if (!is_utf8(identity)) return "is not valid UTF-8; write it in UTF-8";
  if (identity.find('\0') != std::string_view::npos) return "has U+0000 in it; remove it";
  return {};
}

// A device is heard on DTLS or on the plain listener, never on both: the plain one would undo the proof (I-02).
void check_coap_listener(TableReader& reader, References main, const CoapMap& coap, Mark mark) {
  if (coap.identity && coap.address) {
    reader.findings().problem(reader.find("address")->mark,
                              "coap.address and coap.identity in one map; the identity decides who it is on DTLS, "
                              "remove the address");
  }
  if (main == nullptr || !main->settings.coap) return;
  const auto& listeners = *main->settings.coap;
  // Neither is set when both are wrong, which is reported where they stand.
  if (listeners.listen.empty() && listeners.listen_dtls.empty()) return;
  if (coap.identity && listeners.listen_dtls.empty()) {
    reader.findings().problem(reader.find("identity")->mark,
                              "coap.identity is for DTLS, but [coap] has no listen_dtls; add listen_dtls = "
                              "\"0.0.0.0:5684\"");
  } else if (!coap.identity && reader.find("identity") == nullptr && listeners.listen.empty()) {
    reader.findings().problem(mark,
                              "this device has no coap.identity, and [coap] listens on DTLS only; add coap.identity "
                              "= \"<its PSK identity or certificate name>\"");
  }
}

// A device that is asked something needs a way to answer.
void check_coap_calls(TableReader& reader, const CoapMap& coap) {
  const bool answers_itself = reader.find("push") != nullptr;
  const auto need = [&](const char* key, const char* answer, const char* why) {
    if (reader.find(key) == nullptr) return;
    const auto& name = reader.name_of(key);
    if (coap.piggyback) {
      reader.findings().problem(reader.find(key)->mark,
                                name + " does not work with coap.piggyback; let the device observe, or use coap.push");
    } else if (!answers_itself && reader.find(answer) == nullptr) {
      reader.findings().problem(reader.find(key)->mark, name + " without " + reader.name_of(answer) + ", " + why);
    }
  };
  need("method", "method_reply", "to which the device POSTs its answer; add that path, or use coap.push");
  need("desired", "reported", "to which the device POSTs what it took over; add that path, or use coap.push");
  if (reader.find("method_reply") != nullptr && reader.find("method") == nullptr) {
    reader.findings().problem(reader.find("method_reply")->mark,
                              "coap.method_reply without coap.method; add the path of the calls, or remove it");
  }
}

std::optional<CoapPush> parse_push(std::string_view url) {
  constexpr std::string_view kScheme = "coap://";
  if (!starts_with(url, kScheme)) return std::nullopt;
  url.remove_prefix(kScheme.size());
  const auto slash = url.find('/');
  if (slash == std::string_view::npos || !path_fault(url.substr(slash)).empty()) return std::nullopt;
  CoapPush out;
  out.path = url.substr(slash);
  const auto authority = std::string(url.substr(0, slash));
  const auto after_address = authority.find(']') == std::string::npos ? 0 : authority.find(']');
  const bool has_port = authority.find(':', after_address) != std::string::npos;
  const auto address = ListenAddress::parse(has_port ? authority : authority + ":5683");
  if (!address || address->port == 0 || address->wildcard) return std::nullopt;
  out.host = address->address;
  out.port = address->port;
  return out;
}

// How its commands reach it: it observes, they ride on the answers to its telemetry, or they are pushed to its server.
void read_coap_way(TableReader& reader, const DeviceDraft& draft, CoapMap& coap) {
  if (auto piggyback = reader.flag("piggyback")) coap.piggyback = *piggyback;
  if (auto url = reader.text("push")) {
    const auto filled = Template::parse(url->value, {"device"});
    coap.push = filled ? parse_push(filled->fill({{"device", draft.map.id.text()}})) : std::nullopt;
    if (!coap.push) {
      reader.findings().problem(url->mark,
                                "coap.push is " + in_quotes(url->value) +
                                    "; write an IP address and a path, such as \"coap://10.0.0.7:5683/cmd\"");
    }
  }
  if ((reader.find("command") != nullptr) + coap.piggyback + (reader.find("push") != nullptr) > 1) {
    reader.findings().problem(reader.mark(),
                              "coap.command, coap.piggyback and coap.push are three ways for one command; choose one");
  }
}

// Where the device says when it was: time = { option = 65000, format = "unix_ms" } or { query = "ts" }.
void read_coap_time(TableReader& reader, CoapMap& coap) {
  const auto* entry = reader.table("time");
  if (entry == nullptr) return;
  TableReader time(*entry->value.table(), entry->value.mark, reader.name_of("time"), reader.findings());
  CoapTime out;
  const auto option = time.integer("option", 2048, 65535);
  const auto query = time.text("query");
  out.rule = read_time_rule(time);
  time.finish();
  if (option) out.option = static_cast<unsigned>(*option);
  if (query) out.query = query->value;
  if ((time.find("option") != nullptr) == (time.find("query") != nullptr)) {
    reader.findings().problem(entry->value.mark, "coap.time needs one of option and query, such as { query = \"ts\" }");
  } else if (query && (query->value.empty() || query->value.size() > 64 || query->value.find_first_of("=&") < 64)) {
    reader.findings().problem(query->mark, "coap.time.query is " + in_quotes(query->value) +
                                               "; write the name before the =, at most 64 characters");
  } else if (option && *option % 2 != 0) {
    reader.findings().problem(time.find("option")->mark,
                              "coap.time.option is odd, so it is critical and servers must refuse it (RFC 7252 section "
                              "5.4.6); take an even number, such as 65000");
  } else if (option && out.rule.format == DeviceTime::Format::iso8601) {
    reader.findings().problem(time.mark(),
                              "coap.time.option is a number; add format = \"unix_ms\" or format = \"unix\"");
  } else {
    coap.time = std::move(out);
  }
}

}  // namespace

void read_coap_map(const Entry& entry, const TableReader& device, References main, Findings& findings,
                   DeviceDraft& draft) {
  TableReader reader(*entry.value.table(), entry.value.mark, device.name_of("coap"), findings);
  auto& coap = draft.map.coap.emplace();
  if (main != nullptr && !main->settings.coap) {
    findings.problem(entry.mark,
                     "this device speaks CoAP, but trunkline.toml has no [coap] table; add one with listen "
                     "= \"127.0.0.1:5683\"");
  }
  if (auto address = reader.text("address")) {
    coap.address = canonical_ip(address->value);
    if (!coap.address) {
      findings.problem(address->mark, "coap.address is " + in_quotes(address->value) +
                                          "; write the device's IP address alone, such as \"10.0.0.7\"");
      coap.address = address->value;
    }
  }
  if (auto identity = read_address(reader, "identity", draft, identity_fault)) {
    if (identity->own) {
      draft.claims.push_back({"coap identity " + identity->value, "the DTLS identity " + in_quotes(identity->value),
                              "give each device its own", identity->place});
    }
    coap.identity = std::move(identity->value);
  }
  check_coap_listener(reader, main, coap, entry.mark);
  const auto claim = [&](const Address& path) {
    if (!path.own) return;
    const auto who = coap.identity ? "dtls " + *coap.identity : "from " + coap.address.value_or("");
    draft.claims.push_back({"coap " + who + '\0' + path.value, "the CoAP path " + in_quotes(path.value),
                            coap.identity || coap.address ? "each path of a device can have one meaning"
                                                          : "give each device its own paths, or its coap.address",
                            path.place});
  };
  if (reader.require("telemetry") != nullptr) {
    if (auto path = read_address(reader, "telemetry", draft, path_fault)) {
      claim(*path);
      coap.telemetry = std::move(path->value);
    }
  }
  if (auto path = read_address(reader, "command", draft, path_fault)) {
    claim(*path);
    coap.command = std::move(path->value);
  }
  read_coap_way(reader, draft, coap);
  read_coap_time(reader, coap);
  if (auto path = read_address(reader, "result", draft, path_fault)) {
    claim(*path);
    coap.result = std::move(path->value);
    if (reader.find("command") == nullptr && reader.find("piggyback") == nullptr && reader.find("push") == nullptr) {
      findings.problem(reader.find("result")->mark,
                       "coap.result without coap.command; add the command's path, or remove the result");
    }
  }
  struct Path {
    const char* key;
    std::optional<std::string>& into;
  };
  for (const auto& [key, into] : {Path{"method", coap.method}, Path{"method_reply", coap.method_reply},
                                  Path{"desired", coap.desired}, Path{"reported", coap.reported}}) {
    if (auto path = read_address(reader, key, draft, path_fault)) {
      claim(*path);
      into = std::move(path->value);
    }
  }
  check_coap_calls(reader, coap);
  reader.not_yet({"durability"});
  reader.finish();
}

}  // namespace trunkline::config
