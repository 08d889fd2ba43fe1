// SPDX-License-Identifier: Apache-2.0
#include "gui/selection.h"

#include <gtest/gtest.h>

#include <QSignalSpy>

namespace meshplan::gui {
namespace {

TEST(Selection, TellsOnlyOfWhatChanged) {
  Selection selection;
  QSignalSpy operators(&selection, &Selection::operatorsChanged);
  QSignalSpy ranges(&selection, &Selection::rangeChanged);
  selection.setOperators({OpId(3), OpId(1), OpId(3)});
  EXPECT_EQ(operators.count(), 1);
  selection.setOperators({OpId(1), OpId(3)});
  EXPECT_EQ(operators.count(), 1);
  EXPECT_EQ(ranges.count(), 0);
  EXPECT_TRUE(selection.contains(OpId(3)));
  EXPECT_FALSE(selection.contains(OpId(2)));
}

TEST(Selection, ClearEmptiesEverything) {
  Selection selection;
  selection.setRanks({4, 2});
  selection.setRange(TimeRange{Seconds(1), Seconds(2)});
  selection.clear();
  EXPECT_TRUE(selection.ranks().empty());
  EXPECT_FALSE(selection.range());
}

}  // namespace
}  // namespace meshplan::gui
