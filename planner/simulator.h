// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "core/timeline.h"
#include "planner/cost_model.h"

namespace meshplan {

/// The fractions of a rank's links that a collective or transfer takes while it runs at full speed:
/// `fabric` inside a node, `network` between nodes.
struct LinkDemand {
  float fabric = 0, network = 0;
  bool operator==(const LinkDemand&) const = default;
};

/// Ranks of one host that compute on the same cores, `threads` of them each.
struct SharedCores {
  double cores = 0, threads = 1;  // no cores: every rank has its own
  /// Time of the work with ranks on all cores over its time when only one rank is busy: they share
  /// memory bandwidth and caches, at least 1.
  double loneSpeedup = 1;

  double ranksAtOnce() const { return cores / threads; }
  /// Progress of each of `busy` ranks, relative to when just all cores are busy.
  double rate(double busy) const;
};

/// Where an instruction's time comes from: the Estimate without the time.
struct Evidence {
  float uncertainty = 0;
  Provenance provenance = Provenance::analytic;
};

/// Seconds of each instruction alone on the machine: times[routine][instruction]. Sends carry the
/// transfer's time, receives 0.
struct InstructionTimes {
  std::vector<std::vector<Seconds>> times;
  std::vector<std::vector<LinkDemand>> demands = {};  // as times; empty: nothing is shared
  double computeSlowdown =
      1;  // of compute while a collective or transfer of the same rank runs beside it
  double collectiveSlowdown = 1;  // of a collective while compute runs beside it
  /// As times: what the host of a rank takes to issue each instruction; empty: nothing.
  std::vector<std::vector<Seconds>> host = {};
  /// The processor that computes also communicates, so that a rank does one thing after the other
  /// in program order. A message is kept until it is received: sends and receives both carry their
  /// own part of a transfer.
  bool serial = false;
  SharedCores shared = {};                           // where serial
  std::vector<std::vector<Evidence>> evidence = {};  // as times; empty: nobody asked
};

/// Asks the cost model once per distinct instruction (program_cost.cpp).
InstructionTimes costProgram(const Program& program, const Cluster& cluster, const CostModel& cost);

struct SimulationOptions {
  bool recordSpans = false;
  bool recordMemory = false;
};

/// Interprets the program as real runtimes do: streams are queues, a transfer starts when both
/// sides have posted it, transfers of one rank class that share a link share it max-min fairly,
/// compute beside communication is slowed. A rank's host issues its instructions in order, ahead of
/// the device; none starts before it was issued. Where a computation waits for all transfers before
/// it (Plan::blockingTransfers), so has the host. One representative per rank class. Deterministic.
Timeline simulate(const Program& program, const InstructionTimes& times,
                  const SimulationOptions& options);

}  // namespace meshplan
