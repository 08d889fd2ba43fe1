// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "core/graph.h"
#include "core/program.h"

namespace meshplan {

/// Ranges of this thread that NVIDIA's tools show above the kernels (NVTX): one in the other,
/// closed in reverse order. Nothing happens unless such a tool watches.
void beginRange(const char* name);
void endRange();

/// What ranges of a stage's instructions are called, in the order of calls and of instructions in
/// them: "model.layers.3.mlp.up forward, micro-batch 2".
std::vector<std::string> rangeNames(const Program& program, int stage, const Graph& graph);

/// A recorder (of StepRecorder's kind) that opens a range per step and instruction besides.
template <class Recorder>
class WithRanges final : public Recorder {
 public:
  template <class... Arguments>
  explicit WithRanges(std::vector<std::string> names, Arguments&&... arguments)
      : Recorder(std::forward<Arguments>(arguments)...), names_(std::move(names)) {}

  void beginStep() override {
    beginRange("step");
    Recorder::beginStep();
  }
  void begin(uint32_t call, uint32_t instruction) override {
    beginRange(names_[this->indexOf(call, instruction)].c_str());
    Recorder::begin(call, instruction);
  }
  void end(uint32_t call, uint32_t instruction) override {
    Recorder::end(call, instruction);
    endRange();
  }
  void endStep() override {
    Recorder::endStep();
    endRange();
  }

 private:
  const std::vector<std::string> names_;
};

}  // namespace meshplan
