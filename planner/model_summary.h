// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "planner/training_model.h"

namespace meshplan {

/// What a model is made of, before any plan: all figures for one sample on one device, equal blocks
/// counted once with how often they occur.
struct ModelSummary {
  struct BlockRow {
    std::string name;  // of the first block of the class
    int64_t count = 1;
    int64_t parameters = 0;  // of one block
    Flops flops;             // of one block, forward and backward
  };
  struct OperatorRow {
    std::string name, kind, shape;  // of the first; the shape of its first output
    int64_t count = 1;
    Flops flops;       // of all of them, forward and backward
    double share = 0;  // of the model's FLOPs; of its memory traffic for unknown operators
  };
  int64_t parameters = 0;
  size_t operators = 0;  // forward
  Flops forward, backward;
  Bytes activations;                  // kept from the forward to the backward pass, per sample
  Bytes weights;                      // in the storage dtype
  std::vector<BlockRow> blocks;       // in model order
  std::vector<OperatorRow> heaviest;  // by FLOPs
  std::vector<OperatorRow> unknown;   // operators that Meshplan does not know
};

ModelSummary summarise(const TrainingModel& model, size_t heaviest);

}  // namespace meshplan
