// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <optional>
#include <unordered_map>

#include "gateway/base/json.h"
#include "identity/csv_import.h"
#include "identity/key_text.h"

namespace trunkline::identity {
namespace {

constexpr std::size_t kMaxObject = 64 * 1024;

struct Piece {
  std::size_t line = 0;
  std::string_view text;  // one object
  std::string fault;
};

// Cuts the text into its outermost objects, whether they stand in an array or one a line.
class ObjectReader {
 public:
  explicit ObjectReader(std::string_view text) : text_(text) {
    constexpr std::string_view kMark = "\xEF\xBB\xBF";
    if (text_.substr(0, kMark.size()) == kMark) text_.remove_prefix(kMark.size());
  }

  std::optional<Piece> next() {
    for (; at_ < text_.size() && text_[at_] != '{'; ++at_) {
      if (text_[at_] == '\n') ++line_;
      constexpr std::string_view kBetween = " \t\r\n,[]";
      if (kBetween.find(text_[at_]) != std::string_view::npos) continue;
      Piece out{line_, {}, "text that is no object of a device"};
      at_ = std::min(text_.find('\n', at_), text_.size());
      return out;
    }
    if (at_ >= text_.size()) return std::nullopt;
    Piece out{line_, {}, {}};
    const auto start = at_;
    std::size_t depth = 0;
    bool quoted = false;
    for (; at_ < text_.size(); ++at_) {
      const char c = text_[at_];
      if (c == '\n') ++line_;
      if (quoted) {
        if (c == '\\') ++at_;
        quoted = c != '"';
        continue;
      }
      quoted = c == '"';
      if (c == '{') ++depth;
      if (c == '}' && --depth == 0) {
        out.text = text_.substr(start, ++at_ - start);
        if (out.text.size() > kMaxObject) out.fault = "an object of more than 64 KiB";
        return out;
      }
    }
    at_ = text_.size();
    out.fault = "an object that never ends";
    return out;
  }

 private:
  std::string_view text_;
  std::size_t at_ = 0;
  std::size_t line_ = 1;
};

const json::value* member(const json::object& object, std::string_view name) {
  return object.if_contains(name);
}

std::string text_of(const json::value* value) {
  return value != nullptr && value->is_string() ? std::string(value->get_string()) : std::string();
}

const json::object* object_of(const json::object& object, std::string_view name) {
  const auto* value = member(object, name);
  return value == nullptr ? nullptr : value->if_object();
}

class Import {
 public:
  explicit Import(CsvIdentities& out) : out_(out) {}

  void problem(std::size_t line, std::string message) { out_.problems.push_back({line, std::move(message)}); }

  void take(const Piece& piece) {
    if (!piece.fault.empty()) return problem(piece.line, piece.fault);
    boost::system::error_code bad;
    const auto value = json::parse(piece.text, bad);
    if (bad || !value.is_object()) return problem(piece.line, "an object that is no JSON");
    const auto& device = value.get_object();
    auto name = text_of(member(device, "deviceId"));
    if (name.empty()) name = text_of(member(device, "id"));
    if (const auto module = text_of(member(device, "moduleId")); !module.empty()) name += "/" + module;
    const auto id = DeviceId::parse(name);
    if (!id) return problem(piece.line, "deviceId: " + id.error().message);
    const auto* authentication = object_of(device, "authentication");
    const auto* keys = authentication == nullptr ? nullptr : object_of(*authentication, "symmetricKey");
    const auto type = authentication == nullptr ? std::string() : text_of(member(*authentication, "type"));
    const Secret primary(keys == nullptr ? std::string() : text_of(member(*keys, "primaryKey")));
    if (!type.empty() && type != "sas") {
      return problem(piece.line, "device " + name + " has no keys at the hub (authentication.type is " +
                                     type.substr(0, 32) + "); leave it out");
    }
    if (primary.empty()) {
      return problem(piece.line, "device " + name +
                                     " comes without authentication.symmetricKey.primaryKey; export with keys, by a "
                                     "policy that may read them");
    }
    auto first = decode_key(primary.reveal());
    if (!first) return problem(piece.line, "device " + name + ": primaryKey: " + first.error().message);
    const Secret secondary(text_of(member(*keys, "secondaryKey")));
    auto second = secondary.empty() ? Result<Secret>(Secret()) : decode_key(secondary.reveal());
    if (!second) return problem(piece.line, "device " + name + ": secondaryKey: " + second.error().message);
    const auto [found, fresh] = lines_.emplace(*id, piece.line);
    if (!fresh) {
      return problem(piece.line,
                     "device " + name + " is in line " + std::to_string(found->second) + " already; keep one");
    }
    const bool enabled = text_of(member(device, "status")) != "disabled";
    out_.identities.push_back({*id, std::move(*first), std::move(*second), {}, enabled, {}});
  }

 private:
  CsvIdentities& out_;
  std::unordered_map<DeviceId, std::size_t> lines_;
};

}  // namespace

bool is_registry_export(std::string_view text) {
  const auto first = text.find_first_not_of(" \t\r\n\xEF\xBB\xBF");
  return first != std::string_view::npos && (text[first] == '[' || text[first] == '{');
}

CsvIdentities parse_registry(std::string_view text) {
  CsvIdentities out;
  Import import(out);
  if (text.size() > kMaxCsvBytes) {
    import.problem(1, "the file is larger than 64 MiB; split it");
    return out;
  }
  ObjectReader reader(text);
  while (const auto piece = reader.next()) {
    if (out.problems.size() >= kMaxCsvProblems) {
      import.problem(piece->line, "more problems follow; these come first");
      break;
    }
    import.take(*piece);
  }
  if (out.identities.empty() && out.problems.empty()) import.problem(1, "no device is in it");
  return out;
}

}  // namespace trunkline::identity
