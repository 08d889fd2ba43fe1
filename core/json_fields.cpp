// SPDX-License-Identifier: Apache-2.0
#include "core/json_fields.h"

#include <fmt/core.h>

#include <cmath>
#include <vector>

#include "core/error.h"
#include "core/nearest.h"

namespace meshplan {
namespace {

using nlohmann::json;

constexpr int kDeepest = 64;

[[noreturn]] void fail(const std::string& place, const std::string& problem,
                       const std::string& remedy) {
  throw Error(ErrorKind::input, problem, remedy).at(place);
}

// The library's message starts with its own exception id, which says nothing to the user.
std::string reason(const std::string& what) {
  const size_t end = what.find("] ");
  return end == std::string::npos ? what : what.substr(end + 2);
}

}  // namespace

json parseJson(const std::string& text, const std::string& file) {
  try {
    return json::parse(text, [&](int depth, json::parse_event_t, json&) {
      if (depth > kDeepest)
        throw Error(ErrorKind::input, fmt::format("nested deeper than {} levels", kDeepest),
                    "check that this is the right file");
      return true;
    });
  } catch (const json::exception& e) {
    throw Error(ErrorKind::input, "not valid JSON: " + reason(e.what()),
                "check that the file is complete")
        .inFile(file);
  } catch (const Error& e) {
    throw e.inFile(file);
  }
}

JsonFields::JsonFields(const json& object, std::string place)
    : object_(object), place_(std::move(place)) {
  if (!object.is_object())
    fail(place_, fmt::format("expected an object, got {}", object.type_name()), "write { ... }");
}

std::string JsonFields::placeOf(const std::string& key) const {
  return place_.empty() ? key : place_ + "." + key;
}

void JsonFields::reject(const std::string& key, const std::string& problem,
                        const std::string& remedy) const {
  fail(placeOf(key), problem, remedy);
}

bool JsonFields::has(const std::string& key) {
  known_.insert(key);
  return object_.contains(key);
}

const json& JsonFields::at(const std::string& key) {
  if (!has(key)) fail(place_, fmt::format("'{}' is missing", key), "add it");
  return object_.at(key);
}

std::string JsonFields::text(const std::string& key) {
  const json& v = at(key);
  if (!v.is_string()) reject(key, fmt::format("expected text, got {}", v.type_name()), "quote it");
  return v.get<std::string>();
}

std::string JsonFields::text(const std::string& key, const std::string& otherwise) {
  return has(key) ? text(key) : otherwise;
}

bool JsonFields::flag(const std::string& key, bool otherwise) {
  if (!has(key)) return otherwise;
  const json& v = at(key);
  if (!v.is_boolean())
    reject(key, fmt::format("expected true or false, got {}", v.type_name()),
           "write true or false");
  return v.get<bool>();
}

double JsonFields::number(const std::string& key, double low, double high) {
  const json& v = at(key);
  if (!v.is_number())
    reject(key, fmt::format("expected a number, got {}", v.type_name()), "write a number");
  const auto x = v.get<double>();
  if (!std::isfinite(x) || x < low || x > high)
    reject(key, fmt::format("{} is out of range", x),
           fmt::format("give a value from {:g} to {:g}", low, high));
  return x;
}

double JsonFields::number(const std::string& key, double otherwise, double low, double high) {
  return has(key) ? number(key, low, high) : otherwise;
}

int64_t JsonFields::integer(const std::string& key, int64_t low, int64_t high) {
  const json& v = at(key);
  if (v.is_number_integer()) {
    const bool fits = !v.is_number_unsigned() || v.get<uint64_t>() <= uint64_t(INT64_MAX);
    if (fits && v.get<int64_t>() >= low && v.get<int64_t>() <= high) return v.get<int64_t>();
  } else if (v.is_number() && std::trunc(v.get<double>()) == v.get<double>() &&
             v.get<double>() >= static_cast<double>(low) &&
             v.get<double>() <= static_cast<double>(high) && std::abs(v.get<double>()) < 9e18) {
    return static_cast<int64_t>(v.get<double>());
  }
  reject(key, fmt::format("{} is not a whole number in range", v.dump().substr(0, 40)),
         fmt::format("give a whole number from {} to {}", low, high));
}

int64_t JsonFields::integer(const std::string& key, int64_t otherwise, int64_t low, int64_t high) {
  return has(key) ? integer(key, low, high) : otherwise;
}

const json& JsonFields::array(const std::string& key) {
  const json& v = at(key);
  if (!v.is_array())
    reject(key, fmt::format("expected a list, got {}", v.type_name()), "write [ ... ]");
  return v;
}

JsonFields JsonFields::object(const std::string& key) {
  return JsonFields(at(key), placeOf(key));
}

void JsonFields::finish() const {
  for (const auto& [key, value] : object_.items())
    if (!known_.count(key)) {
      const std::vector<std::string_view> known(known_.begin(), known_.end());
      fail(place_, fmt::format("unknown key '{}'", key.substr(0, 80)),
           didYouMean(key, known, "remove it; docs/formats.md lists the keys"));
    }
}

}  // namespace meshplan
