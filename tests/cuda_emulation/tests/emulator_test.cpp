// SPDX-License-Identifier: Apache-2.0
// The emulated GPU finds what a real one punishes at random: missing waits, diverging barriers.
#include "tests/cuda_emulation/emulator.h"

#include <gtest/gtest.h>

#include <cmath>
#include <stdexcept>
#include <vector>

#include "tests/cuda_emulation/cuda_runtime.h"

namespace meshplan {
namespace {

class Emulator : public testing::Test {
 protected:
  Emulator() {
    for (cudaStream_t& s : streams) cudaStreamCreateWithFlags(&s, cudaStreamNonBlocking);
    cudaEventCreateWithFlags(&event, 0);
    cudaMallocHost(reinterpret_cast<void**>(&values), 4096);
  }
  ~Emulator() override {
    emulation::failCall(0, cudaSuccess);
    emulation::setSchedule(0);
    cudaDeviceSynchronize();
    for (cudaStream_t s : streams) cudaStreamDestroy(s);
    cudaEventDestroy(event);
    cudaFreeHost(values);
  }
  template <class... P, class... A>
  cudaError_t launch(cudaStream_t stream, unsigned blocks, unsigned threads, void (*kernel)(P...),
                     A... arguments) {
    cudaLaunchConfig_t config;
    config.gridDim = blocks;
    config.blockDim = threads;
    config.stream = stream;
    return cudaLaunchKernelEx(&config, kernel, arguments...);
  }

  cudaStream_t streams[2];
  cudaEvent_t event;
  int* values;
};

void set(int* to, int value) {
  *to = value;
}
void copy(int* to, const int* from) {
  *to = *from;
}

TEST_F(Emulator, RunsNothingBeforeSomebodyWaits) {
  *values = 1;
  launch(streams[0], 1, 1, set, values, 2);
  EXPECT_EQ(*values, 1);
  cudaStreamSynchronize(streams[0]);
  EXPECT_EQ(*values, 2);
}

/// How often, of 64 schedules, the second stream sees what the first one writes.
int seenOf64(bool waits, Emulator*, cudaStream_t* streams, cudaEvent_t event, int* values,
             const std::function<void(cudaStream_t, int*, int)>& write) {
  int seen = 0;
  for (uint64_t seed = 1; seed <= 64; ++seed) {
    emulation::setSchedule(seed);
    values[0] = values[1] = 0;
    write(streams[0], values, 7);
    cudaEventRecord(event, streams[0]);
    if (waits) cudaStreamWaitEvent(streams[1], event, 0);
    cudaLaunchConfig_t config;
    config.stream = streams[1];
    cudaLaunchKernelEx(&config, copy, values + 1, static_cast<const int*>(values));
    cudaDeviceSynchronize();
    seen += values[1] == 7;
  }
  return seen;
}

TEST_F(Emulator, StreamsPassEachOtherUnlessTheyWait) {
  const auto write = [&](cudaStream_t s, int* to, int value) { launch(s, 1, 1, set, to, value); };
  EXPECT_EQ(seenOf64(true, this, streams, event, values, write), 64);
  const int seen = seenOf64(false, this, streams, event, values, write);
  EXPECT_GT(seen, 0);
  EXPECT_LT(seen, 64);
}

void sumOfBlock(const int* from, int* to) {
  __shared__ int warps[32];
  int sum = from[threadIdx.x];
  for (int by = 16; by > 0; by /= 2) sum += __shfl_xor_sync(~0u, sum, by);
  if (threadIdx.x % 32 == 0) warps[threadIdx.x / 32] = sum;
  __syncthreads();
  if (threadIdx.x != 0) return;
  to[blockIdx.x] = 0;
  for (unsigned w = 0; w < blockDim.x / 32; ++w) to[blockIdx.x] += warps[w];
}

TEST_F(Emulator, ThreadsOfABlockMeet) {
  for (int i = 0; i < 256; ++i) values[i] = i;
  launch(streams[0], 3, 256, sumOfBlock, static_cast<const int*>(values), values + 256);
  cudaStreamSynchronize(streams[0]);
  for (int b = 0; b < 3; ++b) EXPECT_EQ(values[256 + b], 255 * 256 / 2);
}

void meetsHalf(int* to) {
  if (threadIdx.x < 16)
    __syncwarp();
  else
    __syncthreads();
  *to = 1;
}

TEST_F(Emulator, BarriersThatNobodyCanPassAreErrors) {
  launch(streams[0], 1, 32, meetsHalf, values);
  EXPECT_THROW(cudaStreamSynchronize(streams[0]), std::logic_error);
}

TEST_F(Emulator, ACapturedStepRunsWhenItIsReplayed) {
  values[0] = 1;
  values[1] = 0;
  cudaStreamBeginCapture(streams[0], cudaStreamCaptureModeThreadLocal);
  cudaEventRecord(event, streams[0]);
  cudaStreamWaitEvent(streams[1], event, 0);
  launch(streams[1], 1, 1, copy, values + 1, static_cast<const int*>(values));
  cudaEventRecord(event, streams[1]);
  cudaStreamWaitEvent(streams[0], event, 0);
  cudaGraph_t graph;
  cudaGraphExec_t step;
  ASSERT_EQ(cudaStreamEndCapture(streams[0], &graph), cudaSuccess);
  cudaGraphInstantiate(&step, graph, 0);
  cudaDeviceSynchronize();
  EXPECT_EQ(values[1], 0);
  for (int i = 2; i < 4; ++i) {
    values[0] = i;
    cudaGraphLaunch(step, streams[0]);
    cudaStreamSynchronize(streams[0]);
    EXPECT_EQ(values[1], i);
  }
  cudaGraphExecDestroy(step);
  cudaGraphDestroy(graph);
}

TEST_F(Emulator, AStreamThatDoesNotComeBackSpoilsTheCapture) {
  cudaStreamBeginCapture(streams[0], cudaStreamCaptureModeThreadLocal);
  cudaEventRecord(event, streams[0]);
  cudaStreamWaitEvent(streams[1], event, 0);
  launch(streams[1], 1, 1, set, values, 3);
  cudaGraph_t graph;
  EXPECT_EQ(cudaStreamEndCapture(streams[0], &graph), cudaErrorStreamCaptureUnjoined);
  cudaGraphDestroy(graph);
}

TEST_F(Emulator, MemoryBeginsAsNaN) {
  float* at = nullptr;
  cudaMalloc(reinterpret_cast<void**>(&at), 400);
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(std::isnan(at[i]));
  cudaFree(at);
}

TEST_F(Emulator, FailsAtTheCallThatItIsTold) {
  emulation::failCall(2, cudaErrorIllegalAddress);
  EXPECT_EQ(cudaEventRecord(event, streams[0]), cudaSuccess);
  EXPECT_EQ(cudaEventRecord(event, streams[0]), cudaErrorIllegalAddress);
  EXPECT_EQ(cudaDeviceSynchronize(), cudaErrorIllegalAddress);  // it sticks
  emulation::failCall(1, cudaErrorMemoryAllocation, true);
  void* at = nullptr;
  EXPECT_EQ(cudaMalloc(&at, 8), cudaErrorMemoryAllocation);
  EXPECT_EQ(cudaMalloc(&at, 8), cudaSuccess);
  cudaFree(at);
}

}  // namespace
}  // namespace meshplan
