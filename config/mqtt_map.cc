// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "config/device_file.h"
#include "config/suggest.h"
#include "gateway/mapping/template.h"

namespace trunkline::config {
namespace {

std::optional<std::string> read_broker_name(TableReader& reader, References main, const Entry& entry) {
  const auto named = reader.text("broker");
  if (main == nullptr || main->settings.mqtt.empty()) {
    if (main != nullptr && !main->mqtt_written) {
      reader.findings().problem(named ? named->mark : entry.mark,
                                "this device speaks MQTT, but trunkline.toml has no [mqtt] table; add one with broker "
                                "= \"mqtt://127.0.0.1:1883\"");
    }
    return named ? named->value : "default";
  }
  const auto& brokers = main->settings.mqtt;
  if (!named && brokers.size() == 1) return brokers.front().name;
  const auto wanted = named ? named->value : "default";
  std::vector<std::string_view> names;
  for (const auto& broker : brokers) names.push_back(broker.name);
  if (std::find(names.begin(), names.end(), wanted) != names.end()) return wanted;
  if (!named) {
    reader.findings().problem(entry.mark, "trunkline.toml has several brokers; say mqtt.broker = \"<its name>\"");
    return std::nullopt;
  }
  std::string message = "mqtt.broker is " + in_quotes(wanted) + ", but trunkline.toml has no [[mqtt]] of that name; ";
  const auto meant = nearest(wanted, names);
  message += meant ? "did you mean " + in_quotes(*meant) + "?" : "add it, or write " + in_quotes(names.front());
  reader.findings().problem(named->mark, std::move(message));
  return std::nullopt;
}

// An address of the map, checked, as text that can be parsed again.
struct Topic {
  TopicPattern pattern;
  Mark mark;
  bool own = true;  // not made from a missing id, so that it can collide
};

class MqttReader {
 public:
  MqttReader(const Entry& entry, std::string path, References main, Findings& findings, DeviceDraft& draft)
      : reader_(*entry.value.table(), entry.value.mark, std::move(path), findings),
        main_(main),
        draft_(draft),
        entry_(entry) {
    if (!draft.family) known_.push_back({"device", draft.map.id.text()});
    later_ = draft.later;
    if (draft.family) later_.emplace_back("device");
  }

  void read();

 private:
  std::optional<Topic> topic(const Found<std::string>& found, std::string_view key);
  std::optional<Topic> topic(std::string_view key);
  std::optional<MqttPresence> presence(std::string_view key);
  void claim(const Topic& topic, const char* what);
  void must_be_named(const Topic& topic);
  void must_be_exact(const Topic& topic, std::string_view key);
  void read_command();
  void read_method();
  void read_twin();
  void read_filters();

