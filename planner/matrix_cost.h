// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>

#include "core/work.h"
#include "planner/device_parameters.h"

namespace meshplan {

/// How a kernel may share the reduction of one tile among multiprocessors: not at all; where more
/// than half of them would be idle; or wherever that is faster, in up to 8 parts.
enum class Reduction : uint8_t { whole, splitWhenIdle, splitFreely };

/// Seconds of matrix products on the multiprocessors of one device at one compute dtype, without
/// memory and launch. A product is cut into tiles Tm x Tn; a tile runs on one multiprocessor for
///     k max(Tm Tn, c (Tm + Tn)) * 2 / (peak per multiprocessor * ceiling) + prologue + result
///     bytes / L2 bandwidth
/// where c, the tile overhead, is the operands' way from L2 in multiply-adds per element (the
/// maximum is rounded). Tiles run in waves of one per multiprocessor; the last wave costs
/// `waveQuantisation` of a whole one even if it is not full (NVIDIA, "Matrix Multiplication
/// Background User's Guide"; NeuSight, arXiv:2407.13853). When there are fewer tiles than
/// multiprocessors, k may be split among them, at the price of summing the parts. The fastest of a
/// fixed set of tiles counts, as cuBLAS' heuristic would choose. Non-decreasing in batch, m, n and
/// k, except that a multiple of 8 may be up to `unalignedPenalty` faster than its predecessors.
class MatrixCost {
 public:
  MatrixCost() = default;
  MatrixCost(const DeviceSpec& spec, const DeviceParameters& parameters, DType compute);

  double seconds(const ContractionShape& shape,
                 Reduction reduction = Reduction::splitWhenIdle) const;
  /// Waves that so many tiles take, the last one at its price.
  double waves(double tiles) const;
  /// Bytes that come from memory when `once` reads and writes each tensor once: that, or what the
  /// waves read (a wave is a square of 128 x 128 tiles) where L2 cannot keep the operands.
  double trafficBytes(const ContractionShape& shape, double once) const;
  double peak() const { return peak_; }        // FLOP/s of the datasheet
  double ceiling() const { return ceiling_; }  // FLOP/s of the inner loop of an endless tile
  double multiprocessors() const { return multiprocessors_; }
  double elementBytes() const { return elementBytes_; }
  bool hasMatrixUnits() const { return matrixUnits_; }

 private:
  struct Tile {
    double perRow = 1, perColumn = 1;  // powers of two: products with them are exact quotients
    double secondsPerK = 0, fixed = 0, sum = 0;
  };
  double tileSeconds(const Tile& tile, const ContractionShape& shape, Reduction reduction) const;
  double splitSeconds(const Tile& tile, double tiles, double k) const;

  std::array<Tile, 9> tiles_;
  bool matrixUnits_ = false;
  double peak_ = 1, ceiling_ = 1, multiprocessors_ = 1, elementBytes_ = 4;
  double quantisation_ = 1, unaligned_ = 1, l2_ = 0, waveSide_ = 1;
};

/// Two times that overlap: (a^4 + b^4)^(1/4), the maximum with a rounded ridge, at most 19 % above
/// it.
double roundedMax(double a, double b);

/// The datasheet's FLOP/s of matrix products at `compute`: the matrix units' where they have that
/// dtype, else the vector units' (16-bit products accumulate in fp32 anyway; fp64 at half of fp32).
FlopsPerSecond matrixPeak(const DeviceSpec& spec, DType compute);

}  // namespace meshplan
