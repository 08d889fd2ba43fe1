// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <initializer_list>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace meshplan {

/// The fields of a model's `config.json`, read strictly: a value of the wrong type, a negative or
/// absurd size, or a missing field without a fallback throws Error(input) that names the field.
/// Fields are looked up by all their names, first found wins, because files of different ages and
/// families call one thing differently; overrides from `--set` come before the file. A null counts
/// as absent unless asked for with `isNull`.
class ModelConfig {
 public:
  using Names = std::initializer_list<std::string_view>;

  /// Parses JSON text; throws Error(input) when it is not a JSON object or is nested deeper than
  /// 100.
  explicit ModelConfig(std::string_view text);
  ~ModelConfig();
  ModelConfig(ModelConfig&&) noexcept;
  ModelConfig& operator=(ModelConfig&&) noexcept;

  /// `--set key=value`: the value is read as JSON, else as a string.
  void override(const std::map<std::string, std::string>& settings);
  /// Throws Error(usage) with the nearest known fields when an override was never asked for.
  void checkOverrides() const;
  /// Takes the fields of the nested object `name`, keeping the overrides. False when there is none.
  bool enter(std::string_view name);

  bool has(Names names) const;     // present and not null
  bool isNull(Names names) const;  // present and null

  /// A positive integer of at most `limit`.
  int64_t size(Names names, std::optional<int64_t> fallback = {},
               int64_t limit = kLargestSize) const;
  /// As `size`, but 0 is allowed.
  int64_t count(Names names, int64_t fallback, int64_t limit = kLargestSize) const;
  double fraction(Names names, double fallback) const;  // in [0, 1)
  bool flag(Names names, bool fallback) const;
  std::string text(Names names, std::string_view fallback) const;
  std::vector<int64_t> sizes(Names names) const;
  std::vector<std::string> texts(Names names) const;
  /// Entries of an object or list; 0 when absent.
  int64_t entries(Names names) const;

  static constexpr int64_t kLargestSize = int64_t{1} << 31;
  static constexpr int64_t kMostLayers = 10000;

 private:
  struct Fields;
  std::unique_ptr<Fields> fields_;
};

/// The text of a file; throws Error(input) when it cannot be read or is larger than `limit` bytes.
std::string readTextFile(const std::string& path, int64_t limit);

}  // namespace meshplan
