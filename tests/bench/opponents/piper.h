// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace meshplan {

/// What a layer costs with one setting (recomputation or not) at one tensor-parallel degree.
struct PiperOption {
  std::string id;
  double time = 0;                 // seconds of one micro-batch, forward and backward (p)
  double parameters = 0;           // bytes that replicas synchronise (w)
  double memoryPerMicroBatch = 0;  // bytes per micro-batch in flight (a)
  double memoryFixed = 0;          // bytes that stay (b)
  std::vector<double> syncIn;      // bytes, per incoming edge, only where the edge is cut (c^fw)
  std::vector<double> syncOut;     // the same of outgoing edges (c^bw)
};

struct PiperNode {
  int64_t id = 0;
  std::vector<uint32_t> in, out;                        // edges
  std::map<int64_t, std::vector<PiperOption>> options;  // by tensor-parallel degree
};

struct PiperEdge {
  uint32_t from = 0, to = 0;
  double bytes = 0;
};

/// A layer graph with measured costs as Piper (Tarnawski et al., NeurIPS 2021) publishes them:
/// github.com/msr-fiddle/piper, README.md, "Input format".
struct PiperInstance {
  double memory = 0;     // bytes of one device
  double bandwidth = 0;  // bytes per second of one device
  int64_t devices = 0;
  int64_t microBatches = 0;  // of a batch (N)
  std::vector<PiperNode> nodes;
  std::vector<PiperEdge> edges;
};

/// Throws Error(input) that names the file and the place in it.
PiperInstance parsePiperInstance(const std::string& text, const std::string& file);

/// A stage of the pipeline: consecutive in some topological order of the stages.
struct PiperStage {
  std::vector<uint32_t> nodes;
  std::vector<uint32_t> choices;  // per node: index into its options of the tensor degree
  int64_t replicas = 1, tensor = 1;
};
using PiperPlan = std::vector<PiperStage>;  // from the input to the loss

/// Reads {"stages": [{"nodes", "dataParallelDegree", "tensorParallelDegree", "TMPCids"}]}, what
/// Piper's result converts to; TMPCids is a list of [node, option id] pairs.
PiperPlan parsePiperPlan(const PiperInstance& instance, const std::string& text,
                         const std::string& file);

/// Seconds per micro-batch of the slowest stage, by the formulas of the paper, section 3. A stage
/// of d replicas takes, per micro-batch,
///   (sum p + 2 (edge bytes + c) over the cut edges / bandwidth) / d
///   + 4 (d - 1) / d sum w / N / bandwidth
/// and needs, per device, sum a y + b, with y = ceil(replicas of this and all later stages / d).
/// Infinite when a stage does not fit in memory. Throws Error(input) for a plan that leaves out or
/// repeats a layer, takes too many devices, whose replicas do not divide the batch, or whose stages
/// are out of order.
double piperTimePerSample(const PiperInstance& instance, const PiperPlan& plan);

}  // namespace meshplan