  TableReader reader_;
  References main_;
  DeviceDraft& draft_;
  const Entry& entry_;
  Captures known_;
  std::vector<std::string> later_;
  std::optional<std::string> broker_;
  std::vector<TopicPattern> heard_;
  std::vector<TopicPattern> state_;
};

std::optional<Topic> MqttReader::topic(const Found<std::string>& found, std::string_view key) {
  auto parsed = TopicPattern::parse(found.value, known_, later_);
  if (!parsed) {
    const auto& why = parsed.error().message;
    reader_.findings().problem(found.mark,
                               why.starts_with("unknown field") || why.starts_with("a ")
                                   ? reader_.name_of(key) + ": " + why
                                   : reader_.name_of(key) + " is " + in_quotes(found.value) + ": it " + why);
    return std::nullopt;
  }
  return Topic{std::move(*parsed), found.mark,
               draft_.named || draft_.family || found.value.find("{device}") == std::string::npos};
}

std::optional<Topic> MqttReader::topic(std::string_view key) {
  const auto found = reader_.text(key);
  return found ? topic(*found, key) : std::nullopt;
}

// Patterns that differ only in the names of their captures collide.
std::string shape_of(const TopicPattern& pattern) {
  std::string out;
  for (const auto& level : pattern.levels()) {
    using Kind = TopicPattern::Level::Kind;
    out += '/';
    out += level.kind == Kind::one       ? "+"
           : level.kind == Kind::several ? "+&"
           : level.kind == Kind::rest    ? "#"
                                         : level.text;
  }
  return out;
}

void MqttReader::claim(const Topic& topic, const char* what) {
  if (!topic.own || !broker_) return;
  const auto place = reader_.findings().place(topic.mark);
  draft_.claims.push_back({"mqtt " + *broker_ + '\0' + shape_of(topic.pattern),
                           std::string(what) + " " + in_quotes(topic.pattern.text()), "each topic can have one meaning",
                           place});
  draft_.topics.push_back({*broker_, topic.pattern, place});
}

// What we publish on, and whose answers count, is one topic; a capture of the command's is filled by each command.
void MqttReader::must_be_exact(const Topic& topic, std::string_view key) {
  if (draft_.family && !draft_.named) return;  // its id is wrong, which was said
  using Kind = TopicPattern::Level::Kind;
  for (const auto& level : topic.pattern.levels()) {
    const bool known = std::find(later_.begin(), later_.end(), level.text) != later_.end();
    if (level.kind == Kind::literal || level.kind == Kind::partial || known) continue;
    if ((key == "command" || (key == "method" && (level.text == "name" || level.text == "id"))) &&
        level.kind != Kind::rest && !level.text.empty())
      continue;
    reader_.findings().problem(topic.mark, reader_.name_of(key) + " is " + in_quotes(topic.pattern.text()) +
                                               ": it has a wildcard; write the one topic of this device");
    return;
  }
}

// A device's topics are its own; what varies in them has a name.
void MqttReader::must_be_named(const Topic& topic) {
  for (const auto& level : topic.pattern.levels()) {
    if (level.kind == TopicPattern::Level::Kind::literal || !level.text.empty()) continue;
    reader_.findings().problem(topic.mark, reader_.name_of("telemetry") + " is " + in_quotes(topic.pattern.text()) +
                                               ": it has a wildcard (+ or #); write the one topic of this device, or "
                                               "name what varies, as {part} or {rest+}");
    return;
  }
}

std::optional<MqttPresence> MqttReader::presence(std::string_view key) {
  const auto* entry = reader_.find(key);
  if (entry == nullptr) return std::nullopt;
  MqttPresence out;
  std::optional<Topic> at;
  if (const auto* table = entry->value.table()) {
    TableReader inner(*table, entry->value.mark, reader_.name_of(key), reader_.findings());
    if (const auto text = inner.required_text("topic")) at = topic(*text, key);
    if (auto word = inner.text("online")) out.online = std::move(word->value);
    if (auto word = inner.text("offline")) out.offline = std::move(word->value);
    inner.finish();
  } else {
    at = topic(key);
  }
  if (!at) return std::nullopt;
  must_be_exact(*at, key);
  state_.push_back(at->pattern);
  out.topic = at->pattern.text();
  // A bridge speaks for many.
  if (key == "presence") claim(*at, "the MQTT topic");
  return out;
}

void MqttReader::read_command() {
  auto& mqtt = *draft_.map.mqtt;
  if (const auto at = topic("command")) {
    must_be_exact(*at, "command");
    claim(*at, "the MQTT topic");
    mqtt.command = at->pattern.text();
  }
  if (const auto at = topic("command_reply")) {
    must_be_exact(*at, "command_reply");
    claim(*at, "the MQTT topic");
    heard_.push_back(at->pattern);
    mqtt.command_reply = at->pattern.text();
    if (reader_.find("command") == nullptr) {
      reader_.findings().problem(reader_.find("command_reply")->mark,
                                 "mqtt.command_reply without mqtt.command; add the command's "
                                 "topic, or remove the reply");
    }
  }
  if (auto text = reader_.text("command_payload")) {
    std::vector<std::string> names = Template::names_in(text->value);
    const std::vector<std::string_view> all(names.begin(), names.end());
    if (auto parsed = Template::parse(text->value, all); !parsed) {
      reader_.findings().problem(text->mark, reader_.name_of("command_payload") + ": " + parsed.error().message);
    } else {
      mqtt.command_payload = std::move(text->value);
    }
  }
}

void MqttReader::read_method() {
  auto& mqtt = *draft_.map.mqtt;
  if (const auto at = topic("method")) {
    must_be_exact(*at, "method");
    claim(*at, "the MQTT topic");
    mqtt.method = at->pattern.text();
    if (reader_.find("method_reply") == nullptr) {
      reader_.findings().problem(at->mark,
                                 "mqtt.method without mqtt.method_reply; a method has an answer, so add the topic on "
                                 "which the device gives it");
    }
  }
  if (const auto at = topic("method_reply")) {
    must_be_exact(*at, "method_reply");
    claim(*at, "the MQTT topic");
    heard_.push_back(at->pattern);
    mqtt.method_reply = at->pattern.text();
    if (reader_.find("method") == nullptr) {
      reader_.findings().problem(at->mark,
                                 "mqtt.method_reply without mqtt.method; add the topic of the calls, or remove it");
    }
  }
}

void MqttReader::read_twin() {
  auto& mqtt = *draft_.map.mqtt;
  if (const auto at = topic("desired")) {
    must_be_exact(*at, "desired");
    claim(*at, "the MQTT topic");
    mqtt.desired = at->pattern.text();
  }
  if (const auto at = topic("reported")) {
    must_be_exact(*at, "reported");
    claim(*at, "the MQTT topic");
    heard_.push_back(at->pattern);
    mqtt.reported = at->pattern.text();
  }
}

// A family subscribes with its wildcards, whatever the number of its members.
void MqttReader::read_filters() {
  if (!draft_.family) return;
  for (const auto& pattern : heard_) {
    // {device} and the id's captures become + where they are a level of their own.
    draft_.map.mqtt->filters.push_back(pattern.filter());
  }
  for (const auto& pattern : state_) draft_.map.mqtt->state_filters.push_back(pattern.filter());
}

void MqttReader::read() {
  auto& mqtt = draft_.map.mqtt.emplace();
  broker_ = read_broker_name(reader_, main_, entry_);
  mqtt.broker = broker_.value_or("default");
  if (reader_.require("telemetry") != nullptr) {
    for (const auto& text : reader_.texts("telemetry")) {
      const auto at = topic(text, "telemetry");
      if (!at) continue;
      must_be_named(*at);
      const bool shared = draft_.family && reader_.find("id_from") != nullptr;
      if (!shared) claim(*at, "the MQTT topic");
      heard_.push_back(at->pattern);
      (mqtt.telemetry.empty() ? mqtt.telemetry : mqtt.more_telemetry.emplace_back()) = at->pattern.text();
    }
  }
  mqtt.presence = presence("presence");
  mqtt.bridge = presence("bridge");
  read_command();
  read_method();
  read_twin();
  if (const auto retained = reader_.choice("retained", {"state", "drop", "forward"})) {
    mqtt.retained = retained->value == "state"  ? Retained::state
                    : retained->value == "drop" ? Retained::drop
                                                : Retained::forward;
  }
  for (const auto& text : reader_.texts("ignore")) {
    if (auto at = topic(text, "ignore")) mqtt.ignore.push_back(at->pattern.text());
  }
  if (const auto pointer = reader_.text("id_from")) {
    if (!draft_.family) {
      reader_.findings().problem(pointer->mark, "mqtt.id_from belongs to a [[family]], whose id has {value} in it");
    } else if (pointer->value.front() != '/') {
      reader_.findings().problem(
          pointer->mark, "mqtt.id_from is " + in_quotes(pointer->value) + "; write a JSON pointer such as \"/devEUI\"");
    } else {
      draft_.key_pointer = pointer->value;
    }
  }
  read_filters();
  reader_.not_yet({"durability"});
  reader_.finish();
}

}  // namespace

void read_mqtt_map(const Entry& entry, const TableReader& device, References main, Findings& findings,
                   DeviceDraft& draft) {
  MqttReader(entry, device.name_of("mqtt"), main, findings, draft).read();
}

}  // namespace trunkline::config
