// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "config/document.h"
#include "gateway/base/clock.h"

namespace trunkline::config {

// "file:line:col".
std::string place_text(const SourcePlace& place);

// Where problems of one file are collected.
class Findings {
 public:
  explicit Findings(std::string file) : file_(std::move(file)) {}

  void problem(Mark mark, std::string message) { problems.push_back({place(mark), std::move(message)}); }
  void warning(Mark mark, std::string message) { warnings.push_back({place(mark), std::move(message)}); }
  [[nodiscard]] SourcePlace place(Mark mark) const { return {file_, mark.line, mark.column}; }

  std::vector<Problem> problems;
  std::vector<Problem> warnings;

 private:
  std::string file_;
};

// A value and where it stands.
template <class T>
struct Found {
  T value;
  Mark mark;
};

// Reads one table key by key. Each question names a key that the table may have; a value that does not fit becomes a
// problem and counts as absent. finish() reports every key that nobody asked for. References outlive the reader.
class TableReader {
 public:
  // `path` is how an operator calls the table, such as "hub" or "tcp.framing"; empty for the root of a file.
  TableReader(const Table& table, Mark mark, std::string path, Findings& findings)
      : table_(table), mark_(mark), path_(std::move(path)), findings_(findings) {}

  [[nodiscard]] const Entry* find(std::string_view name);     // any type
  [[nodiscard]] const Entry* require(std::string_view name);  // missing: a problem at the table's place

  std::optional<Found<std::string>> text(std::string_view name);  // never empty
  std::optional<Found<std::string>> required_text(std::string_view name);
  std::optional<Found<std::string>> path(std::string_view name);  // absolute, without U+0000
  std::optional<Found<std::string>> choice(std::string_view name, std::initializer_list<std::string_view> values) {
    return choice(name, std::span(values.begin(), values.size()));
  }
  std::optional<bool> flag(std::string_view name);
  std::optional<double> number(std::string_view name, double low, double high);
  std::vector<Found<std::string>> texts(std::string_view name);  // one text, or an array of them; none of them empty
  std::optional<std::int64_t> integer(std::string_view name, std::int64_t low, std::int64_t high);
  std::optional<Milliseconds> duration(std::string_view name, Milliseconds low, Milliseconds high);
  std::optional<std::uint64_t> size(std::string_view name, std::uint64_t low, std::uint64_t high);
  std::optional<unsigned> percent(std::string_view name);  // "1%" to "100%"
  std::optional<double> rate(std::string_view name, double high);
  const Entry* table(std::string_view name);

  // The same for an option of trunkline.toml, whose values the table of options says (options.h).
  std::optional<Found<std::string>> choice(std::string_view name);
  std::optional<std::int64_t> integer(std::string_view name);
  std::optional<Milliseconds> duration(std::string_view name);
  std::optional<std::uint64_t> size(std::string_view name);
  std::optional<double> rate(std::string_view name);

  // Options that exist on paper but not in this version: refused where they stand, unless they say what happens anyway.
  void not_yet(std::initializer_list<std::string_view> names);
  void not_yet_except(std::string_view name, std::string_view value);

  void finish();

  [[nodiscard]] Mark mark() const { return mark_; }
  [[nodiscard]] std::string name_of(std::string_view key) const;  // "hub.host"
  [[nodiscard]] Findings& findings() { return findings_; }

 private:
  std::optional<Found<std::string>> choice(std::string_view name, std::span<const std::string_view> values);
  const std::string* text_of(const Entry& entry, std::string_view example);
  std::optional<std::string_view> with_unit(std::string_view name, Mark& mark, std::string_view example);

  const Table& table_;
  Mark mark_;
  std::string path_;
  Findings& findings_;
  std::vector<std::string_view> known_;
};

}  // namespace trunkline::config
