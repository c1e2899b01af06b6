// SPDX-License-Identifier: Apache-2.0
#include "identity/csv_import.h"

#include <algorithm>
#include <array>
#include <optional>
#include <unordered_map>

#include "identity/key_text.h"

namespace trunkline::identity {
namespace {

constexpr std::size_t kMaxField = 4096;

struct Record {
  std::size_t line = 0;
  std::vector<std::string> fields;
  std::string fault;  // the record cannot be read
};

// Cuts text into records (RFC 4180 section 2).
class CsvReader {
 public:
  explicit CsvReader(std::string_view text) : text_(text) {
    constexpr std::string_view kMark = "\xEF\xBB\xBF";
    if (text_.substr(0, kMark.size()) == kMark) text_.remove_prefix(kMark.size());
  }

  std::optional<Record> next() {
    if (at_ >= text_.size()) return std::nullopt;
    Record record;
    record.line = line_;
    for (;;) {
      auto field = take_field(record.fault);
      if (!record.fault.empty()) {
        skip_line();
        return record;
      }
      record.fields.push_back(std::move(field));
      if (at_ >= text_.size()) return record;
      if (text_[at_] == ',') {
        ++at_;
        continue;
      }
      if (text_[at_] == '\r') ++at_;  // take_field stops at CR only before LF
      ++at_;
      ++line_;
      return record;
    }
  }

 private:
  std::string take_field(std::string& fault) {
    std::string field;
    if (at_ < text_.size() && text_[at_] == '"') {
      ++at_;
      for (;; ++at_) {
        if (at_ >= text_.size()) {
          fault = "a quote is never closed";
          return field;
        }
        const char c = text_[at_];
        if (c == '"') {
          if (at_ + 1 >= text_.size() || text_[at_ + 1] != '"') break;
          ++at_;
        }
        if (c == '\n') ++line_;
        if (field.size() == kMaxField) {
          fault = "a field is longer than 4096 bytes";
          return field;
        }
        field += c;
      }
      ++at_;
      if (at_ < text_.size() && text_[at_] != ',' && text_[at_] != '\n' && !at_crlf()) {
        fault = "text after a closing quote";
      }
      return field;
    }
    const auto start = at_;
    while (at_ < text_.size() && text_[at_] != ',' && text_[at_] != '\n' && !at_crlf()) {
      if (text_[at_] == '"') {
        fault = "a quote within a field; put the whole field in quotes";
        return field;
      }
      if (at_ - start == kMaxField) {
        fault = "a field is longer than 4096 bytes";
        return field;
      }
      ++at_;
    }
    return std::string(text_.substr(start, at_ - start));
  }

  [[nodiscard]] bool at_crlf() const {
    return text_[at_] == '\r' && (at_ + 1 == text_.size() || text_[at_ + 1] == '\n');
  }
  void skip_line() {
    at_ = std::min(text_.find('\n', at_), text_.size());
    if (at_ < text_.size()) ++at_;
    ++line_;
  }

  std::string_view text_;
  std::size_t at_ = 0;
  std::size_t line_ = 1;
};

enum Column : std::size_t { id, primary, secondary, psk, count };
constexpr std::array<std::string_view, Column::count> kColumns = {"id", "primary", "secondary", "psk"};

// Which column of the file holds what; nothing if the header is wrong.
std::optional<std::vector<Column>> read_header(const Record& record) {
  std::vector<Column> columns;
  for (const auto& name : record.fields) {
    const auto found = std::find(kColumns.begin(), kColumns.end(), name);
    if (found == kColumns.end()) return std::nullopt;
    const auto column = static_cast<Column>(found - kColumns.begin());
    if (std::find(columns.begin(), columns.end(), column) != columns.end()) return std::nullopt;
    columns.push_back(column);
  }
  for (const auto needed : {Column::id, Column::primary}) {
    if (std::find(columns.begin(), columns.end(), needed) == columns.end()) return std::nullopt;
  }
  return columns;
}

class Import {
 public:
  explicit Import(CsvIdentities& out) : out_(out) {}

  [[nodiscard]] bool full() const { return out_.problems.size() >= kMaxCsvProblems; }
  void problem(std::size_t line, std::string message) { out_.problems.push_back({line, std::move(message)}); }

  void take(const Record& record, const std::vector<Column>& columns) {
    if (record.fields.size() > columns.size()) {
      problem(record.line, std::to_string(record.fields.size()) + " fields, the header has " +
                               std::to_string(columns.size()) + "; remove the rest");
      return;
    }
    std::array<std::string_view, Column::count> fields{};
    for (std::size_t i = 0; i < record.fields.size(); ++i) fields[columns[i]] = record.fields[i];
    const auto before = out_.problems.size();
    auto device = DeviceId::parse(fields[Column::id]);
    if (!device) problem(record.line, device.error().message);
    auto first = decode_key(fields[Column::primary]);
    if (!first) problem(record.line, "primary: " + first.error().message);
    auto second = fields[Column::secondary].empty() ? Result<Secret>(Secret()) : decode_key(fields[Column::secondary]);
    if (!second) problem(record.line, "secondary: " + second.error().message);
    auto shared = fields[Column::psk].empty() ? Result<Secret>(Secret()) : decode_psk(fields[Column::psk]);
    if (!shared) problem(record.line, "psk: " + shared.error().message);
    if (device) {
      const auto [found, fresh] = lines_.emplace(*device, record.line);
      if (!fresh) {
        problem(record.line,
                "device " + device->text() + " is in line " + std::to_string(found->second) + " already; keep one");
      }
    }
    if (out_.problems.size() != before) return;
    out_.identities.push_back({*device, std::move(*first), std::move(*second), std::move(*shared), true, {}});
  }

 private:
  CsvIdentities& out_;
  std::unordered_map<DeviceId, std::size_t> lines_;
};

}  // namespace

CsvIdentities parse_identities(std::string_view text) {
  CsvIdentities out;
  Import import(out);
  if (text.size() > kMaxCsvBytes) {
    import.problem(1, "the file is larger than 64 MiB; split it");
    return out;
  }
  CsvReader reader(text);
  auto header = reader.next();
  const auto columns = header && header->fault.empty() ? read_header(*header) : std::nullopt;
  if (!columns) {
    import.problem(1, "the first line must be the header id,primary,secondary,psk (the last two may be left out)");
    return out;
  }
  while (auto record = reader.next()) {
    if (import.full()) {
      import.problem(record->line, "more problems follow; these come first");
      break;
    }
    if (!record->fault.empty()) {
      import.problem(record->line, record->fault);
    } else if (record->fields.size() > 1 || !record->fields.front().empty()) {
      import.take(*record, *columns);
    }
  }
  return out;
}

}  // namespace trunkline::identity
