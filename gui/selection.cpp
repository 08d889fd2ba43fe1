// SPDX-License-Identifier: Apache-2.0
#include "gui/selection.h"

#include <algorithm>

namespace meshplan::gui {
namespace {

template <class T>
std::vector<T> sortedOnce(std::vector<T> all) {
  std::sort(all.begin(), all.end());
  all.erase(std::unique(all.begin(), all.end()), all.end());
  return all;
}

}  // namespace

bool Selection::contains(OpId op) const {
  return std::binary_search(operators_.begin(), operators_.end(), op);
}

bool Selection::containsRank(int64_t rank) const {
  return std::binary_search(ranks_.begin(), ranks_.end(), rank);
}

void Selection::setOperators(std::vector<OpId> operators) {
  operators = sortedOnce(std::move(operators));
  if (operators == operators_) return;
  operators_ = std::move(operators);
  Q_EMIT operatorsChanged();
}

void Selection::setRanks(std::vector<int64_t> ranks) {
  ranks = sortedOnce(std::move(ranks));
  if (ranks == ranks_) return;
  ranks_ = std::move(ranks);
  Q_EMIT ranksChanged();
}

void Selection::setRange(std::optional<TimeRange> range) {
  if (range == range_) return;
  range_ = range;
  Q_EMIT rangeChanged();
}

void Selection::clear() {
  setOperators({});
  setRanks({});
  setRange(std::nullopt);
}

}  // namespace meshplan::gui
