// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>

#include "app/notices.h"
#include "core/cluster.h"
#include "core/training.h"
#include "planner/cost_model.h"

namespace meshplan {

/// The store of measurements to predict from (empty: none), and how ranks will communicate (empty:
/// as threads of a process on CPUs, with NCCL on others).
struct ProfileUse {
  std::string path = {};
  std::string transport = {};
  bool named = false;  // by the user: it must be there and sound
};

/// Costs on the cluster's first device: the formulas, corrected by what the store knows of a device
/// of that name (planner/profiled_cost.h). Measurements that contradict each other are told in one
/// warning; so is a store of the user's that cannot be read, unless the user named it, which throws
/// Error(input).
std::unique_ptr<CostModel> costsOf(const Cluster& cluster, RuntimeKind runtime,
                                   const ProfileUse& profiles, const Tell& tell);

}  // namespace meshplan
