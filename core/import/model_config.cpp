// SPDX-License-Identifier: Apache-2.0
#include "core/import/model_config.h"

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "core/error.h"
#include "core/nearest.h"

namespace meshplan {
namespace {

using nlohmann::json;

constexpr int kDeepest = 100;

/// The parser recurses when it frees what it read, so depth is checked first.
void checkDepth(std::string_view text) {
  int depth = 0;
  bool quoted = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quoted && c == '\\') ++i;
    if (c == '"') quoted = !quoted;
    if (quoted) continue;
    if (c == '{' || c == '[') ++depth;
    if (c == '}' || c == ']') --depth;
    if (depth > kDeepest)
      throw Error(ErrorKind::input, "the JSON is nested deeper than " + std::to_string(kDeepest),
                  "give the config.json of a model");
  }
}

json parseObject(std::string_view text) {
  checkDepth(text);
  try {
    json value = json::parse(text);
    if (!value.is_object())
      throw Error(ErrorKind::input, "the JSON is not an object", "give the config.json of a model");
    return value;
  } catch (const json::exception& e) {
    const std::string what = e.what();
    const size_t start = what.find("] ");
    throw Error(ErrorKind::input,
                "not valid JSON: " + (start == std::string::npos ? what : what.substr(start + 2)),
                "the file may be truncated; download it again");
  }
}

[[noreturn]] void reject(std::string_view name, const json& value, const std::string& expected) {
  std::string shown = value.dump(-1, ' ', true, json::error_handler_t::replace).substr(0, 60);
  throw Error(ErrorKind::input, "is " + shown + ", not " + expected,
              "correct it or override it with --set " + std::string(name) + "=...")
      .at(std::string(name));
}

int64_t checkedSize(std::string_view name, const json& value, int64_t least, int64_t limit) {
  const std::string range =
      "an integer from " + std::to_string(least) + " to " + std::to_string(limit);
  if (!value.is_number_integer()) reject(name, value, range);
  const bool huge = value.is_number_unsigned() && value.get<uint64_t>() > INT64_MAX;
  if (huge || value.get<int64_t>() < least || value.get<int64_t>() > limit)
    reject(name, value, range);
  return value.get<int64_t>();
}

}  // namespace

struct ModelConfig::Fields {
  json file, overrides = json::object();
  mutable std::set<std::string, std::less<>> asked;

  struct Found {
    std::string_view name;
    const json* value = nullptr;
  };

  Found find(Names names) const {
    for (std::string_view name : names) asked.emplace(name);
    for (const json* source : {&overrides, &file})
      for (std::string_view name : names)
        if (const auto at = source->find(std::string(name)); at != source->end())
          return {name, &*at};
    return {};
  }

  Found present(Names names) const {
    const Found found = find(names);
    return found.value && !found.value->is_null() ? found : Found{};
  }
};

ModelConfig::ModelConfig(std::string_view text) : fields_(std::make_unique<Fields>()) {
  fields_->file = parseObject(text);
}
ModelConfig::~ModelConfig() = default;
ModelConfig::ModelConfig(ModelConfig&&) noexcept = default;
ModelConfig& ModelConfig::operator=(ModelConfig&&) noexcept = default;

void ModelConfig::override(const std::map<std::string, std::string>& settings) {
  for (const auto& [name, text] : settings) {
    checkDepth(text);
    const json value = json::parse(text, nullptr, false);
    fields_->overrides[name] = value.is_discarded() ? json(text) : value;
  }
}

void ModelConfig::checkOverrides() const {
  const std::vector<std::string_view> known(fields_->asked.begin(), fields_->asked.end());
  for (const auto& item : fields_->overrides.items())
    if (!fields_->asked.contains(item.key()))
      throw Error(ErrorKind::usage, "this model has no setting '" + item.key() + "'",
                  didYouMean(item.key(), known, "meshplan inspect shows the model"));
}

