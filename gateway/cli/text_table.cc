// SPDX-License-Identifier: Apache-2.0
#include "gateway/cli/text_table.h"

#include <algorithm>
#include <array>
#include <cstdio>

namespace trunkline::cli {
namespace {

// Characters and not bytes, as far as UTF-8 goes.
std::size_t width(std::string_view text) {
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

}  // namespace

std::string plain(std::string_view text) {
  std::string out(text);
  for (auto& c : out) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) c = '?';
  }
  return out;
}

std::string number_text(const char* form, double value) {
  std::array<char, 48> out{};
  std::snprintf(out.data(), out.size(), form, value);
  return out.data();
}

std::string size_text(double bytes) {
  constexpr std::array<const char*, 5> kUnits = {"%.0f B", "%.1f KiB", "%.1f MiB", "%.1f GiB", "%.1f TiB"};
  std::size_t unit = 0;
  for (; bytes >= 1024 && unit + 1 < kUnits.size(); ++unit) bytes /= 1024;
  return number_text(kUnits[unit], bytes);
}

std::string time_text(double seconds) {
  if (seconds < 120) return number_text("%.0f s", seconds);
  if (seconds < 7200) return number_text("%.0f min", seconds / 60);
  if (seconds < 48 * 3600) return number_text("%.1f h", seconds / 3600);
  return number_text("%.1f days", seconds / 86'400);
}

TextTable::TextTable(std::vector<std::string> heading) {
  rows_.push_back(std::move(heading));
}

void TextTable::add(std::vector<std::string> row) {
  for (auto& cell : row) cell = plain(cell);
  row.resize(rows_.front().size());
  rows_.push_back(std::move(row));
}

std::string TextTable::text() const {
  std::vector<std::size_t> widths(rows_.front().size());
  for (const auto& row : rows_) {
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], width(row[i]));
  }
  std::string out;
  for (const auto& row : rows_) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i) {
      line += row[i];
      line.append(widths[i] - width(row[i]) + 2, ' ');
    }
    line.erase(line.find_last_not_of(' ') + 1);
    out += line + '\n';
  }
  return out;
}

}  // namespace trunkline::cli
