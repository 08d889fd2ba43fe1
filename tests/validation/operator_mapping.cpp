// SPDX-License-Identifier: Apache-2.0
#include "tests/validation/mapping.h"
#include "tests/validation/operator_tables.h"

namespace meshplan {
namespace {

Estimate timeOf(const CostModel& cost, const std::vector<OperatorWork>& works) {
  Estimate sum;
  double deviation = 0;
  for (const OperatorWork& work : works) {
    const Estimate e = cost.operatorTime(work);
    sum.time = sum.time + e.time;
    deviation += e.time.value * e.uncertainty;
  }
  sum.uncertainty = deviation / sum.time.value;
  return sum;
}

}  // namespace

void predictOperators(const Table& table, StepPredictor& predictor, std::vector<Prediction>& out) {
  for (const OperatorRow& row : operatorRows(table)) {
    Prediction p;
    p.table = row.table;
    p.device = row.device;
    p.unit = row.unit;
    p.measured = row.measured;
    p.fitted = row.fitted;
    p.row = row.text;
    p.problem = row.problem;
    if (p.problem.empty()) {
      const Estimate e = timeOf(predictor.queuedCost(row.device), row.works);
      const double slower = e.time.value / row.seconds;
      p.predicted = row.rate ? row.measured / slower : row.measured * slower;
      // The source gives a range of half and double.
      p.uncertainty = row.slower == 1 ? e.uncertainty : 0.25;
    }
    out.push_back(std::move(p));
  }
}

}  // namespace meshplan
