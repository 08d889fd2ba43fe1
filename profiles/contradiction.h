// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "profiles/measurement.h"

namespace meshplan {

/// Two measurements of the same thing that cannot both be right. `counted` is the one that is used.
struct Contradiction {
  std::string work;  // "MatMul forward f32[256,784] f32[784,1024] -> f32[256,1024], 1 busy"
  Samples counted, other;
  Source countedSource, otherSource;
  Environment countedEnvironment, otherEnvironment;
};

/// One standard deviation of the median, relative: 1.2533 spread / sqrt(count) for normal errors
/// (Kendall and Stuart, Advanced Theory of Statistics, 14.6). A single timing has no spread; 10 %
/// is assumed.
double medianError(const Samples& samples);

/// Medians that differ by more than 4 combined standard errors and by more than 10 % of the
/// smaller.
bool contradict(const Samples& a, const Samples& b);

/// Which of two rows of the same key counts: one of these libraries before others, then the newer.
bool countsBefore(const Environment& a, const Source& aSource, const Environment& b,
                  const Source& bSource, const std::string& libraries);

/// What is measured, without where and when: rows with equal keys measure the same.
uint64_t rowKey(const OperatorMeasurement& row);
uint64_t rowKey(const CollectiveMeasurement& row);
std::string describe(const OperatorMeasurement& row);
std::string describe(const CollectiveMeasurement& row);

/// Of rows of one device, one per key: the one that counts, in the order of first appearance; the
/// others are compared with it. Empty `libraries`: those of the newest row. A median that is not
/// positive and finite, or a count below 1, is no measurement and left out.
template <class Row>
struct CountedRows {
  std::vector<const Row*> rows;  // into the vector that was given
  std::vector<Contradiction> contradictions;
};
CountedRows<OperatorMeasurement> countedRows(const std::vector<OperatorMeasurement>& rows,
                                             const std::string& libraries = {});
CountedRows<CollectiveMeasurement> countedRows(const std::vector<CollectiveMeasurement>& rows,
                                               const std::string& libraries = {});

}  // namespace meshplan
