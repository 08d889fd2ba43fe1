// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "app/comparison.h"
#include "cli/arguments.h"

namespace meshplan {

/// A comparison in each format; of operators, collectives and stages the `top` that contribute most
/// to the difference. CSV has one table of all of them. JSON is described in docs/formats.md,
/// "Comparison".
std::string comparisonText(const Comparison& comparison, size_t top, Format format);

}  // namespace meshplan
