// SPDX-License-Identifier: Apache-2.0
#include "backend/rank_backend.h"

#include "backend/comm/in_process.h"
#include "backend/cpu/cpu_device.h"
#include "backend/host_memory.h"

namespace meshplan {
namespace {

class ProcessorBackend final : public RankBackend {
 public:
  ProcessorBackend(const LocalRanks& ranks, std::string transport)
      : ranks_(ranks), transport_(std::move(transport)) {}

  Environment environment() const override { return localEnvironment(ranks_); }
  std::string transport() const override { return transport_; }
  bool ownDevices() const override { return false; }
  bool teaches() const override { return true; }
  Bytes memory() const override { return availableMemory() / ranks_.ranks; }
  RecordedSteps recordedSteps() const override { return {}; }

  void runThreads(int ranks, const std::function<void(Communicator&)>& body) override {
    runInProcess(ranks, body);
  }
  RankParts open(Communicator&) override {
    return {std::make_unique<CpuDevice>(ranks_.threads), nullptr};
  }
  std::unique_ptr<StepRecorder> recorder(RankParts&, const RecorderSettings& s) override {
    const bool crowded = ranks_.ranks > ranks_.atOnce();
    return std::make_unique<StepRecorder>(s.program, s.stage, s.epoch, s.keeps, crowded);
  }

  void use(const std::vector<AlgorithmChoice>&) override {}
  std::vector<AlgorithmChoice> found() const override { return {}; }

 private:
  const LocalRanks ranks_;
  const std::string transport_;
};

}  // namespace

void runTogether(RankParts& parts, const std::function<void()>& work) {
  try {
    work();
  } catch (const PeerError&) {
    throw;  // the others know
  } catch (const std::exception& error) {
    if (parts.data) parts.data->abort(error.what());
    throw;
  }
}

std::unique_ptr<RankBackend> processorBackend(const LocalRanks& ranks,
                                              const std::string& transport) {
  return std::make_unique<ProcessorBackend>(ranks, transport);
}

}  // namespace meshplan
