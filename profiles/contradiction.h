// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "profiles/measurement.h"

namespace meshplan {

/// Two measurements of the same thing that cannot both be right. `counted` is what is used, of the
/// newest row that it was made of.
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

/// What is measured, without where and when: rows with equal keys measure the same.
uint64_t rowKey(const OperatorMeasurement& row);
uint64_t rowKey(const CollectiveMeasurement& row);
std::string describe(const OperatorMeasurement& row);
std::string describe(const CollectiveMeasurement& row);

/// Rows of one device put together, one per key, in the order of first appearance. Of the rows of
/// a key those with these libraries count if there are any (empty: those of the newest row). Of
/// three and more the majority counts: those that do not contradict the middle one; of two that
/// contradict each other the newer. Rows that count are pooled: the mean of their medians, with a
/// spread that has in it how they differ. All others are compared with that. A median that is not
/// positive and finite, or a count below 1, is no measurement and left out.
template <class Row>
struct CountedRows {
  std::vector<Row> rows;
  std::vector<Contradiction> contradictions;
};
CountedRows<OperatorMeasurement> countedRows(const std::vector<OperatorMeasurement>& rows,
                                             const std::string& libraries = {});
CountedRows<CollectiveMeasurement> countedRows(const std::vector<CollectiveMeasurement>& rows,
                                               const std::string& libraries = {});

}  // namespace meshplan
