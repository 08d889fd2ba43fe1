// SPDX-License-Identifier: Apache-2.0
#include "tests/profiles/measurement_examples.h"

#include <fmt/format.h>

#include <cmath>

#include "core/work_json.h"

namespace meshplan {
namespace {

class Random {
 public:
  explicit Random(uint32_t seed) : random_(seed) {}
  int64_t below(int64_t n) { return std::uniform_int_distribution<int64_t>(0, n - 1)(random_); }
  double figure() { return std::exp(std::uniform_real_distribution<double>(-20, 20)(random_)); }
  bool flag() { return below(2) == 1; }
  std::string word() { return fmt::format("wörd '{}'; \"{}\"\n", below(1000), below(1000)); }
  Samples samples() {
    return {1 + below(100), below(5), Seconds(figure()), Seconds(figure()), Seconds(figure())};
  }
  Environment environment() { return {fmt::format("device {}", below(3)), word(), word()}; }
  Source source() { return {static_cast<Origin>(below(3)), word(), 1700000000 + below(1000000)}; }
  uint64_t bits() { return static_cast<uint64_t>(random_()) << 32 | random_(); }

 private:
  std::mt19937 random_;
};

std::string textOf(const Environment& e) {
  return fmt::format("{} {} {}", e.device, e.fingerprint, e.libraries);
}

std::string textOf(const Source& s) {
  return fmt::format("{} {} {}", originName(s.origin), s.text, s.time);
}

std::string textOf(const Samples& s) {
  return fmt::format("{} {} {} {} {}", s.count, s.outliers, s.median.value, s.spread.value,
                     s.minimum.value);
}

}  // namespace

OperatorWork exampleWork(uint32_t seed) {
  Random random(seed);
  const auto figure = [&] { return random.figure(); };
  OperatorWork work;
  const auto defs = operatorDefs();
  work.def = &defs[static_cast<size_t>(random.below(static_cast<int64_t>(defs.size())))];
  work.phase = static_cast<Phase>(random.below(4));
  work.compute = static_cast<DType>(random.below(13));
  for (auto member :
       {&OperatorWork::flops, &OperatorWork::bytes, &OperatorWork::outputElements,
        &OperatorWork::accumulated, &OperatorWork::kernelArea, &OperatorWork::strideArea,
        &OperatorWork::transposedBytes, &OperatorWork::biasBytes})
    work.*member = random.flag() ? figure() : work.*member;
  work.kernels = random.below(100);
  if (random.flag()) work.contraction = {figure(), figure(), figure(), figure()};
  if (random.flag())
    work.attention = {figure(),      figure(),      figure(),      figure(),
                      figure(),      figure(),      figure(),      random.flag(),
                      random.flag(), random.flag(), random.flag(), random.flag()};
  work.signature = random.bits();
  return work;
}

OperatorMeasurement exampleOperator(uint32_t seed) {
  Random random(seed);
  return {random.environment(),
          random.source(),
          exampleWork(seed),
          random.word(),
          1 + static_cast<int>(random.below(8)),
          random.samples()};
}

CollectiveMeasurement exampleCollective(uint32_t seed) {
  Random random(seed);
  return {random.environment(),
          random.source(),
          random.word(),
          static_cast<CollectiveKind>(random.below(8)),
          Bytes(random.below(INT64_MAX)),
          1 + random.below(4096),
          1 + random.below(512),
          1 + random.below(8),
          random.samples()};
}

RunMeasurement exampleRun(uint32_t seed) {
  Random random(seed);
  RunMeasurement run;
  run.environment = random.environment();
  run.source = random.source();
  for (auto* text :
       {&run.model, &run.graphFingerprint, &run.strategy, &run.transport, &run.provenance})
    *text = random.word();
  run.planJson = R"({"plan": "as ünïcode"})";
  run.ranks = 1 + random.below(64);
  run.threads = 1 + random.below(64);
  run.steps = random.below(1000);
  run.step = random.samples();
  run.predictedStep = Seconds(random.figure());
  run.predictedUncertainty = random.figure();
  run.plannedPeak = Bytes(random.below(INT64_MAX));
  run.measuredPeak = Bytes(random.below(INT64_MAX));
  run.profilingOverhead = random.figure();
  return run;
}

std::vector<InstructionMeasurement> exampleInstructions(uint32_t seed) {
  Random random(seed);
  std::vector<InstructionMeasurement> rows;
  for (uint16_t rankClass : {uint16_t{0}, uint16_t{65535}})
    for (uint32_t call : {0u, 4294967295u})
      for (uint32_t instruction : {0u, 1u, 4294967295u})
        rows.push_back({rankClass, call, instruction, Seconds(random.figure()),
                        Seconds(random.figure()), Seconds(random.figure()), random.word(),
                        Seconds(random.figure()), Seconds(random.figure()), random.word()});
  return rows;
}

std::string textOf(const OperatorMeasurement& m) {
  return fmt::format("{} | {} | {} | {} | {} | {}", textOf(m.environment), textOf(m.source),
                     workToJson(m.work), m.types, m.busy, textOf(m.samples));
}

std::string textOf(const CollectiveMeasurement& m) {
  return fmt::format("{} | {} | {} {} {} {} {} {} | {}", textOf(m.environment), textOf(m.source),
                     m.transport, collectiveName(m.kind), m.bytes.value, m.ranks, m.nodes, m.groups,
                     textOf(m.samples));
}

std::string textOf(const RunMeasurement& m) {
  return fmt::format("{} | {} | {} {} {} {} {} {} {} {} {} | {} | {} {} {} {} {}",
                     textOf(m.environment), textOf(m.source), m.model, m.graphFingerprint,
                     m.strategy, m.planJson, m.transport, m.provenance, m.ranks, m.threads, m.steps,
                     textOf(m.step), m.predictedStep.value, m.predictedUncertainty,
                     m.plannedPeak.value, m.measuredPeak.value, m.profilingOverhead);
}

std::string textOf(const InstructionMeasurement& m) {
  return fmt::format("{} {} {} {} {} {} {} {} {} {}", m.rankClass, m.call, m.instruction,
                     m.start.value, m.duration.value, m.busy.value, m.name, m.predicted.value,
                     m.predictedStart.value, m.provenance);
}

}  // namespace meshplan
