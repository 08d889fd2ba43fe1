// SPDX-License-Identifier: Apache-2.0
#include "backend/cuda/matrix_choices.h"

#include <utility>

namespace meshplan {

void MatrixChoices::use(std::span<const MatrixChoice> choices) {
  for (const MatrixChoice& c : choices) known_.insert_or_assign(c.key, c);
}

const MatrixChoice* MatrixChoices::find(const std::string& key) const {
  const auto at = known_.find(key);
  return at == known_.end() ? nullptr : &at->second;
}

void MatrixChoices::addTimed(MatrixChoice choice) {
  known_.insert_or_assign(choice.key, choice);
  timed_.push_back(std::move(choice));
}

}  // namespace meshplan
