// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string_view>

#include "core/cluster.h"

namespace meshplan {

/// The few physical constants of a device that the operator formulas use; docs/cost_model.md
/// derives each formula, tells which constants are measured, fitted or assumed, and how to fit them
/// again. "vector" is work without matrix units (fp32 on NVIDIA), "matrix" is tensor cores.
struct DeviceParameters {
  double vectorCeiling;       // share of the peak that the inner loop of a large product reaches
  double matrixCeiling;       //   (power and clock limits included)
  double vectorTileOverhead;  // operand traffic of a tile: [elements], see matrix_cost.h
  double matrixTileOverhead;
  double vectorTilePrologue;  // filling and draining one tile [s]
  double matrixTilePrologue;
  double waveQuantisation;    // 1: a started wave costs a whole one; 0: only its share
  double unalignedPenalty;    // factor on tensor-core work when n or k is not a multiple of 8
  double launchFloor;         // the shortest kernel, and the gap between two [s]
  double memoryEfficiency;    // share of the memory bandwidth that a large copy reaches
  double memoryHalfSize;      // a copy of that many bytes reaches half of it [B]
  double cacheSpeedup;        // bandwidth of L2 over memory's
  double gatherEfficiency;    // share of a copy's bandwidth of indexed or transposing movement
  double rowwiseEfficiency;   // the same of normalisations, softmax losses and reductions
  double convolutionForward;  // speed of an implicit GEMM relative to a GEMM of the same shape
  double convolutionBackwardInput;
  double convolutionBackwardWeight;
  double stridedGradient;     // time of a strided convolution's input gradient per product
  double winogradCeiling;     // share of the vector peak that Winograd's products reach
  double winogradPrologue;    // start and end of one of its blocks [s]
  double winogradTransforms;  // of the weight gradient's operands and result [s]
  double flashCeiling;        // share of the matrix peak of the inner products of fused attention
  double flashSoftmaxCost;    // exponentials per score, in head dimensions' worth of products
  double flashBlockOverhead;  // start and end of a block of queries, in steps over keys
  double flashBackward;       // backward's time per FLOP relative to forward's
  double flashFirst;        // the first version's time more than the second's, per 64 of head size
  double mathPasses;        // reads and writes of the scores by unfused attention, forward
  double mathPassesCausal;  // more of them for a mask
  double computeSlowdown;   // of compute while a collective runs, and the reverse
  double collectiveSlowdown;
  double contractionUncertainty;  // one standard deviation, relative
  double convolutionUncertainty;
  double attentionUncertainty;
  double memoryUncertainty;
};

struct ParameterDefinition {
  std::string_view name;  // in DeviceSpec::parameters and in docs/cost_model.md
  double DeviceParameters::*member;
  double low, high;  // physical bounds, inclusive
};

std::span<const ParameterDefinition> parameterDefinitions();

/// The defaults of an architecture ("volta", "ampere" ...); an unknown one gets those of the
/// newest.
DeviceParameters defaultParameters(std::string_view architecture);

/// The architecture's defaults overridden by the device's own parameters. Names that are not in
/// parameterDefinitions() belong to other models and are left alone. Throws Error(input) for a
/// value outside the bounds or not finite.
DeviceParameters resolveParameters(const DeviceSpec& spec);

}  // namespace meshplan
