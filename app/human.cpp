// SPDX-License-Identifier: Apache-2.0
#include "app/human.h"

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <cstdlib>

#include "core/error.h"

namespace meshplan {
namespace {

std::string threeDigits(double v) {
  const double size = std::abs(v);
  return fmt::format("{:.{}f}", v, size < 9.995 ? 2 : size < 99.95 ? 1 : 0);
}

/// The value in the largest unit that keeps it at 1 or more.
template <size_t N>
std::string scaled(double v, double base, const std::array<const char*, N>& units) {
  size_t unit = 0;
  while (unit + 1 < N && std::abs(v) >= 0.9995 * base) {
    v /= base;
    ++unit;
  }
  if (*units[unit] == '\0') return fmt::format("{:g}", v);
  return threeDigits(v) + " " + units[unit];
}

}  // namespace

std::string secondsText(Seconds t) {
  const double v = t.value;
  if (std::abs(v) < 5e-9) return "0 s";
  if (std::abs(v) < 1e-3) return threeDigits(v * 1e6) + " us";
  if (std::abs(v) < 1) return threeDigits(v * 1e3) + " ms";
  return threeDigits(v) + " s";
}

std::string bytesText(Bytes b) {
  if (std::abs(b.value) < 1024) return fmt::format("{} B", b.value);
  return scaled(static_cast<double>(b.value) / 1024, 1024,
                std::array{"KiB", "MiB", "GiB", "TiB", "PiB"});
}

std::string countText(double n) {
  return scaled(n, 1000, std::array{"", "K", "M", "B", "T"});
}

std::string flopsText(Flops f) {
  if (f.value == 0) return "0 FLOP";
  return scaled(f.value, 1000,
                std::array{"FLOP", "KFLOP", "MFLOP", "GFLOP", "TFLOP", "PFLOP", "EFLOP"});
}

std::string groupedText(double n) {
  if (std::abs(n) < 100) return fmt::format("{:.3g}", n);
  std::string digits = fmt::format("{:.0f}", n);
  for (auto at = static_cast<int64_t>(digits.size()) - 3; at > (n < 0 ? 1 : 0); at -= 3)
    digits.insert(static_cast<size_t>(at), ",");
  return digits;
}

std::string percentText(double share) {
  return fmt::format("{:.1f} %", 100 * share);
}

Bytes parseBytes(std::string_view text, std::string_view option) {
  static constexpr std::pair<std::string_view, double> kUnits[] = {
      {"TiB", 0x1p40}, {"GiB", 0x1p30}, {"MiB", 0x1p20}, {"KiB", 0x1p10},
      {"TB", 1e12},    {"GB", 1e9},     {"MB", 1e6},     {"KB", 1e3}};
  const std::string number(text);
  char* end = nullptr;
  const double value = std::strtod(number.c_str(), &end);
  std::string_view unit = end;
  while (!unit.empty() && unit.front() == ' ') unit.remove_prefix(1);
  for (const auto& [name, factor] : kUnits)
    if (unit == name && value > 0 && value * factor < 0x1p62)
      return Bytes(static_cast<int64_t>(value * factor));
  throw Error(ErrorKind::usage, fmt::format("'{}' is no amount of memory", text),
              "write a number and a unit, such as 70GiB or 80GB")
      .at(std::string(option));
}

}  // namespace meshplan
