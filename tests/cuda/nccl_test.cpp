// SPDX-License-Identifier: Apache-2.0
// NCCL with one rank, wherever there is a GPU: begin, split, every operation, capture, end.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "backend/comm/in_process.h"
#include "backend/cuda/cuda_device.h"
#include "backend/cuda/nccl_communicator.h"
#include "core/error.h"
#include "tests/backend/communicator_conformance.h"
#include "tests/cuda/device_communicator.h"
#include "tests/cuda/nccl_ranks.h"

#define MESHPLAN_NEEDS_NCCL()     \
  MESHPLAN_NEEDS_GPU();           \
  try {                           \
    Nccl nccl(ncclOfTests());     \
  } catch (const Error& error) {  \
    GTEST_SKIP() << error.what(); \
  }                               \
  const Nccl nccl(ncclOfTests())

namespace meshplan {
namespace {

TEST(NcclOfOneRank, KeepsThePromisesOfAllCommunicators) {
  MESHPLAN_NEEDS_NCCL();
  for (const ConformanceCheck& check : conformanceChecks()) {
    SCOPED_TRACE(check.name);
    InProcessWorld hosts(1);
    const auto world = hosts.connect(0);
    CudaContext context(0, 0);
    DeviceCommunicator comm(connectNccl(nccl, context, *world), context);
    check.run(comm);
  }
}

TEST(NcclOfOneRank, IsRepeatedWithACapturedStep) {
  MESHPLAN_NEEDS_NCCL();
  InProcessWorld hosts(1);
  const auto world = hosts.connect(0);
  CudaDevice device(0, 0);
  const auto comm = connectNccl(nccl, device.context(), *world);
  ASSERT_TRUE(comm->canCapture());
  const auto part = comm->split(3);
  constexpr int64_t kCount = 1000, kBytes = kCount * int64_t(sizeof(float));
  auto* x = static_cast<float*>(device.allocate(kBytes, "a test"));
  device.beginCapture();
  device.use(Stream::data);
  device.waitFor(Stream::compute);
  part->allReduce(x, kCount, DType::f32, ReduceOp::sum);
  device.add(x, x, kCount, DType::f32);
  device.endCapture();
  std::vector<float> values(size_t(kCount), 3);
  device.use(Stream::compute);
  device.upload(x, values.data(), kBytes);
  device.replay();
  device.replay();
  device.download(values.data(), x, kBytes);
  EXPECT_EQ(values, std::vector<float>(size_t(kCount), 12));
}

TEST(NcclOfOneRank, EndsWhenItIsAborted) {
  MESHPLAN_NEEDS_NCCL();
  InProcessWorld hosts(1);
  const auto world = hosts.connect(0);
  CudaContext context(0, 0);
  const auto comm = connectNccl(nccl, context, *world);
  const auto part = comm->split(0);
  comm->abort("the disk is full");
  try {
    part->barrier();
    FAIL() << "went on";
  } catch (const PeerError& error) {
    EXPECT_TRUE(error.gaveUp());
    EXPECT_THAT(error.what(), testing::HasSubstr("the disk is full"));
  }
}

}  // namespace
}  // namespace meshplan
