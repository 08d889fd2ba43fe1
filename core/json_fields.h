// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <string_view>

namespace meshplan {

/// Parses a JSON text. Throws Error(input) in `file` for anything that is not JSON, deeper than 64
/// levels, or holds a number that overflows. Include this header in .cpp files only.
nlohmann::json parseJson(const std::string& text, const std::string& file);

/// Strict reading of one JSON object: every key that is read must have the right type, and `finish`
/// refuses the keys that nobody read. Errors are Error(input) at `place`.
class JsonFields {
 public:
  JsonFields(const nlohmann::json& object, std::string place);

  bool has(const std::string& key);
  const nlohmann::json& at(const std::string& key);
  std::string text(const std::string& key);
  std::string text(const std::string& key, const std::string& otherwise);
  bool flag(const std::string& key, bool otherwise);
  /// Finite, within [low, high].
  double number(const std::string& key, double low, double high);
  double number(const std::string& key, double otherwise, double low, double high);
  /// A whole number within [low, high]; 8e10 and the like are whole numbers too.
  int64_t integer(const std::string& key, int64_t low, int64_t high);
  int64_t integer(const std::string& key, int64_t otherwise, int64_t low, int64_t high);
  const nlohmann::json& array(const std::string& key);
  JsonFields object(const std::string& key);

  /// Throws when a key has not been read, naming the nearest known one.
  void finish() const;
  /// Refuses a value at `key`.
  [[noreturn]] void reject(const std::string& key, const std::string& problem,
                           const std::string& remedy) const;

  const std::string& place() const { return place_; }
  const nlohmann::json& value() const { return object_; }

 private:
  std::string placeOf(const std::string& key) const;

  const nlohmann::json& object_;
  std::string place_;
  std::set<std::string> known_;
};

}  // namespace meshplan
