// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <QString>
#include <vector>

#include "gui/document.h"

namespace meshplan::gui {

/// A block of the model: a layer, the embedding, the head.
struct StageBlock {
  QString name, label;  // "model.layers.3", "3"
  /// Of one micro-batch, forward and backward with what is recomputed: computing and the
  /// collectives inside the stage, one after the other.
  Seconds time;
};

/// A pipeline chunk: consecutive blocks [first, end) on one stage.
struct StageChunk {
  QString name;  // "stage 2"; "stage 2, part 1" where stages have several chunks
  int64_t stage = 0, first = 0, end = 0;
  Seconds time;  // of its blocks
  int64_t blocks() const { return end - first; }
};

/// Which block of the shown plan lies where in the pipeline, and how long each stage takes.
class StageBlocks {
 public:
  StageBlocks() = default;
  explicit StageBlocks(const ShownPlan& shown);

  const std::vector<StageBlock>& blocks() const { return blocks_; }
  const std::vector<StageChunk>& chunks() const { return chunks_; }
  int64_t stages() const { return stages_; }
  /// Of the chunks of a stage together.
  Seconds time(int64_t stage) const;
  int64_t blocksOf(int64_t stage) const;
  int64_t chunkOf(int64_t block) const;
  /// Of the stage that takes longest.
  Seconds slowest() const;
  /// The blocks that go along when this one is dragged to a chunk, first and end.
  std::pair<int64_t, int64_t> movedWith(int64_t block, int64_t chunk) const;
  /// "stage 2: 12 → 11 blocks, stage 3: 12 → 13": what a move would do; why it cannot be, when it
  /// cannot.
  QString moveText(int64_t block, int64_t chunk) const;
  /// False: it is there already, or its chunk would be left empty.
  bool mayMove(int64_t block, int64_t chunk) const;

 private:
  void addChunks(const ShownPlan& shown);
  void addTimes(const ShownPlan& shown);

  std::vector<StageBlock> blocks_;
  std::vector<StageChunk> chunks_;
  std::vector<int64_t> starts_;
  int64_t stages_ = 1;
};

}  // namespace meshplan::gui
