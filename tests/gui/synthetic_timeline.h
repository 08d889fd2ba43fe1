// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

#include "core/timeline.h"

namespace meshplan::gui {

/// A program and a timeline of it of any size, without a model behind: stages that run forward and
/// backward calls one after the other, with collectives beside and transfers between.
struct SyntheticTimeline {
  Program program;
  Timeline timeline;
};
struct SyntheticOptions {
  int stages = 8;
  size_t spans = 1'000'000;  // about
  int layers = 12;           // per stage, of 5 operators and 2 collectives each
};
SyntheticTimeline syntheticTimeline(const SyntheticOptions& options);

}  // namespace meshplan::gui
