// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "tests/validation/prediction.h"
#include "tests/validation/step_predictor.h"

namespace meshplan {

/// A parameter of a device generation or runtime that a fit may change, "megatron:host_forward".
struct FreeParameter {
  std::string architecture, name;
  double value = 0;
};

/// Coordinate descent: each parameter in turn up and down by a share that halves when nothing
/// helps, on the mean over the tables of the mean absolute relative error of the rows that a fit
/// may see. Starts at the architectures' present values and leaves the best ones in the predictor.
void fit(StepPredictor& predictor, std::vector<FreeParameter>& parameters,
         const std::function<std::vector<Prediction>()>& predict);

}  // namespace meshplan
