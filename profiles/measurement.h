// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "core/cluster.h"
#include "core/collective.h"
#include "core/work.h"

namespace meshplan {

/// What many timings of the same thing came to. The median counts; the spread is 1.4826 times the
/// median distance to it (a standard deviation for normal errors). Samples further than 5 spreads
/// above the median are told apart as outliers: they are in `count`, and the median hardly sees
/// them.
struct Samples {
  int64_t count = 0, outliers = 0;
  Seconds median, spread, minimum;
};
inline constexpr double kOutlierSpreads = 5;

/// `seconds` in any order; none gives a count of 0.
Samples summarise(std::vector<double> seconds);

enum class Origin : uint8_t { measured, run, imported };  // `meshplan measure`, a run, another tool
std::string_view originName(Origin o);

/// Where and with what something was measured. `device` is DeviceSpec::name, by which a plan finds
/// it; `fingerprint` tells machines of the same device apart (cores, caches, driver); `libraries`
/// names what did the work, with versions.
struct Environment {
  std::string device, fingerprint, libraries;
  bool operator==(const Environment&) const = default;
};

/// Where a row came from.
struct Source {
  Origin origin = Origin::measured;
  std::string text;  // the run, model or file
  int64_t time = 0;  // Unix seconds
};

/// One operator's local work on one rank, without waiting for anybody.
struct OperatorMeasurement {
  Environment environment;
  Source source;
  OperatorWork work;  // its workKey is the row's key
  std::string types;  // "f32[256,784] f32[784,1024] -> f32[256,1024]", for people
  /// Ranks of the host that computed the same at the same time, this one among them: they share
  /// memory bandwidth and caches. 1 on devices with memory of their own.
  int busy = 1;
  Samples samples;
};

/// A collective or transfer on a group of ranks, from the moment when the last one was there.
struct CollectiveMeasurement {
  Environment environment;
  Source source;
  std::string transport;  // "threads", "sockets", "mpi", "nccl"
  CollectiveKind kind = CollectiveKind::allReduce;
  Bytes bytes;                   // S of core/collective.h
  int64_t ranks = 2, nodes = 1;  // of the group
  int64_t groups = 1;            // that did it side by side on the same nodes
  Samples samples;
};

/// The fastest algorithm that a library has for a shape on a device. `algorithm`, hexadecimal,
/// means something to the library of the environment alone.
struct AlgorithmChoice {
  Environment environment;
  std::string key, algorithm;
  Seconds seconds;   // of one execution
  int64_t time = 0;  // Unix seconds
};

/// A training run: what was predicted for a step and what was measured.
struct RunMeasurement {
  Environment environment;
  Source source;
  int64_t id = 0;  // given by the store
  std::string model, graphFingerprint, strategy;
  std::string planJson;  // a plan file (docs/formats.md)
  std::string transport;
  int64_t ranks = 1, threads = 1, steps = 0;
  Samples step;                     // wall seconds per step
  Seconds predictedStep;            // 0: nothing was predicted
  double predictedUncertainty = 0;  // one standard deviation, relative
  std::string provenance;           // of the prediction
  Bytes plannedPeak, measuredPeak;  // of the fullest rank's arena
  double profilingOverhead = 0;     // share of the step that measuring took
};

/// One instruction of a run, by its place in the program: medians over the steps.
struct InstructionMeasurement {
  uint16_t rankClass = 0;
  uint32_t call = 0, instruction = 0;
  Seconds start;           // from the step's start
  Seconds duration;        // waiting for peers included
  Seconds busy;            // without it: from the moment when the last peer was there
  std::string name = {};   // what it did, for people: "MatMul forward", "all_reduce"
  Seconds predicted = {};  // for `busy`; 0: nothing was predicted
  Seconds predictedStart = {};
  std::string provenance = {};  // of the prediction
};

}  // namespace meshplan