bool ModelConfig::enter(std::string_view name) {
  const auto at = fields_->file.find(std::string(name));
  if (at == fields_->file.end() || !at->is_object()) return false;
  json nested = std::move(*at);
  fields_->file = std::move(nested);
  return true;
}

bool ModelConfig::has(Names names) const {
  return fields_->present(names).value != nullptr;
}

bool ModelConfig::isNull(Names names) const {
  const auto found = fields_->find(names);
  return found.value && found.value->is_null();
}

int64_t ModelConfig::size(Names names, std::optional<int64_t> fallback, int64_t limit) const {
  const auto found = fields_->present(names);
  if (found.value) return checkedSize(found.name, *found.value, 1, limit);
  if (fallback) return *fallback;
  const std::string name(*(names.end() - 1));
  throw Error(ErrorKind::input, "the field '" + name + "' is missing",
              "give the complete config.json, or --set " + name + "=...");
}

int64_t ModelConfig::count(Names names, int64_t fallback, int64_t limit) const {
  const auto found = fields_->present(names);
  return found.value ? checkedSize(found.name, *found.value, 0, limit) : fallback;
}

double ModelConfig::fraction(Names names, double fallback) const {
  const auto found = fields_->present(names);
  if (!found.value) return fallback;
  if (!found.value->is_number()) reject(found.name, *found.value, "a number from 0 to below 1");
  const double value = found.value->get<double>();
  if (!(value >= 0 && value < 1)) reject(found.name, *found.value, "a number from 0 to below 1");
  return value;
}

bool ModelConfig::flag(Names names, bool fallback) const {
  const auto found = fields_->present(names);
  if (!found.value) return fallback;
  if (!found.value->is_boolean()) reject(found.name, *found.value, "true or false");
  return found.value->get<bool>();
}

std::string ModelConfig::text(Names names, std::string_view fallback) const {
  const auto found = fields_->present(names);
  if (!found.value) return std::string(fallback);
  if (!found.value->is_string()) reject(found.name, *found.value, "a string");
  return found.value->get<std::string>();
}

std::vector<int64_t> ModelConfig::sizes(Names names) const {
  std::vector<int64_t> list;
  const auto found = fields_->present(names);
  if (!found.value) return list;
  if (!found.value->is_array()) reject(found.name, *found.value, "a list of integers");
  for (const json& item : *found.value)
    list.push_back(checkedSize(found.name, item, 0, kLargestSize));
  return list;
}

std::vector<std::string> ModelConfig::texts(Names names) const {
  std::vector<std::string> list;
  const auto found = fields_->present(names);
  if (!found.value) return list;
  if (!found.value->is_array()) reject(found.name, *found.value, "a list of strings");
  for (const json& item : *found.value) {
    if (!item.is_string()) reject(found.name, *found.value, "a list of strings");
    list.push_back(item.get<std::string>());
  }
  return list;
}

int64_t ModelConfig::entries(Names names) const {
  const auto found = fields_->present(names);
  if (!found.value) return 0;
  if (!found.value->is_structured()) reject(found.name, *found.value, "an object");
  return static_cast<int64_t>(found.value->size());
}

std::string readTextFile(const std::string& path, int64_t limit) {
  namespace fs = std::filesystem;
  std::error_code failure;
  if (!fs::is_regular_file(path, failure))
    throw Error(ErrorKind::input, "there is no such file", "check the path").inFile(path);
  std::ifstream stream(path, std::ios::binary);
  std::string text(static_cast<size_t>(limit) + 1, '\0');
  stream.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<size_t>(stream.gcount()));
  if (stream.bad() || (!stream.eof() && !stream))
    throw Error(ErrorKind::input, "the file cannot be read", "check its permissions").inFile(path);
  if (static_cast<int64_t>(text.size()) > limit)
    throw Error(ErrorKind::input, "the file is larger than " + std::to_string(limit) + " bytes",
                "give the config.json of a model")
        .inFile(path);
  return text;
}

}  // namespace meshplan
