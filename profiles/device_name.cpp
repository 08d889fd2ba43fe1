// SPDX-License-Identifier: Apache-2.0
#include "profiles/device_name.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <optional>
#include <vector>

#include "core/error.h"
#include "profiles/catalog.h"

namespace meshplan {
namespace {

using Words = std::vector<std::string>;

std::string lower(std::string text) {
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

Words wordsOf(const std::string& text) {
  Words words(1);
  for (char c : lower(text)) {
    if (std::string(" -_()/").find(c) == std::string::npos)
      words.back() += c;
    else if (!words.back().empty())
      words.emplace_back();
  }
  if (words.back().empty()) words.pop_back();
  const auto maker = [](const std::string& w) {
    return w == "nvidia" || w == "tesla" || w == "amd" || w == "instinct" || w == "geforce";
  };
  words.erase(std::remove_if(words.begin(), words.end(), maker), words.end());
  return words;
}

bool isMemory(const std::string& word) {
  return word.size() > 2 && word.ends_with("gb") && std::isdigit(word[0]);
}

bool isForm(const std::string& word) {
  return word.starts_with("sxm") || word.starts_with("pcie") || word.starts_with("hbm");
}

Words without(Words words, bool (*drop)(const std::string&)) {
  words.erase(std::remove_if(words.begin(), words.end(), drop), words.end());
  return words;
}

/// The model first, then the form, then the memory.
Words sorted(Words words) {
  std::stable_sort(words.begin(), words.end(), [](const std::string& a, const std::string& b) {
    return isMemory(a) + 2 * isMemory(a) + isForm(a) < isMemory(b) + 2 * isMemory(b) + isForm(b);
  });
  return words;
}

struct Found {
  const DeviceSpec* spec = nullptr;
  bool whole = true;  // by all words of the text
};

const Catalog& catalogue() {
  static const Catalog catalog = Catalog::builtIn();
  return catalog;
}

std::optional<Found> find(const std::string& text) {
  const Words words = wordsOf(text), ordered = sorted(words);
  const Words candidates[] = {words, ordered, without(ordered, isMemory), without(ordered, isForm),
                              without(without(ordered, isForm), isMemory)};
  for (const Words& candidate : candidates)
    if (const std::string name = fmt::format("{}", fmt::join(candidate, "-"));
        !candidate.empty() && catalogue().isDevice(name))
      return Found{&catalogue().device(name), candidate.size() == words.size()};
  return std::nullopt;
}

constexpr double kMemoryTolerance = 0.1;

bool contradicts(const DeviceSpec& spec, const ReportedDevice& device) {
  const auto memory = static_cast<double>(device.memory.value);
  const bool otherMemory =
      memory > 0 && (memory > 1.01 * static_cast<double>(spec.memory.value) ||
                     memory < (1 - kMemoryTolerance) * static_cast<double>(spec.memory.value));
  return otherMemory ||
         (device.multiprocessors > 0 && device.multiprocessors != spec.multiprocessors);
}

}  // namespace

std::string catalogueDevice(const std::string& text) {
  if (const auto found = find(text)) return found->spec->name;
  throw Error(ErrorKind::input, fmt::format("no device of the catalogue is '{}'", text),
              "`meshplan clusters` lists them");
}

std::string catalogueSpelling(const std::string& name) {
  return catalogue().isDevice(name) ? catalogue().device(name).name : name;
}

DeviceMatch matchDevice(const ReportedDevice& device) {
  const auto found = find(device.name);
  if (!found) return {device.name, fmt::format("no device of the catalogue is '{}'", device.name)};
  const std::string& name = found->spec->name;
  if (contradicts(*found->spec, device))
    return {device.name,
            fmt::format("'{}' has other memory or multiprocessors than {}", device.name, name)};
  if (!found->whole && device.multiprocessors == 0)
    return {name, fmt::format("'{}' was taken for {}", device.name, name)};
  return {name, {}};
}

}  // namespace meshplan
