// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fmt/format.h>

#include "core/json_fields.h"
#include "core/model.h"
#include "core/training.h"

namespace meshplan {

/// What was asked for, as plan and session files hold it (docs/formats.md, "Plan"). Readers throw
/// Error(input) at the place. Include this header in .cpp files only.
nlohmann::json modelRequestToJson(const ModelRequest& model);
ModelRequest readModelRequest(JsonFields fields);

/// "precision", "optimizer", "runtime" and "gradient_dtype" of the object that `fields` reads; the
/// runtime may be missing.
nlohmann::json trainingToJson(const TrainingOptions& training);
TrainingOptions readTraining(JsonFields& fields);

/// The value of an enumeration by its name; refuses the key otherwise.
template <class Enum, size_t N>
Enum readChoice(JsonFields& fields, const std::string& key, const Enum (&values)[N],
                std::string_view (*name)(Enum)) {
  const std::string text = fields.text(key);
  std::string known;
  for (Enum value : values) {
    if (name(value) == text) return value;
    known += fmt::format("{}{}", known.empty() ? "" : ", ", name(value));
  }
  fields.reject(key, fmt::format("'{}' is not known", text), "one of " + known);
}

}  // namespace meshplan
