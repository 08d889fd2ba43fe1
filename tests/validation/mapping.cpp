// SPDX-License-Identifier: Apache-2.0
#include "tests/validation/mapping.h"

#include <fmt/format.h>

#include "core/error.h"
#include "tests/validation/operator_tables.h"

namespace meshplan {
namespace {

constexpr Mapping kMappings[] = {
    {"iterations of small GPTs (vTrain)", isVtrainSteps, predictVtrainSteps},
    {"Megatron-LM against ZeRO-3 (SC'21, table 2)", isZeroComparison, predictZeroComparison},
    {"Megatron-LM at the turn of 2020", isMegatron2020, predictMegatron2020},
    {"weak scaling of Megatron-LM", isMegatronSteps, predictMegatronSteps},
    {"full against selective recomputation", isKorthikantiIterations, predictKorthikantiIterations},
    {"one layer under recomputation", isKorthikantiLayers, predictKorthikantiLayers},
    {"memory under recomputation", isKorthikantiMemory, predictKorthikantiMemory},
    {"single operators", isOperatorTable, predictOperators},
    {"collectives", isCollectiveTable, predictCollectives},
    {"forward of a slice (Galvatron)", isGalvatronForward, predictGalvatronForward},
    {"memory by strategy (Galvatron)", isGalvatronMemory, predictGalvatronMemory},
    {"MPT under FSDP", isFoundryThroughput, predictFoundryThroughput},
    {"steps in fp32 (NeuSight)", isNeusightSteps, predictNeusightSteps},
    {"Megatron-Bridge", isBridgeThroughput, predictBridgeThroughput},
    {"training of convolutional networks", isCnnThroughput, predictCnnThroughput},
    {"training of BERT", isBertThroughput, predictBertThroughput},
};

}  // namespace

std::span<const Mapping> mappings() {
  return kMappings;
}

Prediction rowOf(const Table& table, const TableRow& row, const char* unit, double measured) {
  Prediction p;
  p.table = table.name;
  p.unit = unit;
  p.measured = measured;
  p.fitted = row.fitted();
  p.row = row.line();
  return p;
}

void addStep(std::vector<Prediction>& out, Prediction row, StepPredictor& predictor,
             const Step& step, const std::function<double(const PlanReport&)>& figure) {
  try {
    const PlanReport report = predictor.predict(step);
    row.predicted = figure(report);
    row.uncertainty = report.uncertainty;
    if (row.device.empty()) row.device = predictor.cluster(step.cluster).specs().front().name;
  } catch (const Error& e) {
    row.problem = fmt::format("{}: {}", commandOf(step), e.what());
  }
  out.push_back(std::move(row));
}

ModelRequest megatronGpt(int64_t layers, int64_t hidden, int64_t heads, int64_t sequence,
                         int64_t vocabulary, int64_t tensor) {
  const int64_t multiple = 128 * tensor;
  ModelRequest model;
  model.source = "gpt";
  model.settings = {
      {"layers", std::to_string(layers)},
      {"hidden", std::to_string(hidden)},
      {"heads", std::to_string(heads)},
      {"vocab", std::to_string((vocabulary + multiple - 1) / multiple * multiple)},
      {"dropout", "0.1"},
      {"unfused_loss", "true"},
  };
  model.sequence = sequence;
  model.attention = "fused-softmax";
  return model;
}

}  // namespace meshplan
