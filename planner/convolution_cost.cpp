// SPDX-License-Identifier: Apache-2.0
#include "planner/convolution_cost.h"

#include <algorithm>
#include <cmath>

namespace meshplan {
namespace {

constexpr double kWinogradArea = 9, kLargeArea = 25;
// 16 products make 2 x 2 outputs of 9 multiply-adds each.
constexpr double kTile = 4, kProducts = 16;
constexpr double kBlockTiles = 32, kBlockChannels = 64;
constexpr double kGradientChannels = 128;

/// Output tiles x channels in blocks of 32 x 64 or 64 x 32, whichever wastes less.
double blocksOf(double tiles, double channels) {
  const auto blocks = [&](double a, double b) {
    return std::ceil(tiles / a) * std::ceil(channels / b);
  };
  return std::min(blocks(kBlockTiles, kBlockChannels), blocks(kBlockChannels, kBlockTiles));
}

}  // namespace

ConvolutionCost::ConvolutionCost(const DeviceSpec& spec, const DeviceParameters& parameters)
    : parameters_(parameters), peak_(spec.vectorPeak.value) {}

double ConvolutionCost::seconds(const MatrixCost& matrix, const OperatorWork& work) const {
  const double direct = implicitGemm(matrix, work);
  if (matrix.hasMatrixUnits() || work.kernelArea < kWinogradArea) return direct;
  return std::min(direct, winograd(matrix, work));
}

double ConvolutionCost::implicitGemm(const MatrixCost& matrix, const OperatorWork& work) const {
  const DeviceParameters& p = parameters_;
  const ContractionShape& s = work.contraction;
  switch (work.phase) {
    case Phase::backwardWeight:
      return matrix.seconds(s, Reduction::splitFreely) / p.convolutionBackwardWeight;
    case Phase::backwardInput:
      return matrix.seconds(s, Reduction::whole) / p.convolutionBackwardInput *
             (work.strideArea > 1 ? p.stridedGradient : 1);
    default:
      return matrix.seconds(s, Reduction::whole) / p.convolutionForward;
  }
}

double ConvolutionCost::winograd(const MatrixCost& matrix, const OperatorWork& work) const {
  const DeviceParameters& p = parameters_;
  const ContractionShape& s = work.contraction;
  const double rate = peak_ * p.winogradCeiling;
  if (work.phase == Phase::backwardWeight) {
    const double channels = std::min(s.m / work.kernelArea, s.n);
    if (channels < kGradientChannels && work.kernelArea < kLargeArea) return HUGE_VAL;
    return 2 * s.m * s.n * s.k * kProducts / kTile / kWinogradArea / rate + p.winogradTransforms;
  }
  const double block = s.k / kWinogradArea * kProducts * kBlockTiles * kBlockChannels * 2 /
                       (rate / matrix.multiprocessors());
  return matrix.waves(blocksOf(s.m / kTile, s.n)) * (block + p.winogradPrologue);
}

}  // namespace meshplan
