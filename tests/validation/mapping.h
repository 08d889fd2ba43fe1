// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "tests/validation/prediction.h"
#include "tests/validation/step_predictor.h"
#include "tests/validation/table.h"

namespace meshplan {

/// How the rows of one kind of table are predicted: one mapping per table, which says what its
/// source states about precision, recomputation, optimizer, fused kernels and network, and what had
/// to be assumed. A table is recognised by its columns.
struct Mapping {
  const char* what;
  bool (*takes)(const Table& table);
  void (*predict)(const Table& table, StepPredictor& predictor, std::vector<Prediction>& out);
};

/// All of them; the first that takes a table predicts it.
std::span<const Mapping> mappings();

/// Adds the prediction of a step; `figure` turns the report into the table's unit. What cannot be
/// predicted is added with its problem.
void addStep(std::vector<Prediction>& out, Prediction row, StepPredictor& predictor,
             const Step& step, const std::function<double(const PlanReport&)>& figure);

/// A prediction with everything that the row itself says.
Prediction rowOf(const Table& table, const TableRow& row, const char* unit, double measured);

/// Megatron-LM's GPT (Shoeybi et al. 2019 and its code): learned positions, tied embeddings,
/// dropout 0.1, softmax with scale and mask in one kernel over materialised scores; vocabulary
/// padded to a multiple of 128 per tensor-parallel rank.
ModelRequest megatronGpt(int64_t layers, int64_t hidden, int64_t heads, int64_t sequence,
                         int64_t vocabulary, int64_t tensor);

bool isVtrainSteps(const Table& table);
void predictVtrainSteps(const Table&, StepPredictor&, std::vector<Prediction>&);
bool isMegatronSteps(const Table& table);
void predictMegatronSteps(const Table&, StepPredictor&, std::vector<Prediction>&);
bool isZeroComparison(const Table& table);
void predictZeroComparison(const Table&, StepPredictor&, std::vector<Prediction>&);
bool isMegatron2020(const Table& table);
void predictMegatron2020(const Table&, StepPredictor&, std::vector<Prediction>&);
bool isKorthikantiIterations(const Table& table);
void predictKorthikantiIterations(const Table&, StepPredictor&, std::vector<Prediction>&);
bool isKorthikantiLayers(const Table& table);
void predictKorthikantiLayers(const Table&, StepPredictor&, std::vector<Prediction>&);
bool isKorthikantiMemory(const Table& table);
void predictKorthikantiMemory(const Table&, StepPredictor&, std::vector<Prediction>&);
void predictOperators(const Table&, StepPredictor&, std::vector<Prediction>&);
bool isCollectiveTable(const Table& table);
void predictCollectives(const Table&, StepPredictor&, std::vector<Prediction>&);
bool isGalvatronForward(const Table& table);
void predictGalvatronForward(const Table&, StepPredictor&, std::vector<Prediction>&);
bool isGalvatronMemory(const Table& table);
void predictGalvatronMemory(const Table&, StepPredictor&, std::vector<Prediction>&);
bool isFoundryThroughput(const Table& table);
void predictFoundryThroughput(const Table&, StepPredictor&, std::vector<Prediction>&);
bool isNeusightSteps(const Table& table);
void predictNeusightSteps(const Table&, StepPredictor&, std::vector<Prediction>&);
bool isBridgeThroughput(const Table& table);
void predictBridgeThroughput(const Table&, StepPredictor&, std::vector<Prediction>&);
bool isCnnThroughput(const Table& table);
void predictCnnThroughput(const Table&, StepPredictor&, std::vector<Prediction>&);
bool isBertThroughput(const Table& table);
void predictBertThroughput(const Table&, StepPredictor&, std::vector<Prediction>&);

}  // namespace meshplan
