// SPDX-License-Identifier: Apache-2.0
#include "planner/device_parameters.h"

#include <fmt/core.h>

#include <cmath>

#include "core/error.h"

namespace meshplan {
namespace {

using P = DeviceParameters;

constexpr ParameterDefinition kDefinitions[] = {
    {"vector_ceiling", &P::vectorCeiling, 0.05, 1},
    {"matrix_ceiling", &P::matrixCeiling, 0.05, 1},
    {"vector_tile_overhead", &P::vectorTileOverhead, 0, 200},
    {"matrix_tile_overhead", &P::matrixTileOverhead, 0, 200},
    {"vector_tile_prologue", &P::vectorTilePrologue, 0, 1e-4},
    {"matrix_tile_prologue", &P::matrixTilePrologue, 0, 1e-4},
    {"wave_quantisation", &P::waveQuantisation, 0, 1},
    {"unaligned_penalty", &P::unalignedPenalty, 1, 4},
    {"launch_floor", &P::launchFloor, 0, 1e-3},
    {"memory_efficiency", &P::memoryEfficiency, 0.05, 1},
    {"memory_half_size", &P::memoryHalfSize, 0, 1e9},
    {"cache_speedup", &P::cacheSpeedup, 1, 10},
    {"gather_efficiency", &P::gatherEfficiency, 0.05, 1},
    {"rowwise_efficiency", &P::rowwiseEfficiency, 0.05, 1},
    {"convolution_forward", &P::convolutionForward, 0.05, 1},
    {"convolution_backward_input", &P::convolutionBackwardInput, 0.05, 1},
    {"convolution_backward_weight", &P::convolutionBackwardWeight, 0.05, 1},
    {"strided_gradient", &P::stridedGradient, 1, 4},
    {"winograd_ceiling", &P::winogradCeiling, 0.05, 1},
    {"winograd_prologue", &P::winogradPrologue, 0, 1e-3},
    {"winograd_transforms", &P::winogradTransforms, 0, 1e-3},
    {"flash_ceiling", &P::flashCeiling, 0.05, 1},
    {"flash_softmax_cost", &P::flashSoftmaxCost, 0, 500},
    {"flash_block_overhead", &P::flashBlockOverhead, 0, 50},
    {"flash_backward", &P::flashBackward, 1, 4},
    {"flash_first", &P::flashFirst, 0, 5},
    {"math_passes", &P::mathPasses, 0, 50},
    {"math_passes_causal", &P::mathPassesCausal, 0, 50},
    {"compute_slowdown", &P::computeSlowdown, 1, 10},
    {"collective_slowdown", &P::collectiveSlowdown, 1, 10},
    {"contraction_uncertainty", &P::contractionUncertainty, 0, 10},
    {"convolution_uncertainty", &P::convolutionUncertainty, 0, 10},
    {"attention_uncertainty", &P::attentionUncertainty, 0, 10},
    {"memory_uncertainty", &P::memoryUncertainty, 0, 10},
};

// Where each value comes from stands in docs/cost_model.md, "Operators"; `meshplan-fit` fits the
// fitted ones again.
constexpr DeviceParameters kAmpere = {.vectorCeiling = 0.877,
                                      .matrixCeiling = 0.854,
                                      .vectorTileOverhead = 3.9,
                                      .matrixTileOverhead = 40,
                                      .vectorTilePrologue = 26e-6,
                                      .matrixTilePrologue = 2.5e-6,
                                      .waveQuantisation = 0.8,
                                      .unalignedPenalty = 1.09,
                                      .launchFloor = 3e-6,
                                      .memoryEfficiency = 0.9,
                                      .memoryHalfSize = 1e6,
                                      .cacheSpeedup = 2.5,
                                      .gatherEfficiency = 0.8,
                                      .rowwiseEfficiency = 0.9,
                                      .convolutionForward = 0.78,
                                      .convolutionBackwardInput = 0.76,
                                      .convolutionBackwardWeight = 0.62,
                                      .stridedGradient = 1.7,
                                      .winogradCeiling = 0.95,
                                      .winogradPrologue = 11e-6,
                                      .winogradTransforms = 60e-6,
                                      .flashCeiling = 0.946,
                                      .flashSoftmaxCost = 33.5,
                                      .flashBlockOverhead = 1.8,
                                      .flashBackward = 1.16,
                                      .flashFirst = 0.65,
                                      .mathPasses = 4.3,
                                      .mathPassesCausal = 4.5,
                                      .computeSlowdown = 1.1256,
                                      .collectiveSlowdown = 1.1256,
                                      .contractionUncertainty = 0.10,
                                      .convolutionUncertainty = 0.3,
                                      .attentionUncertainty = 0.1,
                                      .memoryUncertainty = 0.2};

constexpr DeviceParameters kAda = [] {
  DeviceParameters p = kAmpere;
  p.contractionUncertainty = p.attentionUncertainty = 0.2;
  return p;
}();

constexpr DeviceParameters kHopper = [] {
  DeviceParameters p = kAmpere;
  p.vectorCeiling = 0.79;
  p.vectorTileOverhead = 3.1;
  p.vectorTilePrologue = 28.5e-6;
  p.matrixCeiling = 0.958;
  p.matrixTileOverhead = 60;
  p.matrixTilePrologue = 7.5e-6;
  p.flashCeiling = 0.42;
  p.flashSoftmaxCost = 38;
  p.flashBlockOverhead = 1.52;
  p.mathPasses = 1.47;
  p.mathPassesCausal = 5.9;
  p.contractionUncertainty = 0.14;
  return p;
}();

constexpr DeviceParameters kBlackwell = [] {
  DeviceParameters p = kHopper;
  p.matrixCeiling = 0.871;
  p.matrixTileOverhead = 40;
  p.matrixTilePrologue = 0.5e-6;
  p.contractionUncertainty = p.attentionUncertainty = 0.2;
  return p;
}();

constexpr DeviceParameters kVolta = [] {
  DeviceParameters p = kAmpere;
  p.vectorCeiling = 0.916;
  p.vectorTileOverhead = 11.2;
  p.vectorTilePrologue = 4.8e-6;
  p.matrixCeiling = 0.94;
  p.matrixTileOverhead = 58;
  p.convolutionForward = 0.9;
  p.convolutionBackwardInput = 0.88;
  p.convolutionBackwardWeight = 0.72;
  p.launchFloor = 5e-6;
  p.memoryHalfSize = 2.2e6;
  p.contractionUncertainty = 0.25;
  p.attentionUncertainty = 0.2;
  return p;
}();

constexpr DeviceParameters kTuring = [] {
  DeviceParameters p = kVolta;
  p.vectorCeiling = 0.50;
  p.vectorTileOverhead = 1.6;
  p.vectorTilePrologue = 17e-6;
  p.matrixCeiling = 0.50;
  p.contractionUncertainty = 0.2;
  return p;
}();

constexpr DeviceParameters kPascal = [] {
  DeviceParameters p = kVolta;
  p.vectorCeiling = 0.742;
  p.vectorTileOverhead = 0.8;
  p.vectorTilePrologue = 0;
  p.contractionUncertainty = 0.3;
  return p;
}();

constexpr DeviceParameters kCpu = [] {
  DeviceParameters p = kAmpere;
  p.vectorCeiling = p.matrixCeiling = 0.8;
  p.vectorTileOverhead = p.matrixTileOverhead = 8;
  p.vectorTilePrologue = p.matrixTilePrologue = 2e-7;
  p.launchFloor = 1e-6;
  p.winogradCeiling = 0.8;
  p.winogradPrologue = p.winogradTransforms = 1e-5;
  p.memoryEfficiency = 0.8;
  p.memoryHalfSize = 1e5;
  p.cacheSpeedup = 4;
  p.contractionUncertainty = p.convolutionUncertainty = p.attentionUncertainty = 0.5;
  p.memoryUncertainty = 0.5;
  return p;
}();

struct Generation {
  std::string_view architecture;
  const DeviceParameters& parameters;
};

constexpr Generation kGenerations[] = {
    {"pascal", kPascal}, {"volta", kVolta},   {"turing", kTuring},       {"ampere", kAmpere},
    {"ada", kAda},       {"hopper", kHopper}, {"blackwell", kBlackwell}, {"cpu", kCpu}};

}  // namespace

std::span<const ParameterDefinition> parameterDefinitions() {
  return kDefinitions;
}

DeviceParameters defaultParameters(std::string_view architecture) {
  for (const Generation& g : kGenerations)
    if (g.architecture == architecture) return g.parameters;
  return kBlackwell;
}

DeviceParameters resolveParameters(const DeviceSpec& spec) {
  DeviceParameters p = defaultParameters(spec.architecture);
  for (const ParameterDefinition& d : kDefinitions) {
    auto own = spec.parameters.find(std::string(d.name));
    if (own == spec.parameters.end()) continue;
    double value = own->second.value;
    if (!std::isfinite(value) || value < d.low || value > d.high)
      throw Error(ErrorKind::input, fmt::format("{} is {}", d.name, value),
                  fmt::format("give a value between {} and {}", d.low, d.high))
          .at(spec.name);
    p.*d.member = value;
  }
  return p;
}

}  // namespace meshplan
