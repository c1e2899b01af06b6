// SPDX-License-Identifier: Apache-2.0
#include "config/units.h"

#include <charconv>
#include <limits>
#include <span>

namespace trunkline::config {
namespace {

struct Unit {
  std::string_view name;
  std::uint64_t factor;
};

constexpr Unit kDurations[] = {{"d", 86'400'000}, {"h", 3'600'000}, {"m", 60'000}, {"s", 1000}, {"ms", 1}};
constexpr Unit kBinarySizes[] = {{"GiB", 1ULL << 30}, {"MiB", 1ULL << 20}, {"KiB", 1ULL << 10}, {"B", 1}};
constexpr Unit kSizes[] = {{"GiB", 1ULL << 30}, {"MiB", 1ULL << 20}, {"KiB", 1ULL << 10}, {"GB", 1'000'000'000},
                           {"MB", 1'000'000},   {"KB", 1000},        {"kB", 1000},        {"B", 1}};

Result<std::uint64_t> parse_with_unit(std::string_view text, std::span<const Unit> units, const std::string& wanted) {
  std::uint64_t number = 0;
  const auto* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, number);
  if (error == std::errc::result_out_of_range) return fail(ErrorCode::invalid, "the number is too large");
  if (error != std::errc{}) return fail(ErrorCode::invalid, "write " + wanted);
  const std::string_view unit(rest, static_cast<std::size_t>(end - rest));
  if (unit.empty()) return fail(ErrorCode::invalid, "the unit is missing; write " + wanted);
  for (const auto& known : units) {
    if (unit != known.name) continue;
    if (number > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()) / known.factor) {
      return fail(ErrorCode::invalid, "the number is too large");
    }
    return number * known.factor;
  }
  return fail(ErrorCode::invalid, "unknown unit; write " + wanted);
}

std::string text_with_unit(std::uint64_t value, std::span<const Unit> units) {
  for (const auto& unit : units) {
    if (value >= unit.factor && value % unit.factor == 0) return std::to_string(value / unit.factor).append(unit.name);
  }
  return std::string("0").append(units.back().name);
}

}  // namespace

Result<Milliseconds> parse_duration(std::string_view text) {
  auto value = parse_with_unit(text, kDurations, "a duration such as \"30s\" (units: ms, s, m, h, d)");
  if (!value) return fail(value.error());
  return Milliseconds(static_cast<std::int64_t>(*value));
}

Result<std::uint64_t> parse_size(std::string_view text) {
  return parse_with_unit(text, kSizes, "a size such as \"64KiB\" (units: B, KiB, MiB, GiB, KB, MB, GB)");
}

Result<double> parse_rate(std::string_view text) {
  static constexpr std::string_view kWanted = "write a rate such as \"100/s\", or \"off\"";
  if (text == "off") return 0.0;
  std::uint64_t number = 0;
  const auto* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, number);
  if (error == std::errc::result_out_of_range) return fail(ErrorCode::invalid, "the number is too large");
  if (error != std::errc{} || std::string_view(rest, static_cast<std::size_t>(end - rest)) != "/s") {
    return fail(ErrorCode::invalid, std::string(kWanted));
  }
  if (number == 0) return fail(ErrorCode::invalid, "a rate of 0 lets nothing through; write \"off\" for no limit");
  return static_cast<double>(number);
}

std::string duration_text(Milliseconds value) {
  return text_with_unit(static_cast<std::uint64_t>(value.count()), kDurations);
}

std::string size_text(std::uint64_t value) {
  return text_with_unit(value, kBinarySizes);
}

}  // namespace trunkline::config
