// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <chrono>

#include "config/main_file.h"
#include "config/suggest.h"

namespace trunkline::config {
namespace {

constexpr std::string_view kPlain = "mqtt://";
constexpr std::string_view kTls = "mqtts://";

bool starts_with(std::string_view text, std::string_view start) {
  return text.substr(0, start.size()) == start;
}

void read_broker(TableReader& reader, const Found<std::string>& url, Mqtt& mqtt) {
  std::string_view rest = url.value;
  // Before anything that would quote the value: it may hold a password (S-01).
  if (rest.find('@') != std::string_view::npos) {
    reader.findings().problem(url.mark,
                              "mqtt.broker holds a user; write user = \"…\" and password_file = \"…\" instead");
    return;
  }
  mqtt.tls = starts_with(rest, kTls);
  if (!mqtt.tls && !starts_with(rest, kPlain)) {
    reader.findings().problem(url.mark, "mqtt.broker is " + in_quotes(url.value) +
                                            "; write \"mqtt://host:1883\", or \"mqtts://host:8883\" for TLS");
    return;
  }
  rest.remove_prefix(mqtt.tls ? kTls.size() : kPlain.size());
  const auto after_address = rest.find(']') == std::string_view::npos ? 0 : rest.find(']');
  const bool has_port = rest.find(':', after_address) != std::string_view::npos;
  const auto endpoint =
      net::Endpoint::parse(has_port ? std::string(rest) : std::string(rest).append(mqtt.tls ? ":8883" : ":1883"));
  if (!endpoint || endpoint->port == 0) {
    reader.findings().problem(url.mark, "mqtt.broker is " + in_quotes(url.value) +
                                            "; write host and port, such as \"mqtt://127.0.0.1:1883\"");
    return;
  }
  mqtt.broker = *endpoint;
}

// For a test bench; each is said every time that the configuration is read.
void read_verification(TableReader& reader, Mqtt& mqtt) {
  const auto read = [&](const char* name, bool& value, const char* what) {
    const auto wanted = reader.flag(name);
    if (!wanted) return;
    value = *wanted;
    const auto mark = reader.find(name)->value.mark;
    if (!mqtt.tls) {
      reader.findings().warning(mark, reader.name_of(name) + " has no effect with mqtt://; write mqtts:// for TLS");
    } else if (!value) {
      reader.findings().warning(mark, reader.name_of(name) + " is off: " + what);
    }
  };
  read("verify_certificate", mqtt.verify_certificate,
       "whoever stands between can pose as the broker, take the password, and read and change everything; name the "
       "broker's authority with mqtt.ca_file instead");
  read("verify_host", mqtt.verify_host,
       "any holder of a certificate from that authority, a device included, can pose as the broker; give the broker a "
       "certificate for the name that mqtt.broker has instead");
}

void read_one_mqtt(const Table& table, Mark mark, TableReader& root, MainFile& main) {
  TableReader reader(table, mark, "mqtt", root.findings());
  Mqtt mqtt;
  mqtt.place = root.findings().place(mark);
  if (auto name = reader.text("name")) mqtt.name = name->value;
  if (auto url = reader.required_text("broker")) read_broker(reader, *url, mqtt);
  const auto user = reader.text("user");
  if (user) mqtt.user = user->value;
  if (auto file = reader.path("password_file")) {
    mqtt.password_file = file->value;
    main.files.push_back({"mqtt.password_file", file->value, root.findings().place(file->mark), true});
    if (!user) reader.findings().problem(file->mark, "mqtt.password_file without mqtt.user; add user = \"…\"");
    if (!mqtt.tls && mqtt.broker.port != 0 && mqtt.broker.host != "localhost" &&
        !starts_with(mqtt.broker.host, "127.") && mqtt.broker.host != "::1") {
      reader.findings().warning(file->mark, "the password goes to " + mqtt.broker.text() +
                                                " unencrypted; use mqtts://, or a broker on this box");
    }
  }
  if (auto file = reader.path("ca_file")) {
    mqtt.ca_file = file->value;
    main.files.push_back({"mqtt.ca_file", file->value, root.findings().place(file->mark)});
    if (!mqtt.tls) {
      reader.findings().warning(file->mark, "mqtt.ca_file has no effect with mqtt://; write mqtts:// for TLS");
    }
  }
  read_verification(reader, mqtt);
  const auto cert = reader.path("cert");
  const auto key = reader.path("key");
  if (cert) {
    mqtt.cert = cert->value;
    main.files.push_back({"mqtt.cert", cert->value, root.findings().place(cert->mark)});
  }
  if (key) {
    mqtt.key = key->value;
    main.files.push_back({"mqtt.key", key->value, root.findings().place(key->mark), true});
  }
  if (cert.has_value() != key.has_value()) {
    reader.findings().problem(cert ? cert->mark : key->mark, "mqtt.cert and mqtt.key belong together; give both");
  } else if (cert && !mqtt.tls) {
    reader.findings().warning(cert->mark, "mqtt.cert has no effect with mqtt://; write mqtts:// for TLS");
  }
  if (const auto version = reader.choice("version")) mqtt.version = version->value;
  if (auto id = reader.text("client_id")) {
    if (id->value.size() > 256 || id->value.find('\0') != std::string::npos) {
      reader.findings().problem(id->mark, "mqtt.client_id is too long or has U+0000; write at most 256 bytes");
    } else {
      mqtt.client_id = id->value;
    }
  }
  // MQTT 5 section 3.1.2.10: a 16-bit number of seconds.
  if (auto alive = reader.duration("keep_alive")) {
    mqtt.keep_alive = *alive;
    if (alive->count() % 1000 != 0) {
      reader.findings().problem(reader.find("keep_alive")->value.mark, "mqtt.keep_alive must be whole seconds");
    }
  }
  mqtt.durability = read_durability(reader);
  reader.finish();
  for (const auto& other : main.settings.mqtt) {
    if (other.name == mqtt.name) {
      root.findings().problem(mark, "the broker name " + in_quotes(mqtt.name) + " is taken by the table at " +
                                        place_text(other.place) + "; give each [[mqtt]] its own name = \"…\"");
    } else if (other.client_id == mqtt.client_id && other.broker == mqtt.broker) {
      root.findings().problem(mark, "the same broker and client_id as the table at " + place_text(other.place) +
                                        ": each would end the other's session; give it its own client_id");
    }
  }
  main.settings.mqtt.push_back(std::move(mqtt));
}

std::optional<ListenAddress> read_listen(TableReader& reader, const Found<std::string>& listen, const std::string& key,
                                         const std::string& example) {
  auto address = ListenAddress::parse(listen.value);
  if (address && address->port != 0) return address;
  reader.findings().problem(listen.mark, "coap." + key + " is " + in_quotes(listen.value) +
                                             "; write an IP address and a port, such as \"" + example + "\"");
  return std::nullopt;
}

// Certificates are all or nothing: without the CA nobody could be checked.
void read_coap_files(TableReader& reader, MainFile& main, Coap& coap) {
  unsigned said = 0;
  std::optional<Mark> any;
  const auto read = [&](const char* name, bool secret) {
    auto file = reader.path(name);
    if (!file) return std::string();
    ++said;
    any = file->mark;
    main.files.push_back({std::string("coap.") + name, file->value, reader.findings().place(file->mark), secret});
    return file->value;
  };
  coap.cert = read("cert", false);
  coap.key = read("key", true);
  coap.ca_file = read("ca_file", false);
  if (said == 0) return;
  if (said != 3) {
    reader.findings().problem(*any, "coap.cert, coap.key and coap.ca_file belong together; set all three");
  } else if (reader.find("listen_dtls") == nullptr) {
    reader.findings().problem(*any, "coap.cert has no effect without coap.listen_dtls; add it, or remove the three");
  }
}

}  // namespace

void read_mqtt(TableReader& root, MainFile& main) {
  const auto* entry = root.find("mqtt");
  if (entry == nullptr) return;
  main.mqtt_written = true;
  if (const auto* table = entry->value.table()) {
    read_one_mqtt(*table, entry->value.mark, root, main);
    return;
  }
  const auto* array = entry->value.array();
  if (array == nullptr) {
    root.findings().problem(entry->value.mark, "mqtt is " + std::string(entry->value.type_name()) +
                                                   "; write a table [mqtt], or [[mqtt]] for several brokers");
    return;
  }
  for (const auto& item : array->items) {
    if (const auto* table = item.table()) {
      read_one_mqtt(*table, item.mark, root, main);
    } else {
      root.findings().problem(item.mark, "mqtt has " + std::string(item.type_name()) + " in it; write [[mqtt]] tables");
    }
  }
}

void read_coap(TableReader& root, MainFile& main) {
  const auto* entry = root.table("coap");
  if (entry == nullptr) {
    // A broken table is reported once; devices that refer to it are not at fault.
    if (root.find("coap") != nullptr) main.settings.coap.emplace();
    return;
  }
  TableReader reader(*entry->value.table(), entry->value.mark, "coap", root.findings());
  auto& coap = main.settings.coap.emplace();
  if (reader.find("listen_dtls") == nullptr || reader.find("listen") != nullptr) {
    if (auto listen = reader.required_text("listen")) {
      if (const auto address = read_listen(reader, *listen, "listen", "127.0.0.1:5683")) {
        coap.listen = address->text();
        if (!address->loopback) {
          reader.findings().warning(
              listen->mark, "coap.listen is " + coap.listen +
                                ": plain CoAP has no proof of who speaks; whoever reaches it can speak as any device");
        }
      }
    }
  }
  if (auto listen = reader.text("listen_dtls")) {
    if (const auto address = read_listen(reader, *listen, "listen_dtls", "0.0.0.0:5684")) {
      coap.listen_dtls = address->text();
      if (coap.listen_dtls == coap.listen) {
        reader.findings().problem(listen->mark, "coap.listen_dtls is the same as coap.listen; give it another port");
      }
    }
  }
  read_coap_files(reader, main, coap);
  if (auto wait = reader.duration("command_wait")) coap.command_wait = *wait;
  if (auto idle = reader.duration("session_timeout")) {
    coap.session_timeout = *idle;
  }
  if (auto most = reader.size("max_body")) coap.max_body = *most;
  if (auto most = reader.integer("max_sessions")) coap.max_sessions = static_cast<unsigned>(*most);
  if (auto most = reader.integer("max_handshakes")) coap.max_handshakes = static_cast<unsigned>(*most);
  if (auto rate = reader.rate("peer_rate")) coap.peer_rate = *rate;
  coap.durability = read_durability(reader);
  reader.finish();
}

void read_tcp(TableReader& root, MainFile& main) {
  const auto* entry = root.table("tcp");
  if (entry == nullptr) return;
  TableReader reader(*entry->value.table(), entry->value.mark, "tcp", root.findings());
  main.settings.tcp_durability = read_durability(reader);
  reader.finish();
}

std::optional<Durability> read_durability(TableReader& reader) {
  const auto written = reader.choice("durability");
  if (!written) return std::nullopt;
  return written->value == "process" ? Durability::process : Durability::power;
}

}  // namespace trunkline::config
