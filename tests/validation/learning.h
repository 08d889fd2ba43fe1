// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <string>
#include <vector>

#include "profiles/measurement.h"
#include "tests/validation/operator_tables.h"
#include "tests/validation/prediction.h"

namespace meshplan {

/// What tables of single operators teach about their devices (by catalogue name): the rows of the
/// half that a fit may see, of tables whose name contains `table`, as measurements of the operator
/// that does such work. Rows of several operators, or of kernels other than ours, teach nothing.
std::map<std::string, std::vector<OperatorMeasurement>> lessonsOf(
    const std::vector<OperatorRow>& rows, const std::string& table);

/// Predictions of the same rows before and after learning, by device and table, a line each: mean
/// error and bias of both, and whether it got better. Rows that were learned from are left out.
std::string learningText(const std::vector<Prediction>& before,
                         const std::vector<Prediction>& after,
                         const std::map<std::string, std::vector<OperatorMeasurement>>& lessons,
                         const std::string& table);

}  // namespace meshplan
