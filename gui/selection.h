// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <QObject>
#include <optional>
#include <vector>

#include "core/ids.h"
#include "core/units.h"

namespace meshplan::gui {

struct TimeRange {
  Seconds begin, end;
  bool operator==(const TimeRange&) const = default;
};

/// What the user looks at, shared by all views: forward operators of the model, ranks of the mesh,
/// a part of the step. Empty means everything.
class Selection : public QObject {
  Q_OBJECT

 public:
  using QObject::QObject;

  const std::vector<OpId>& operators() const { return operators_; }
  const std::vector<int64_t>& ranks() const { return ranks_; }
  const std::optional<TimeRange>& range() const { return range_; }
  bool contains(OpId op) const;
  bool containsRank(int64_t rank) const;

  /// Sorted and without duplicates afterwards.
  void setOperators(std::vector<OpId> operators);
  void setRanks(std::vector<int64_t> ranks);
  void setRange(std::optional<TimeRange> range);
  void clear();

 Q_SIGNALS:
  void operatorsChanged();
  void ranksChanged();
  void rangeChanged();

 private:
  std::vector<OpId> operators_;
  std::vector<int64_t> ranks_;
  std::optional<TimeRange> range_;
};

}  // namespace meshplan::gui
