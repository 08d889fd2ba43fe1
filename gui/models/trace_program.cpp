// SPDX-License-Identifier: Apache-2.0
#include "gui/models/trace_program.h"

#include <algorithm>
#include <cctype>

namespace meshplan::gui {
namespace {

bool contains(const std::string& text, std::initializer_list<std::string_view> words) {
  return std::any_of(words.begin(), words.end(),
                     [&](std::string_view w) { return text.find(w) != std::string::npos; });
}

std::string lower(const std::string& text) {
  std::string out = text;
  for (char& c : out) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return out;
}

Routine::Kind routineKind(const TraceEvent& slice, SpanKind kind) {
  if (slice.phase == "backward" || kind == SpanKind::backward) return Routine::Kind::backward;
  if (slice.phase == "update" || kind == SpanKind::update) return Routine::Kind::update;
  return slice.phase == "recompute" || kind == SpanKind::recompute ? Routine::Kind::backward
                                                                   : Routine::Kind::forward;
}

Instruction::Kind instructionKind(SpanKind kind, const std::string& name) {
  if (kind == SpanKind::collective) return Instruction::Kind::collective;
  if (kind != SpanKind::transfer) return Instruction::Kind::compute;
  return name.starts_with("receive") ? Instruction::Kind::receive : Instruction::Kind::send;
}

}  // namespace

SpanKind traceSpanKind(const TraceEvent& slice) {
  if (slice.category == "collective") return SpanKind::collective;
  if (slice.category == "transfer") return SpanKind::transfer;
  if (slice.phase == "forward") return SpanKind::forward;
  if (slice.phase == "recompute") return SpanKind::recompute;
  if (slice.phase == "backward") return SpanKind::backward;
  if (slice.phase == "update") return SpanKind::update;
  const std::string name = lower(slice.name), category = lower(slice.category);
  if (contains(name, {"nccl", "allreduce", "all_reduce", "allgather", "all_gather",
                      "reduce_scatter", "alltoall", "all_to_all", "c10d::"}))
    return SpanKind::collective;
  if (contains(category, {"gpu_mem"}) || contains(name, {"memcpy", "memset"}))
    return SpanKind::transfer;
  if (contains(name, {"optimizer", "adam"})) return SpanKind::update;
  return contains(name, {"backward", "_bwd"}) ? SpanKind::backward : SpanKind::forward;
}

TraceProgram::Known TraceProgram::learn(const TraceEvent& slice) {
  Known known;
  known.kind = traceSpanKind(slice);
  known.instructionKind = instructionKind(known.kind, slice.name);
  const auto [op, newName] = operators_.try_emplace(slice.name, OpId(graph_.operatorCount()));
  if (newName) {
    Operator named;
    named.name = slice.name;
    graph_.addOperator(std::move(named));
  }
  const auto chunk = static_cast<int32_t>(std::clamp<int64_t>(slice.chunk, 0, INT32_MAX));
  const Routine::Kind kind = routineKind(slice, known.kind);
  const auto [routine, isNew] = routineIndex_.try_emplace({kind, chunk}, routines_.size());
  if (isNew) {
    routines_.emplace_back();
    routines_.back().kind = kind;
    routines_.back().chunk = chunk;
  }
  known.routine = routine->second;
  std::vector<Instruction>& instructions = routines_[known.routine].instructions;
  known.instruction = static_cast<uint32_t>(instructions.size());
  instructions.emplace_back();
  instructions.back().kind = known.instructionKind;
  instructions.back().op = op->second;
  instructions.back().recomputed = slice.phase == "recompute";
  instructions.back().bytes = Bytes(std::max<int64_t>(0, slice.bytes));
  return known;
}

const TraceProgram::Known& TraceProgram::knownOf(const TraceEvent& slice) {
  key_.assign(slice.name);
  key_ += '\n';
  key_ += slice.category;
  key_ += '\n';
  key_ += slice.phase;
  if (slice.chunk > 0) key_ += std::to_string(slice.chunk);
  key_ += '\n';
  if (slice.bytes > 0 && !slice.phase.empty()) key_ += std::to_string(slice.bytes);
  const auto found = known_.find(key_);
  if (found != known_.end()) return found->second;
  return known_.emplace(key_, learn(slice)).first->second;
}

uint32_t TraceProgram::callOf(size_t process, uint32_t routine, int64_t microBatch) {
  if (process >= calls_.size()) calls_.resize(process + 1), callIndex_.resize(process + 1);
  const auto batch = static_cast<int32_t>(std::clamp<int64_t>(microBatch, 0, INT32_MAX));
  const uint64_t key = uint64_t(routine) << 32 | uint32_t(batch);
  const auto [found, isNew] = callIndex_[process].try_emplace(key, calls_[process].size());
  if (isNew) calls_[process].push_back({routine, batch, 0});
  return found->second;
}

TraceProgram::Place TraceProgram::placeOf(const TraceEvent& slice, size_t process) {
  const Known& known = knownOf(slice);
  return {callOf(process, known.routine, slice.microBatch), known.instruction, known.kind,
          known.instructionKind};
}

Program TraceProgram::program(const std::vector<size_t>& rank, size_t classes) const {
  Program out;
  out.mesh.pipeline = static_cast<int64_t>(classes);
  out.routines = routines_;
  out.rankClasses.resize(classes);
  for (size_t c = 0; c < classes; ++c) out.rankClasses[c].stage = static_cast<int32_t>(c);
  for (size_t p = 0; p < calls_.size(); ++p)
    if (p < rank.size() && rank[p] < classes) out.rankClasses[rank[p]].calls = calls_[p];
  return out;
}

}  // namespace meshplan::gui
