// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "backend/communicator.h"
#include "backend/local_machine.h"
#include "backend/rank_device.h"
#include "backend/step_recorder.h"
#include "core/graph.h"

namespace meshplan {

/// What one rank runs on.
struct RankParts {
  std::unique_ptr<RankDevice> device;
  /// The ways between the devices; null where data goes through the hosts' world.
  std::unique_ptr<Communicator> data;
};

/// Runs a rank's work. The other ranks' devices stop waiting for this one as soon as the work
/// throws, before its device, which may wait too, is given back.
void runTogether(RankParts& parts, const std::function<void()>& work);

struct RecorderSettings {
  const Program& program;
  const Graph& graph;  // of the program
  int stage = 0;
  StepRecorder::Clock::time_point epoch;  // common to all ranks
  size_t keeps = 32;                      // steps
};

/// Which steps of a run are recorded, counted from 0.
struct RecordedSteps {
  static constexpr int64_t kAll = INT64_MAX;
  int64_t first = 0, count = kAll;
};

/// What the ranks of this process compute on: the cores of its processor, or GPUs.
class RankBackend {
 public:
  virtual ~RankBackend() = default;

  /// Under which measurements are kept.
  virtual Environment environment() const = 0;
  /// How data goes from rank to rank: "threads", "nccl" ... in profile rows.
  virtual std::string transport() const = 0;
  /// Whether ranks have a device each, and none of them slows another down.
  virtual bool ownDevices() const = 0;
  /// Whether times say something about ranks that are spread out as they should be.
  virtual bool teaches() const = 0;
  /// What each rank may take of its device's memory now.
  virtual Bytes memory() const = 0;
  /// What was in use on the fullest device of this process when its ranks had trained, by them,
  /// their libraries, and whoever else uses it; 0: not known.
  virtual Bytes deviceMemoryUsed() const { return {}; }

  /// Where a step that is recorded runs otherwise than one that is not: only some are.
  virtual RecordedSteps recordedSteps() const = 0;

  /// Runs ranks as threads, as runInProcess (backend/comm/in_process.h) does.
  virtual void runThreads(int ranks, const std::function<void(Communicator&)>& body) = 0;
  /// Called by every rank of the world, each in its own thread, before it trains.
  virtual RankParts open(Communicator& world) = 0;
  /// Measures the instructions of a rank that has these parts, in its thread.
  virtual std::unique_ptr<StepRecorder> recorder(RankParts& parts,
                                                 const RecorderSettings& settings) = 0;

  /// Which algorithms of libraries are known to be the fastest, before ranks open; and what ranks
  /// have found out besides, after they have trained.
  virtual void use(const std::vector<AlgorithmChoice>& choices) = 0;
  virtual std::vector<AlgorithmChoice> found() const = 0;
};

/// On the processor: `ranks` says how many of them share the cores; `transport` is that of `world`.
std::unique_ptr<RankBackend> processorBackend(const LocalRanks& ranks,
                                              const std::string& transport = "threads");

}  // namespace meshplan
