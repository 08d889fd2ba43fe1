// SPDX-License-Identifier: Apache-2.0
#include "planner/matrix_cost.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace meshplan {
namespace {

struct TileSize {
  double rows, columns;
};
constexpr std::array<TileSize, 9> kTileSizes = {{{256, 128},
                                                 {128, 256},
                                                 {128, 128},
                                                 {128, 64},
                                                 {64, 128},
                                                 {64, 64},
                                                 {128, 32},
                                                 {32, 128},
                                                 {32, 32}}};
constexpr double kShortestPart = 128;

// Sizes are far below 2^53, and std::ceil is a call on the baseline instruction set.
double roundUp(double x) {
  double whole = static_cast<double>(static_cast<int64_t>(x));
  return whole < x ? whole + 1 : whole;
}

bool multipleOf8(double x) {
  return static_cast<int64_t>(x) % 8 == 0;
}

bool onMatrixUnits(const DeviceSpec& spec, DType compute) {
  return spec.matrixPeak.count(compute) != 0 && matrixPeak(spec, compute) > spec.vectorPeak;
}

}  // namespace

double roundedMax(double a, double b) {
  double a2 = a * a, b2 = b * b;
  return std::sqrt(std::sqrt(a2 * a2 + b2 * b2));
}

FlopsPerSecond matrixPeak(const DeviceSpec& spec, DType compute) {
  auto own = spec.matrixPeak.find(compute);
  if (own != spec.matrixPeak.end()) return own->second;
  if (compute == DType::f64) return spec.vectorPeak / 2;
  return spec.vectorPeak;
}

MatrixCost::MatrixCost(const DeviceSpec& spec, const DeviceParameters& p, DType compute) {
  bool matrix = matrixUnits_ = onMatrixUnits(spec, compute);
  peak_ = matrixPeak(spec, compute).value;
  ceiling_ = peak_ * (matrix ? p.matrixCeiling : p.vectorCeiling);
  multiprocessors_ = spec.multiprocessors;
  elementBytes_ = static_cast<double>(dtypeBytes(compute));
  double prologue = matrix ? p.matrixTilePrologue : p.vectorTilePrologue;
  quantisation_ = p.waveQuantisation;
  unaligned_ = matrix ? p.unalignedPenalty : 1;
  l2_ = static_cast<double>(spec.l2.value);
  waveSide_ = 128 * std::sqrt(multiprocessors_);
  double overhead = matrix ? p.matrixTileOverhead : p.vectorTileOverhead;
  double secondsPerMac = 2 * multiprocessors_ / ceiling_;
  double cacheShare =
      spec.memoryBandwidth.value * p.memoryEfficiency * p.cacheSpeedup / multiprocessors_;
  for (size_t i = 0; i < tiles_.size(); ++i) {
    auto [rows, columns] = kTileSizes[i];
    double area = rows * columns;
    // The parts of a split are written and read again in fp32.
    tiles_[i] = {1 / rows, 1 / columns,
                 secondsPerMac * roundedMax(area, overhead * (rows + columns)),
                 prologue + area * elementBytes_ / cacheShare, 2 * 4 * area / cacheShare};
  }
}

double MatrixCost::waves(double tiles) const {
  double share = tiles / multiprocessors_;
  if (share <= 1) return 1;
  double whole = roundUp(share);
  return share + quantisation_ * (whole - share);
}

double MatrixCost::splitSeconds(const Tile& tile, double tiles, double k) const {
  double best = std::numeric_limits<double>::infinity();
  for (double parts : {2., 3., 4., 6., 8.}) {
    if (k < parts * kShortestPart) break;
    best = std::min(best,
                    waves(tiles * parts) * (k / parts * tile.secondsPerK + tile.fixed + tile.sum));
  }
  return best;
}

double MatrixCost::tileSeconds(const Tile& tile, const ContractionShape& s,
                               Reduction reduction) const {
  double tiles = s.batch * roundUp(s.m * tile.perRow) * roundUp(s.n * tile.perColumn);
  double whole = waves(tiles) * (s.k * tile.secondsPerK + tile.fixed);
  if (reduction == Reduction::whole) return whole;
  if (2 * tiles > multiprocessors_)
    return reduction == Reduction::splitFreely ? std::min(whole, splitSeconds(tile, tiles, s.k))
                                               : whole;
  double parts = static_cast<double>(static_cast<int64_t>(multiprocessors_ / tiles));
  double length = std::max(s.k / parts, kShortestPart);
  return std::min(whole, length * tile.secondsPerK + tile.fixed + tile.sum);
}

double MatrixCost::seconds(const ContractionShape& shape, Reduction reduction) const {
  double best = tileSeconds(tiles_[0], shape, reduction);
  for (size_t i = 1; i < tiles_.size(); ++i)
    best = std::min(best, tileSeconds(tiles_[i], shape, reduction));
  return multipleOf8(shape.n) && multipleOf8(shape.k) ? best : best * unaligned_;
}

double MatrixCost::trafficBytes(const ContractionShape& s, double once) const {
  if (once <= l2_) return once;
  return std::max(once, 2 * s.batch * s.m * s.n * s.k * elementBytes_ / waveSide_);
}

}  // namespace meshplan
