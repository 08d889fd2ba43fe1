// SPDX-License-Identifier: Apache-2.0
#include "core/attributes.h"

#include <algorithm>

#include "core/error.h"

namespace meshplan {
namespace {

template <class T>
T get(const Attributes& attributes, std::string_view name, T fallback) {
  const Attribute* found = attributes.find(name);
  if (!found) return fallback;
  if (const T* value = std::get_if<T>(found)) return *value;
  throw Error(ErrorKind::input, "attribute '" + std::string(name) + "' has the wrong type",
              "export the model again");
}

}  // namespace

Attributes::Attributes(std::initializer_list<std::pair<std::string, Attribute>> list) {
  for (const auto& [name, value] : list) set(name, value);
}

void Attributes::set(std::string name, Attribute value) {
  auto at = std::lower_bound(items_.begin(), items_.end(), name,
                             [](const auto& item, const std::string& n) { return item.first < n; });
  if (at != items_.end() && at->first == name)
    at->second = std::move(value);
  else
    items_.insert(at, {std::move(name), std::move(value)});
}

const Attribute* Attributes::find(std::string_view name) const {
  for (const auto& [key, value] : items_)
    if (key == name) return &value;
  return nullptr;
}

int64_t Attributes::getInt(std::string_view name, int64_t fallback) const {
  return get<int64_t>(*this, name, fallback);
}

double Attributes::getFloat(std::string_view name, double fallback) const {
  return get<double>(*this, name, fallback);
}

std::string Attributes::getString(std::string_view name, std::string_view fallback) const {
  return get<std::string>(*this, name, std::string(fallback));
}

std::vector<int64_t> Attributes::getInts(std::string_view name,
                                         std::vector<int64_t> fallback) const {
  return get<std::vector<int64_t>>(*this, name, std::move(fallback));
}

}  // namespace meshplan
