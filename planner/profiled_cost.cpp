// SPDX-License-Identifier: Apache-2.0
#include "planner/profiled_cost.h"

#include <algorithm>
#include <cmath>
namespace meshplan {
namespace {

// What a measurement repeated on another day differs by beyond its own spread, where nothing was
// measured twice.
constexpr double kAssumedRepeat = 0.03;
constexpr double kCorrection = 0.1;  // of a row of another number of busy ranks
constexpr double kShortest = 1e-9;   // seconds; a formula's 0 has no ratio
constexpr double kOfOthers = 0.3;    // least share that an operator has to itself in its class
constexpr size_t kFewestOfOthers = 4;
constexpr double kExplained = 0.5;  // from here on it is called interpolated

constexpr size_t kClass = 1, kOperator = 3;  // levels of ClassRatios

double spread(double variance) {
  return std::hypot(std::sqrt(variance), kAssumedRepeat);
}

double ratioOf(double seconds, double reference) {
  return std::log(std::max(seconds, kShortest) / reference);
}

const OperatorDef& movement() {
  static const OperatorDef* const def = findOperatorDef("Transpose");
  return *def;
}

}  // namespace

ProfiledCost::ProfiledCost(std::unique_ptr<CostModel> formula,
                           const std::vector<OperatorMeasurement>& operators,
                           const std::vector<CollectiveMeasurement>& collectives,
                           const ProfileOptions& options)
    : formula_(std::move(formula)) {
  CountedRows<OperatorMeasurement> works = countedRows(operators, options.libraries);
  CountedRows<CollectiveMeasurement> groups = countedRows(collectives, options.libraries);
  collectives_ = MeasuredCollectives(groups.rows, options.transport);
  contradictions_ = std::move(works.contradictions);
  contradictions_.insert(contradictions_.end(), groups.contradictions.begin(),
                         groups.contradictions.end());
  const BusyRatios busy(works.rows, options.busy);
  for (size_t c = 0; c < kClasses; ++c) speedups_[c] = busy.speedup(static_cast<OpClass>(c));
  addExact(busy.rows());
  learn(busy.rows());
}

void ProfiledCost::addExact(std::span<const BusyRatios::Row> rows) {
  for (const BusyRatios::Row& r : rows) {
    const double own = medianError(r.row->samples);
    const double error = std::hypot(own, kAssumedRepeat, r.corrected ? kCorrection : 0);
    exact_[workKey(r.row->work)] = {r.seconds, error, r.speedup, r.corrected};
  }
}

void ProfiledCost::learn(std::span<const BusyRatios::Row> rows) {
  std::vector<ClassRatios::Residual> residuals;
  double uncertainty = 0;
  for (const BusyRatios::Row& r : rows) {
    const Estimate e = formula_->operatorTime(r.row->work);
    uncertainty += e.uncertainty / double(rows.size());
    residuals.push_back({&r.row->work, ratioOf(r.seconds, reference(r.row->work, e))});
  }
  ratios_ = ClassRatios(residuals, uncertainty);
  addFields(residuals, kOperator, 0);
  addFields(residuals, kClass, kOfOthers);
}

void ProfiledCost::addFields(const std::vector<ClassRatios::Residual>& residuals, size_t level,
                             double leastOwn) {
  std::unordered_map<uint64_t, std::vector<ResidualField::Point>> points;
  std::unordered_map<uint64_t, double> variances;
  for (const ClassRatios::Residual& r : residuals) {
    const ClassRatios::Ratio ratio = ratios_.of(*r.work);
    const uint64_t kind = ClassRatios::kindsOf(*r.work)[level];
    points[kind].push_back({shapeOf(*r.work), r.value - ratio.mean});
    variances[kind] = std::max(variances[kind], ratio.variance);
  }
  for (auto& [kind, some] : points)
    if (leastOwn == 0 || some.size() >= kFewestOfOthers)
      fields_.emplace(kind, ResidualField(std::move(some), variances[kind], leastOwn));
}

/// The formula's seconds; of work that it holds to be free, what a copy of the result would take.
double ProfiledCost::reference(const OperatorWork& work, const Estimate& formula) const {
  if (formula.time.value > 0) return formula.time.value;
  OperatorWork copy;
  copy.def = &movement();
  copy.bytes = 2 * std::max(1.0, work.outputElements) * double(dtypeBytes(work.compute));
  return std::max(kShortest, formula_->operatorTime(copy).time.value);
}

Estimate ProfiledCost::operatorTime(const OperatorWork& work) const {
  if (exact_.empty()) return formula_->operatorTime(work);
  if (const auto at = exact_.find(workKey(work)); at != exact_.end()) {
    const Exact& e = at->second;
    return {Seconds(e.seconds), e.error,
            e.corrected ? Provenance::interpolated : Provenance::measured};
  }
  return estimate(work);
}

Estimate ProfiledCost::estimate(const OperatorWork& work) const {
  const Estimate analytic = formula_->operatorTime(work);
  const ClassRatios::Ratio ratio = ratios_.of(work);
  const auto kinds = ClassRatios::kindsOf(work);
  const auto own = fields_.find(kinds[kOperator]);
  const auto field = own != fields_.end() ? own : fields_.find(kinds[kClass]);
  if (field == fields_.end())
    return {analytic.time * std::exp(ratio.mean), spread(ratio.variance), Provenance::analytic};
  const ResidualField::Answer a = field->second.at(shapeOf(work));
  const double seconds = reference(work, analytic) * std::exp(ratio.mean + a.residual);
  if (field != own)
    return {Seconds(seconds), spread(std::max(a.variance, ratio.variance)), Provenance::analytic};
  return {Seconds(seconds), spread(a.variance),
          a.explained >= kExplained ? Provenance::interpolated : Provenance::analytic};
}

Estimate ProfiledCost::collectiveTime(CollectiveKind kind, Bytes bytes,
                                      const GroupTopology& group) const {
  return collectives_.estimate(kind, bytes, group, *formula_);
}

double ProfiledCost::loneSpeedup(const OperatorWork& work) const {
  if (exact_.empty()) return 1;
  const auto at = exact_.find(workKey(work));
  if (at != exact_.end() && at->second.speedup > 0) return at->second.speedup;
  return speedups_[static_cast<size_t>(work.def->opClass)];
}

}  // namespace meshplan
