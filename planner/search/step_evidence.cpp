// SPDX-License-Identifier: Apache-2.0
#include "planner/search/step_evidence.h"

#include <cmath>

namespace meshplan {
namespace {

// Relative standard deviations: of what a step waits for collectives and for the host, and of every
// step, whatever it does (software and machines differ). From the residuals of whole steps,
// docs/cost_model.md, "Intervals".
constexpr double kCommunicationUncertainty = 0.4, kHostUncertainty = 0.25, kStepUncertainty = 0.07;
// The last where the parts were measured on the machine itself.
constexpr double kMeasuredStepUncertainty = 0.04;
constexpr double kWeakShare = 0.05;
constexpr size_t kClasses = static_cast<size_t>(OpClass::opaque) + 1;

/// Seconds by provenance, and what errs alike with them.
struct Part {
  std::array<double, 3> seconds{};
  double errors = 0;

  void add(double time, const Evidence& evidence, double uncertainty) {
    seconds[static_cast<size_t>(evidence.provenance)] += time;
    errors += time * uncertainty;
  }
  double sum() const { return seconds[0] + seconds[1] + seconds[2]; }
};

struct Parts {
  std::array<Part, kClasses> classes;
  Part communication;
};

Parts partsOf(const Program& program, const InstructionTimes& times, size_t rankClass) {
  std::vector<double> calls(program.routines.size());
  for (const Call& call : program.rankClasses[rankClass].calls) calls[call.routine] += 1;
  Parts parts;
  for (size_t r = 0; r < calls.size(); ++r)
    for (size_t i = 0; calls[r] > 0 && i < times.times[r].size(); ++i) {
      const Instruction& in = program.routines[r].instructions[i];
      const double seconds = calls[r] * times.times[r][i].value;
      const Evidence& evidence = times.evidence[r][i];
      if (in.kind == Instruction::Kind::compute)
        parts.classes[static_cast<size_t>(program.work[in.work].def->opClass)].add(
            seconds, evidence, evidence.uncertainty);
      else
        parts.communication.add(seconds, evidence,
                                evidence.provenance == Provenance::analytic
                                    ? kCommunicationUncertainty
                                    : double(evidence.uncertainty));
    }
  return parts;
}

}  // namespace

Provenance StepEvidence::provenance() const {
  if (!measuredAtAll()) return Provenance::analytic;
  if (share(Provenance::analytic) > kWeakShare) return Provenance::analytic;
  if (share(Provenance::analytic) + share(Provenance::interpolated) > kWeakShare)
    return Provenance::interpolated;
  return Provenance::measured;
}

StepEvidence stepEvidence(const Program& program, const InstructionTimes& times,
                          const TimeByCategory& time, size_t rankClass) {
  const Parts parts = partsOf(program, times, rankClass);
  StepEvidence out;
  const double exposed = time.exposedCommunication.value, host = time.host.value;
  double sum = exposed + host;
  double square = std::pow(host * kHostUncertainty, 2);
  for (const Part& p : parts.classes) {
    sum += p.sum();
    square += p.errors * p.errors;
    for (size_t k = 0; k < 3; ++k) out.shares[k] += p.seconds[k];
  }
  // What is exposed is taken to err, and to be known, as communication does as a whole.
  const Part& c = parts.communication;
  const double whole = c.sum();
  square += std::pow(exposed * (whole > 0 ? c.errors / whole : kCommunicationUncertainty), 2);
  for (size_t k = 0; whole > 0 && k < 3; ++k) out.shares[k] += exposed * c.seconds[k] / whole;
  out.shares[static_cast<size_t>(Provenance::analytic)] += host + (whole > 0 ? 0 : exposed);
  if (sum <= 0) return {};
  for (double& share : out.shares) share /= sum;
  const double step = kMeasuredStepUncertainty + (kStepUncertainty - kMeasuredStepUncertainty) *
                                                     out.share(Provenance::analytic);
  out.uncertainty = std::sqrt(square + std::pow(step * sum, 2)) / sum;
  return out;
}

}  // namespace meshplan
