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
    {"host_overhead", &P::hostOverhead, 0, 1e-2},
    {"memory_efficiency", &P::memoryEfficiency, 0.05, 1},
    {"memory_half_size", &P::memoryHalfSize, 0, 1e9},
    {"cache_speedup", &P::cacheSpeedup, 1, 10},
    {"gather_efficiency", &P::gatherEfficiency, 0.05, 1},
    {"rowwise_efficiency", &P::rowwiseEfficiency, 0.05, 1},
    {"convolution_forward", &P::convolutionForward, 0.05, 1},
    {"convolution_backward_input", &P::convolutionBackwardInput, 0.05, 1},
    {"convolution_backward_weight", &P::convolutionBackwardWeight, 0.05, 1},
    {"flash_ceiling", &P::flashCeiling, 0.05, 1},
    {"flash_softmax_cost", &P::flashSoftmaxCost, 0, 500},
    {"flash_block_overhead", &P::flashBlockOverhead, 0, 50},
    {"flash_backward", &P::flashBackward, 1, 4},
    {"math_passes_forward", &P::mathPassesForward, 0, 50},
    {"math_passes_backward", &P::mathPassesBackward, 0, 50},
    {"math_passes_causal", &P::mathPassesCausal, 0, 50},
    {"compute_slowdown", &P::computeSlowdown, 1, 10},
    {"collective_slowdown", &P::collectiveSlowdown, 1, 10},
    {"contraction_uncertainty", &P::contractionUncertainty, 0, 10},
    {"convolution_uncertainty", &P::convolutionUncertainty, 0, 10},
    {"attention_uncertainty", &P::attentionUncertainty, 0, 10},
    {"memory_uncertainty", &P::memoryUncertainty, 0, 10},
};

constexpr DeviceParameters kHopper = {.vectorCeiling = 0.80,
                                      .matrixCeiling = 0.88,
                                      .vectorTileOverhead = 4,
                                      .matrixTileOverhead = 8,
                                      .vectorTilePrologue = 3e-6,
                                      .matrixTilePrologue = 2e-6,
                                      .waveQuantisation = 0.9,
                                      .unalignedPenalty = 1.1,
                                      .launchFloor = 3e-6,
                                      .hostOverhead = 4e-6,
                                      .memoryEfficiency = 0.9,
                                      .memoryHalfSize = 1e6,
                                      .cacheSpeedup = 2.5,
                                      .gatherEfficiency = 0.8,
                                      .rowwiseEfficiency = 0.9,
                                      .convolutionForward = 0.8,
                                      .convolutionBackwardInput = 0.7,
                                      .convolutionBackwardWeight = 0.65,
                                      .flashCeiling = 0.42,
                                      .flashSoftmaxCost = 50,
                                      .flashBlockOverhead = 1.5,
                                      .flashBackward = 1.16,
                                      .mathPassesForward = 6,
                                      .mathPassesBackward = 9,
                                      .mathPassesCausal = 4,
                                      .computeSlowdown = 1.1256,
                                      .collectiveSlowdown = 1.1256,
                                      .contractionUncertainty = 0.12,
                                      .convolutionUncertainty = 0.3,
                                      .attentionUncertainty = 0.12,
                                      .memoryUncertainty = 0.25};

constexpr DeviceParameters kBlackwell = [] {
  DeviceParameters p = kHopper;
  p.matrixCeiling = 0.85;
  return p;
}();

constexpr DeviceParameters kAmpere = [] {
  DeviceParameters p = kHopper;
  p.vectorCeiling = 0.95;
  p.matrixCeiling = 0.92;
  p.flashCeiling = 0.81;
  p.flashSoftmaxCost = 42;
  return p;
}();

constexpr DeviceParameters kAda = kAmpere;

constexpr DeviceParameters kVolta = [] {
  DeviceParameters p = kAmpere;
  p.matrixCeiling = 0.92;
  p.launchFloor = 5e-6;
  return p;
}();

constexpr DeviceParameters kTuring = kVolta;
constexpr DeviceParameters kPascal = kVolta;

constexpr DeviceParameters kCpu = [] {
  DeviceParameters p = kHopper;
  p.vectorCeiling = p.matrixCeiling = 0.8;
  p.vectorTilePrologue = p.matrixTilePrologue = 2e-7;
  p.launchFloor = 1e-6;
  p.hostOverhead = 0;
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
