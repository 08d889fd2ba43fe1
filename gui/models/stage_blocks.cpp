// SPDX-License-Identifier: Apache-2.0
#include "gui/models/stage_blocks.h"

#include <QCoreApplication>
#include <algorithm>

#include "gui/text.h"
#include "planner/search/stages.h"

namespace meshplan::gui {
namespace {

QString tr(const char* text) {
  return QCoreApplication::translate("StageBlocks", text);
}

QString labelOf(const QString& name) {
  return name.section('.', -1);
}

bool isInsideStage(const Instruction& in) {
  return in.stream == Stream::compute || in.stream == Stream::tensor || in.stream == Stream::expert;
}

/// The routine of a chunk for a micro-batch in the middle of the step, where there is one.
const Routine* routineOf(const Program& program, int64_t chunk, Routine::Kind kind) {
  const Routine* found = nullptr;
  for (const Routine& r : program.routines)
    if (r.kind == kind && r.chunk == chunk && (!found || found->lastMicroBatch)) found = &r;
  return found;
}

}  // namespace

StageBlocks::StageBlocks(const ShownPlan& shown)
    : starts_(shown.report.plan.chunkStarts), stages_(shown.report.plan.mesh.pipeline) {
  const TrainingModel& model = shown.document->model();
  for (const Block& block : model.chain.blocks) {
    const QString name = text(blockName(model.graph, block));
    blocks_.push_back({name, labelOf(name), Seconds(0)});
  }
  addTimes(shown);
  addChunks(shown);
}

/// A collective belongs to the block of the operator before it.
void StageBlocks::addTimes(const ShownPlan& shown) {
  const Program& program = shown.simulated.program;
  const TrainingModel& model = shown.document->model();
  for (int64_t chunk = 0; chunk < shown.report.plan.chunks(); ++chunk)
    for (const auto kind : {Routine::Kind::forward, Routine::Kind::backward}) {
      const Routine* routine = routineOf(program, chunk, kind);
      if (!routine) continue;
      const auto& times = shown.simulated.times.times[size_t(routine - program.routines.data())];
      const bool forward = kind == Routine::Kind::forward;
      auto block = size_t(forward ? starts_[size_t(chunk)] : starts_[size_t(chunk) + 1] - 1);
      for (size_t i = 0; i < times.size(); ++i) {
        const Instruction& in = routine->instructions[i];
        if (!isInsideStage(in)) continue;
        if (in.kind == Instruction::Kind::compute && in.op.valid()) {
          const Operator& op = model.graph.op(in.op);
          const OpId own = op.phase == Phase::forward ? in.op : op.forward;
          if (own.valid()) block = model.chain.blockOf(own);
        }
        blocks_[block].time += times[i];
      }
    }
}

void StageBlocks::addChunks(const ShownPlan& shown) {
  const bool several = shown.report.plan.virtualStages > 1;
  for (size_t c = 0; c + 1 < starts_.size(); ++c) {
    const auto stage = static_cast<int64_t>(c) % stages_, part = static_cast<int64_t>(c) / stages_;
    StageChunk chunk{
        several ? tr("stage %1, part %2").arg(stage).arg(part + 1) : tr("stage %1").arg(stage),
        stage, starts_[c], starts_[c + 1], Seconds(0)};
    for (int64_t b = chunk.first; b < chunk.end; ++b) chunk.time += blocks_[size_t(b)].time;
    chunks_.push_back(chunk);
  }
}

int64_t StageBlocks::chunkOf(int64_t block) const {
  return std::upper_bound(starts_.begin(), starts_.end() - 1, block) - starts_.begin() - 1;
}

Seconds StageBlocks::slowest() const {
  Seconds most(0);
  for (int64_t s = 0; s < stages_; ++s) most = std::max(most, time(s));
  return most;
}

Seconds StageBlocks::time(int64_t stage) const {
  Seconds sum(0);
  for (const StageChunk& chunk : chunks_)
    if (chunk.stage == stage) sum += chunk.time;
  return sum;
}

int64_t StageBlocks::blocksOf(int64_t stage) const {
  int64_t sum = 0;
  for (const StageChunk& chunk : chunks_)
    if (chunk.stage == stage) sum += chunk.blocks();
  return sum;
}

std::pair<int64_t, int64_t> StageBlocks::movedWith(int64_t block, int64_t chunk) const {
  const StageChunk& own = chunks_[size_t(chunkOf(block))];
  if (chunk == chunkOf(block)) return {block, block + 1};
  return chunk > chunkOf(block) ? std::pair(block, own.end) : std::pair(own.first, block + 1);
}

bool StageBlocks::mayMove(int64_t block, int64_t chunk) const {
  if (chunk < 0 || chunk >= std::ssize(chunks_) || chunk == chunkOf(block)) return false;
  const auto [first, end] = movedWith(block, chunk);
  return end - first < chunks_[size_t(chunkOf(block))].blocks();
}

QString StageBlocks::moveText(int64_t block, int64_t chunk) const {
  const StageChunk &from = chunks_[size_t(chunkOf(block))], &to = chunks_[size_t(chunk)];
  if (!mayMove(block, chunk)) return tr("%1 would be left without a layer").arg(from.name);
  const auto [first, end] = movedWith(block, chunk);
  const int64_t moved = end - first;
  return tr("%1: %2 → %3 blocks, %4: %5 → %6")
      .arg(from.name)
      .arg(from.blocks())
      .arg(from.blocks() - moved)
      .arg(to.name)
      .arg(to.blocks())
      .arg(to.blocks() + moved);
}

}  // namespace meshplan::gui
