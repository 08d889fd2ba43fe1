// SPDX-License-Identifier: Apache-2.0
#include "core/nearest.h"

#include <algorithm>
#include <cctype>

namespace meshplan {
namespace {

std::string folded(std::string_view name) {
  std::string text(name.substr(0, 64));
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

bool contains(std::string_view name, std::string_view part) {
  return part.size() >= 3 && name.find(part) != std::string_view::npos;
}

}  // namespace

size_t editDistance(std::string_view left, std::string_view right) {
  const std::string a = folded(left), b = folded(right);
  std::vector<std::vector<size_t>> d(a.size() + 1, std::vector<size_t>(b.size() + 1));
  for (size_t i = 0; i <= a.size(); ++i) d[i][0] = i;
  for (size_t j = 0; j <= b.size(); ++j) d[0][j] = j;
  for (size_t i = 1; i <= a.size(); ++i)
    for (size_t j = 1; j <= b.size(); ++j) {
      d[i][j] = std::min(
          {d[i - 1][j] + 1, d[i][j - 1] + 1, d[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1)});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        d[i][j] = std::min(d[i][j], d[i - 2][j - 2] + 1);
    }
  return d[a.size()][b.size()];
}

std::vector<std::string> nearestNames(std::string_view name,
                                      std::span<const std::string_view> known, size_t most) {
  std::vector<std::pair<size_t, std::string_view>> near;
  const std::string wanted = folded(name);
  for (std::string_view candidate : known) {
    const size_t distance = editDistance(name, candidate);
    const std::string other = folded(candidate);
    if (distance <= wanted.size() / 3 + 1 || contains(other, wanted) || contains(wanted, other))
      near.emplace_back(distance, candidate);
  }
  std::stable_sort(near.begin(), near.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<std::string> names;
  for (size_t i = 0; i < std::min(most, near.size()); ++i) names.emplace_back(near[i].second);
  return names;
}

std::string didYouMean(std::string_view name, std::span<const std::string_view> known,
                       std::string_view otherwise) {
  const std::vector<std::string> names = nearestNames(name, known);
  if (names.empty()) return std::string(otherwise);
  std::string text = "did you mean ";
  for (size_t i = 0; i < names.size(); ++i)
    text += (i == 0 ? "'" : i + 1 == names.size() ? " or '" : ", '") + names[i] + "'";
  return text + "?";
}

}  // namespace meshplan
