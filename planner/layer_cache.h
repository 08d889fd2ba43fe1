// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <tuple>
#include <vector>

#include "planner/local_operator.h"

namespace meshplan {

/// A forward operator with its gradients, localised once per block class, position and strategy;
/// and the table of distinct local work that instructions refer to.
struct LocalLayer {
  ScaledOperator scaled;
  LocalOperator forward;
  uint32_t forwardWork = 0;
  std::vector<ScaledOperator> scaledGradients;
  std::vector<LocalOperator> gradients;
  std::vector<uint32_t> gradientWork;
};

class LayerCache {
 public:
  /// `binds`: whether what is lowered shall be executed.
  LayerCache(const TrainingModel& model, const std::vector<OperatorStrategy>& strategies,
             StageMesh mesh, bool binds)
      : model_(model), strategies_(strategies), mesh_(mesh), binds_(binds) {}

  bool binds() const { return binds_; }
  OpId producer(TensorId t) const { return model_.graph.tensor(t).producer; }

  const LocalLayer& layer(OpId forward);
  /// Where a forward activation is as its producer leaves it.
  LocalOperator::Where where(TensorId activation);
  TensorType placed(TensorId tensor, LocalOperator::Where where) const {
    return placedType(scaledType(model_, tensor, mesh_.samples), where, mesh_);
  }
  /// The index of this work in the table, added if new.
  uint32_t addWork(const OperatorWork& work);
  std::vector<OperatorWork> takeWork() { return std::move(work_); }
  const StageMesh& mesh() const { return mesh_; }

 private:
  const TrainingModel& model_;
  const std::vector<OperatorStrategy>& strategies_;
  StageMesh mesh_;
  bool binds_;
  std::map<std::tuple<uint32_t, uint32_t, int8_t, int8_t>, LocalLayer> layers_;
  std::vector<OperatorWork> work_;
  std::multimap<double, uint32_t> workByBytes_;
};

}  // namespace meshplan
