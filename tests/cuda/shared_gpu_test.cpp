// SPDX-License-Identifier: Apache-2.0
// Ranks that share a GPU keep to what all communicators promise, in the device's memory.
#include "backend/cuda/shared_gpu.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>

#include "backend/cuda/cuda_transfers.h"
#include "core/error.h"
#include "tests/backend/communicator_conformance.h"
#include "tests/cuda/device_communicator.h"
#include "tests/cuda/gpu.h"

namespace meshplan {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

void runShared(int ranks, const std::function<void(Communicator&)>& body) {
  InProcessWorld hosts(ranks);
  SharedGpuWorld world(hosts);
  runThroughGpu(
      ranks, [&](CudaContext& context) { return world.connect(context); }, body);
}

class SharedGpuConformance : public testing::TestWithParam<size_t> {};

TEST_P(SharedGpuConformance, HoldsOnOneToEightRanks) {
  MESHPLAN_NEEDS_GPU();
  for (int ranks = 1; ranks <= 8; ++ranks) {
    SCOPED_TRACE(std::to_string(ranks) + " ranks");
    runShared(ranks, conformanceChecks()[GetParam()].run);
  }
}

INSTANTIATE_TEST_SUITE_P(, SharedGpuConformance,
                         testing::Range<size_t>(0, conformanceChecks().size()),
                         [](const auto& info) { return conformanceChecks()[info.param].name; });

/// What the first failing rank threw; every rank must throw Error(runtime).
std::string failure(int ranks, const std::function<void(Communicator&)>& body) {
  try {
    runShared(ranks, [&](Communicator& comm) {
      try {
        body(comm);
        ADD_FAILURE() << "rank " << comm.rank() << " went on";
      } catch (const Error& e) {
        EXPECT_EQ(e.kind(), ErrorKind::runtime) << e.what();
        throw;
      }
    });
  } catch (const Error& e) {
    return e.what();
  }
  return "no error";
}

TEST(SharedGpu, CallsThatDifferAreNamed) {
  MESHPLAN_NEEDS_GPU();
  const std::string what = failure(3, [](Communicator& comm) {
    std::vector<float> x(24);
    if (comm.rank() == 2)
      comm.allReduce(x.data(), 8, DType::f32, ReduceOp::sum);
    else
      comm.reduceScatter(x.data(), x.data(), 4, DType::f32);
    comm.barrier();
  });
  EXPECT_THAT(what, AllOf(HasSubstr("rank 2"), HasSubstr("all-reduce of 8 elements of fp32"),
                          HasSubstr("reduce-scatter of 4 elements of fp32")));
}

TEST(SharedGpu, AReceiveOfAnotherSizeNamesBoth) {
  MESHPLAN_NEEDS_GPU();
  const std::string what = failure(2, [](Communicator& comm) {
    char x[64] = {};
    if (comm.rank() == 0)
      comm.send(x, 10, 1);
    else
      comm.receive(x, 12, 0);
    comm.barrier();
  });
  EXPECT_THAT(what, AllOf(HasSubstr("receive of 12 bytes from rank 0"), HasSubstr("10 bytes")));
}

TEST(SharedGpu, ARankThatGivesUpWakesAll) {
  MESHPLAN_NEEDS_GPU();
  for (const int who : {0, 2}) {
    const std::string what = failure(4, [who](Communicator& comm) {
      const auto half = comm.split(comm.rank() / 2);
      float x = 0;
      if (comm.rank() == who) comm.abort("the disk is full");
      if (comm.rank() == 1) comm.receive(&x, 1, 0);
      if (comm.rank() == 3) half->allReduce(&x, 1, DType::f32, ReduceOp::sum);
      comm.barrier();
    });
    EXPECT_THAT(what,
                AllOf(HasSubstr("rank " + std::to_string(who)), HasSubstr("the disk is full")));
  }
}

TEST(SharedGpu, RanksThatWaitForEachOtherAreTold) {
  MESHPLAN_NEEDS_GPU();
  const std::string what = failure(2, [](Communicator& comm) {
    char x = 0;
    comm.receive(&x, 1, 1 - comm.rank());
  });
  EXPECT_THAT(what, AllOf(HasSubstr("no rank can go on"),
                          HasSubstr("rank 0 waits in receive of 1 bytes from rank 1")));
}

TEST(SharedGpu, ARankThatThrowsEndsAll) {
  MESHPLAN_NEEDS_GPU();
  const auto body = [](Communicator& comm) {
    comm.barrier();
    if (comm.rank() == 1) throw Error(ErrorKind::input, "a broken file");
    EXPECT_THROW(comm.barrier(), PeerError);
  };
  EXPECT_THROW(runShared(3, body), Error);
}

std::vector<float> brought(CudaContext& context, const float* from, int64_t count) {
  std::vector<float> host(static_cast<size_t>(count));
  downloadBytes(context, host.data(), from, count * int64_t(sizeof(float)));
  return host;
}

/// Rows of two ranks sum on one stream while columns sum on another and messages pass on a third;
/// the host waits for nothing until the end.
TEST(SharedGpu, GroupsOnDifferentStreamsGoOnTogether) {
  MESHPLAN_NEEDS_GPU();
  constexpr int64_t kCount = 3000, kBytes = kCount * int64_t(sizeof(float));
  constexpr int kRounds = 12;
  InProcessWorld hosts(4);
  SharedGpuWorld world(hosts);
  runOnGpu(
      4, [&](CudaContext& context) { return world.connect(context); },
      [&](Communicator& comm, CudaContext& context) {
        const auto row = comm.split(comm.rank() / 2), column = comm.split(comm.rank() % 2);
        float* data[3];
        for (int s = 0; s < 3; ++s) {
          data[s] = static_cast<float*>(context.allocate(kBytes, "a test"));
          const std::vector<float> ones(size_t(kCount), float(1 + comm.rank()));
          context.use(static_cast<Stream>(s));
          uploadBytes(context, data[s], ones.data(), kBytes);
        }
        for (int round = 0; round < kRounds; ++round) {
          context.use(static_cast<Stream>(0));
          row->allReduce(data[0], kCount, DType::f32, ReduceOp::sum);
          context.use(static_cast<Stream>(1));
          column->allReduce(data[1], kCount, DType::f32, ReduceOp::max);
          context.use(static_cast<Stream>(2));
          comm.send(data[2], kBytes, (comm.rank() + 1) % 4);
          comm.receive(data[2], kBytes, (comm.rank() + 3) % 4);
        }
        const float sum = comm.rank() < 2 ? 3 : 7, most = comm.rank() % 2 == 0 ? 3 : 4;
        const std::vector<float> expected = {sum * float(1 << (kRounds - 1)), most,
                                             float(1 + comm.rank())};
        for (int s = 0; s < 3; ++s) {
          context.use(static_cast<Stream>(s));
          EXPECT_EQ(brought(context, data[s], kCount),
                    std::vector<float>(size_t(kCount), expected[size_t(s)]))
              << "stream " << s << " of rank " << comm.rank();
        }
      });
}

TEST(SharedGpu, ASenderGoesOnWithoutItsReceiver) {
  MESHPLAN_NEEDS_GPU();
  constexpr int kMessages = 20;
  InProcessWorld hosts(2);
  SharedGpuWorld world(hosts);
  runOnGpu(
      2, [&](CudaContext& context) { return world.connect(context); },
      [&](Communicator& comm, CudaContext& context) {
        auto* x = static_cast<float*>(context.allocate(1024 * sizeof(float), "a test"));
        for (int i = 0; i < kMessages; ++i) {
          const int64_t count = 50 * (i + 1), bytes = count * int64_t(sizeof(float));
          const std::vector<float> sent(static_cast<size_t>(count), static_cast<float>(i));
          if (comm.rank() == 0) {
            uploadBytes(context, x, sent.data(), bytes);
            comm.send(x, bytes, 1);
          } else {
            comm.receive(x, bytes, 0);
            EXPECT_EQ(brought(context, x, count), sent);
          }
          if (i == kMessages / 2) comm.barrier();  // from here on buffers are used again
        }
      });
}

}  // namespace
}  // namespace meshplan
