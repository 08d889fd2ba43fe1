// SPDX-License-Identifier: Apache-2.0
#include <nlohmann/json.hpp>

#include "profiles/aten_operator.h"

namespace meshplan {
namespace {

using nlohmann::json;

json listOf(const std::string& text) {
  return text.empty() ? json::array() : json::parse(text, nullptr, false);
}

std::string textAt(const json& list, size_t i) {
  return i < list.size() && list[i].is_string() ? list[i].get<std::string>() : std::string();
}

/// A list of tensors is one entry of lists.
bool readShape(const json& entry, AtenCall::Argument& argument) {
  if (!entry.is_array()) return false;
  for (const json& extent : entry) {
    argument.listed = argument.listed || extent.is_array();
    if (argument.listed) continue;
    if (!extent.is_number_integer()) return false;
    argument.shape.push_back(extent.get<int64_t>());
  }
  return true;
}

}  // namespace

std::optional<AtenCall> parseAtenCall(std::string_view name, const std::string& dims,
                                      const std::string& types, const std::string& values) {
  const json shapes = listOf(dims), kinds = listOf(types), contents = listOf(values);
  if (!shapes.is_array() || !kinds.is_array() || !contents.is_array()) return std::nullopt;
  AtenCall call;
  call.name = name;
  call.typed = !kinds.empty();
  call.valued = !contents.empty();
  for (size_t i = 0; i < shapes.size(); ++i) {
    AtenCall::Argument argument;
    if (!readShape(shapes[i], argument)) return std::nullopt;
    argument.type = textAt(kinds, i);
    argument.value = textAt(contents, i);
    call.arguments.push_back(std::move(argument));
  }
  return call;
}

}  // namespace meshplan
