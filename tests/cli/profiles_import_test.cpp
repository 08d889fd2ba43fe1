// SPDX-License-Identifier: Apache-2.0
// meshplan profiles import: from other tools' files into a store.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "profiles/profile_store.h"
#include "tests/profiles/kineto_text.h"
#include "tests/run_meshplan.h"
#include "tests/scratch_folder.h"

namespace meshplan {
namespace {

using testing::HasSubstr;

class ProfilesImport : public testing::Test {
 protected:
  std::string trace() const {
    KinetoText text;
    const int mm =
        text.call("aten::mm", 10, 50,
                  typed("[[512, 1024], [1024, 4096]]", R"(["c10::BFloat16", "c10::BFloat16"])"));
    text.kernel("gemm", mm, 30);
    text.kernel("topk", text.call("aten::topk", 70, 10, ""), 10);
    return folder_.write("rank0.json", text.text());
  }
  std::string log() const {
    return folder_.write("all_reduce.log",
                         "# Collective test starting: all_reduce_perf\n"
                         "# nThread 1 nGpus 2 minBytes 1024\n"
                         "#  Rank  0 Group  0 Pid 1 on n device  0 [0x0f] NVIDIA H200\n"
                         "#  Rank  1 Group  0 Pid 1 on n device  1 [0x1f] NVIDIA H200\n"
                         "#  size count type redop root time algbw busbw #wrong time algbw busbw "
                         "#wrong\n"
                         "1024 256 float sum -1 10 1 1 0 12 1 1 0\n");
  }
  CommandResult import(const std::string& arguments) const {
    return runMeshplan("profiles import --profiles " + store_ + " " + arguments);
  }

  ScratchFolder folder_;
  std::string store_ = folder_.file("profiles.db");
};

TEST_F(ProfilesImport, FilesOfSeveralToolsGoIntoTheStoreTogether) {
  const CommandResult r = import(trace() + " " + log());
  ASSERT_EQ(r.exitCode, 0) << r.err;
  EXPECT_THAT(r.out, HasSubstr("3 operator times and 1 collective times from 3 timings"));
  EXPECT_THAT(r.out, HasSubstr("aten::topk"));
  EXPECT_THAT(r.out, HasSubstr("graphs have no such operator"));
  const ProfileStore store(store_, ProfileStore::Access::read);
  const auto operators = store.operators("H100-SXM");
  ASSERT_EQ(operators.size(), 3u);
  for (const OperatorMeasurement& m : operators) {
    EXPECT_EQ(m.source.origin, Origin::imported);
    EXPECT_NEAR(m.samples.median.value, 30e-6, 1e-12);
    EXPECT_EQ(m.types, "bf16[512,1024] bf16[1024,4096] -> bf16[512,4096]");
  }
  const auto collectives = store.collectives("H200");
  ASSERT_EQ(collectives.size(), 1u);
  EXPECT_EQ(collectives[0].bytes.value, 1024);
  EXPECT_EQ(collectives[0].samples.count, 2);
}

TEST_F(ProfilesImport, ADryRunShowsTheSameAndWritesNothing) {
  const CommandResult dry = import("--dry-run " + trace());
  ASSERT_EQ(dry.exitCode, 0) << dry.err;
  EXPECT_THAT(dry.out, HasSubstr("would take: 3 operator times and 0 collective times"));
  EXPECT_THAT(dry.out, HasSubstr("75.0 % of the time"));
  EXPECT_FALSE(std::filesystem::exists(store_));
}

TEST_F(ProfilesImport, OneBadFileStoresNothingOfAny) {
  const std::string bad = folder_.write("cut.json", "{\"traceEvents\": [{\"ph\"");
  const CommandResult r = import(log() + " " + bad);
  EXPECT_EQ(r.exitCode, 3) << r.err;
  EXPECT_THAT(r.err, HasSubstr("cut.json: line 1: not valid JSON"));
  EXPECT_FALSE(std::filesystem::exists(store_));
  EXPECT_EQ(import(folder_.file("missing.json")).exitCode, 3);
  EXPECT_EQ(import("--format kineto " + log()).exitCode, 3);
  EXPECT_EQ(import("--format csv " + log()).exitCode, 2);
  EXPECT_EQ(import("").exitCode, 2);
}

TEST_F(ProfilesImport, TheDeviceCanBeNamed) {
  ASSERT_EQ(import("--device a100 " + trace()).exitCode, 0);
  EXPECT_EQ(ProfileStore(store_, ProfileStore::Access::read).operators("A100-SXM-80GB").size(), 3u);
}

}  // namespace
}  // namespace meshplan
