// SPDX-License-Identifier: Apache-2.0
#include "tests/validation/device_names.h"

#include <fmt/ranges.h>

#include <algorithm>
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

}  // namespace

std::string catalogueDevice(const std::string& text) {
  static const Catalog catalog = Catalog::builtIn();
  const Words words = wordsOf(text), ordered = sorted(words);
  for (const Words& candidate :
       {words, ordered, without(ordered, isMemory), without(ordered, isForm),
        without(without(ordered, isForm), isMemory)})
    if (const std::string name = fmt::format("{}", fmt::join(candidate, "-"));
        !candidate.empty() && catalog.isDevice(name))
      return catalog.device(name).name;
  throw Error(ErrorKind::input, fmt::format("no device of the catalogue is '{}'", text),
              "`meshplan clusters` lists them");
}

}  // namespace meshplan
