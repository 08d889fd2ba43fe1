// SPDX-License-Identifier: Apache-2.0
// Every call of the CUDA runtime fails once, at every place of a training step: the run ends with
// one error that names the GPU and the rank, and gives its memory back.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "backend/comm/in_process.h"
#include "backend/cuda/cuda_device.h"
#include "core/error.h"
#include "tests/backend/equivalence_cases.h"
#include "tests/cuda_emulation/emulator.h"

namespace meshplan {
namespace {

using testing::AnyOf;
using testing::HasSubstr;

class FailingCalls : public testing::TestWithParam<cudaError_t> {
 protected:
  ~FailingCalls() override { emulation::failCall(0, cudaSuccess); }

  void train() {
    RunSettings settings;
    settings.steps = 3;
    settings.start = [](int ranks, const RankBody& body) {
      runInProcess(ranks, [&](Communicator& world) {
        CudaDevice device(0, world.rank());
        body(device, world, world);
      });
    };
    runPlan(model_, plan_, inputs_, settings);
  }

  const EquivalenceSubject& subject_ = equivalenceSubjects()[0];
  const TrainingModel model_ = prepared(subject_, Precision::fp32);
  const Plan plan_ = planOf(model_, kEquivalenceBatch, "dp=1", 1);
  const std::map<uint32_t, HostTensor> inputs_ = randomInputs(model_, kEquivalenceBatch, 3);
};

TEST_P(FailingCalls, EndTheRunWithOneErrorAndNoLeak) {
  emulation::failCall(0, cudaSuccess);
  const int64_t before = emulation::allocations();
  train();
  const int64_t calls = emulation::calls();
  EXPECT_EQ(emulation::allocations(), before);
  ASSERT_GT(calls, 50);
  const int64_t step = std::max<int64_t>(1, calls / 25);
  int64_t failures = 0;
  for (int64_t k = 1; k <= calls; k += step) {
    emulation::failCall(k, GetParam());
    try {
      train();
    } catch (const Error& error) {
      ++failures;
      EXPECT_EQ(error.kind(), ErrorKind::runtime) << error.what();
      EXPECT_THAT(error.what(), HasSubstr("GPU 0 of rank 0")) << "call " << k;
    }
    emulation::failCall(0, cudaSuccess);
    ASSERT_EQ(emulation::allocations(), before) << "call " << k;
  }
  // What fails while everything is given back fails nobody.
  EXPECT_GT(failures, calls / step * 8 / 10);
  train();
}

INSTANTIATE_TEST_SUITE_P(, FailingCalls,
                         testing::Values(cudaErrorIllegalAddress, cudaErrorMemoryAllocation,
                                         cudaErrorLaunchFailure),
                         [](const auto& info) { return cudaGetErrorName(info.param); });

TEST(LittleMemory, NamesWhatItWasForAndHowMuch) {
  emulation::setDeviceMemory(1 << 20);
  try {
    CudaDevice device(0, 3);
    device.allocate(64 << 20, "the arena of the plan");
    ADD_FAILURE() << "64 MiB of one";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("GPU 0 of rank 3"));
    EXPECT_THAT(error.what(), HasSubstr("the arena of the plan: 64.0 MiB are needed"));
  }
  emulation::setDeviceMemory(size_t{4} << 30);
}

}  // namespace
}  // namespace meshplan
