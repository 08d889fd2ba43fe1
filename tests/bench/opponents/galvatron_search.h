// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "tests/bench/opponents/galvatron_cost.h"

namespace meshplan {

struct GalvatronAnswer {
  GalvatronPlan plan;     // without layers when nothing fits
  double time = 0;        // seconds of a step
  double lowerBound = 0;  // no plan of the space is faster
  uint64_t tasks = 0;     // combinations of micro-batches, stages, widest group and embedding
  uint64_t solved = 0;    // of them, those that their bound did not rule out
};

/// The fastest plan of Galvatron's space for one batch: micro-batches, pipeline stages (powers of
/// two, layers divided evenly), a strategy for every layer and one for the embedding, within the
/// device's memory. Tasks are solved in the order of their lower bounds, until the bound of the
/// next is no better than the best plan; a stage's layers through the front of their counts, those
/// of lower degree first. Optimal where time and lowerBound agree, which is nearly always: only a
/// needlessly slow stage, by which Galvatron's formula for several stages can come out shorter, is
/// never tried.
GalvatronAnswer searchGalvatron(const GalvatronCost& cost);

}  // namespace meshplan
