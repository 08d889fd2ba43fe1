// SPDX-License-Identifier: Apache-2.0
#include "profiles/nccl_tests_import.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/error.h"
#include "profiles/nccl_tests_run.h"
#include "tests/damage.h"
#include "tests/scratch_folder.h"

namespace meshplan {
namespace {

using testing::HasSubstr;

constexpr const char* kHeading =
    "#                                                              out-of-place            "
    "           in-place          \n"
    "#       size         count      type   redop    root     time   algbw   busbw #wrong     time "
    "  algbw   busbw #wrong\n"
    "#        (B)    (elements)                               (us)  (GB/s)  (GB/s)            (us) "
    " (GB/s)  (GB/s)       \n";

/// The lists of ranks as `nodes` hosts of `perNode` devices print them.
std::string ranks(int nodes, int perNode, const std::string& device = "NVIDIA H100 80GB HBM3") {
  std::string text = "# Using devices\n";
  for (int r = 0; r < nodes * perNode; ++r)
    text +=
        fmt::format("#  Rank {:2} Group  0 Pid {:6} on     node{} device {:2} [0000:1{}:00] {}\n",
                    r, 1000 + r, r / perNode, r % perNode, r % perNode, device);
  return text;
}

std::string start(const std::string& program) {
  return "# nccl-tests version 2.18.3 nccl-headers=22907 nccl-library=22703\n"
         "# Collective test starting: " +
         program +
         "\n# nThread 1 nGpus 1 minBytes 1024 maxBytes 8589934592 step: 2(factor) warmup iters: 1 "
         "iters: 20 agg iters: 1 validation: 1 graph: 0 unalign: 0\n#\n";
}

std::string row(int64_t size, const std::string& redop, int root, double out, double in) {
  return fmt::format(
      "{:12}  {:12}  {:>8}  {:>6}  {:>6}  {:7.2f}  {:6.2f}  {:6.2f}  {:6}  {:7.2f}  "
      "{:6.2f}  {:6.2f}  {:6}\n",
      size, size / 4, "float", redop, root, out, 1.0, 1.0, 0, in, 1.0, 1.0, 0);
}

const std::string kEnd = "# Out of bounds values : 0 OK\n# Avg bus bandwidth    : 120.5 \n#\n";

Imported import(const std::string& text, const ImportOptions& options = {},
                const std::string& file = "log.txt") {
  ImportCollector collector;
  importNcclTestsText(text, {Origin::imported, file, 7}, options, collector);
  return collector.finish();
}

std::string errorOf(const std::string& text) {
  try {
    import(text);
  } catch (const Error& e) {
    return e.what();
  }
  return "no error";
}

TEST(NcclTests, ARunGivesOneRowPerSizeWithBothTimesAsSamples) {
  const Imported got = import(start("all_reduce_perf") + ranks(2, 4) + kHeading +
                              row(1024, "sum", -1, 10, 12) + row(2048, "sum", -1, 20, 20) + kEnd);
  ASSERT_EQ(got.collectives.size(), 2u);
  const CollectiveMeasurement& m = got.collectives[0];
  EXPECT_EQ(m.environment.device, "H100-SXM");
  EXPECT_EQ(m.environment.libraries, "nccl 2.27.3, nccl-tests 2.18.3");
  EXPECT_EQ(m.source.origin, Origin::imported);
  EXPECT_EQ(m.source.text, "log.txt");
  EXPECT_EQ(m.transport, "nccl");
  EXPECT_EQ(m.kind, CollectiveKind::allReduce);
  EXPECT_EQ(m.bytes.value, 1024);
  EXPECT_EQ(m.ranks, 8);
  EXPECT_EQ(m.nodes, 2);
  EXPECT_EQ(m.groups, 1);
  EXPECT_EQ(m.samples.count, 2);
  EXPECT_NEAR(m.samples.median.value, 11e-6, 1e-12);
  EXPECT_EQ(got.taken, 4);
  EXPECT_NEAR(got.takenTime.value, 62e-6, 1e-12);
  EXPECT_TRUE(got.leftOut.empty());
}

/// S as core/collective.h defines it, from the size that each program prints.
TEST(NcclTests, SizesOfEveryCollectiveBecomeTheWholeTensor) {
  const struct {
    const char* program;
    CollectiveKind kind;
    int64_t bytes, ranks, nodes, groups;
  } cases[] = {{"all_reduce_perf", CollectiveKind::allReduce, 4096, 8, 2, 1},
               {"/opt/all_gather_perf_mpi", CollectiveKind::allGather, 4096, 8, 2, 1},
               {"reduce_scatter_perf", CollectiveKind::reduceScatter, 4096, 8, 2, 1},
               {"alltoall_perf", CollectiveKind::allToAll, 8 * 4096, 8, 2, 1},
               {"broadcast_perf", CollectiveKind::broadcast, 4096, 8, 2, 1},
               {"sendrecv_perf", CollectiveKind::sendReceive, 4096, 2, 2, 1}};
  for (const auto& c : cases) {
    const Imported got =
        import(start(c.program) + ranks(2, 4) + kHeading + row(4096, "none", -1, 10, 10) + kEnd);
    ASSERT_EQ(got.collectives.size(), 1u) << c.program;
    const CollectiveMeasurement& m = got.collectives[0];
    EXPECT_EQ(m.kind, c.kind) << c.program;
    EXPECT_EQ(m.bytes.value, c.bytes) << c.program;
    EXPECT_EQ(m.ranks, c.ranks) << c.program;
    EXPECT_EQ(m.nodes, c.nodes) << c.program;
    EXPECT_EQ(m.groups, c.groups) << c.program;
  }
}

/// The bytes on the wire that S stands for give the bus bandwidth that nccl-tests prints.
TEST(NcclTests, WireBytesPerSecondAreTheBusBandwidth) {
  const int64_t size = 1 << 20, n = 8;
  const double part = 7.0 / 8, seconds = 10e-6, algbw = static_cast<double>(size) / seconds;
  const struct {
    const char* program;
    double factor;
  } cases[] = {{"all_reduce_perf", 2 * part}, {"all_gather_perf", part},
               {"reduce_scatter_perf", part}, {"alltoall_perf", part},
               {"broadcast_perf", 1},         {"sendrecv_perf", 1}};
  for (const auto& c : cases) {
    const Imported got =
        import(start(c.program) + ranks(1, n) + kHeading + row(size, "none", -1, 10, 10));
    const CollectiveMeasurement& m = got.collectives.at(0);
    EXPECT_NEAR(wireBytes(m.kind, static_cast<double>(m.bytes.value), m.ranks) / seconds,
                algbw * c.factor, 1)
        << c.program;
  }
}

TEST(NcclTests, SeveralRunsInOneFileAreToldApart) {
  const Imported got = import(start("all_reduce_perf") + ranks(1, 4) + kHeading +
                              row(1024, "sum", -1, 10, 10) + kEnd + start("all_gather_perf") +
                              ranks(1, 2) + kHeading + row(1024, "none", -1, 5, 5) + kEnd);
  ASSERT_EQ(got.collectives.size(), 2u);
  EXPECT_EQ(got.collectives[0].kind, CollectiveKind::allReduce);
  EXPECT_EQ(got.collectives[0].ranks, 4);
  EXPECT_EQ(got.collectives[1].kind, CollectiveKind::allGather);
  EXPECT_EQ(got.collectives[1].ranks, 2);
}

TEST(NcclTests, RepeatedRunsAreMoreSamplesOfTheSameRow) {
  const std::string run = start("all_reduce_perf") + ranks(1, 4) + kHeading;
  const Imported got = import(run + row(1024, "sum", -1, 10, 11) + run +
                              row(1024, "sum", -1, 12, 13) + run + row(1024, "sum", -1, 14, 900));
  ASSERT_EQ(got.collectives.size(), 1u);
  EXPECT_EQ(got.collectives[0].samples.count, 6);
  EXPECT_EQ(got.collectives[0].samples.outliers, 1);
  EXPECT_NEAR(got.collectives[0].samples.median.value, 12.5e-6, 1e-12);
}

TEST(NcclTests, GroupsThatRunSideBySideAreCounted) {
  std::string list = "# Using devices\n";
  for (int r = 0; r < 8; ++r)
    list += fmt::format("#  Rank {:2} Group {:2} Pid 1 on n{} device {} [0x0f] NVIDIA H200\n", r,
                        r % 4, r / 4, r % 4);
  const Imported got =
      import(start("all_reduce_perf") + list + kHeading + row(1024, "sum", -1, 10, 10));
  EXPECT_EQ(got.collectives.at(0).ranks, 2);
  EXPECT_EQ(got.collectives.at(0).nodes, 2);
  EXPECT_EQ(got.collectives.at(0).groups, 4);
  EXPECT_EQ(got.collectives.at(0).environment.device, "H200");
}

constexpr const char* kOldRun =
    "# nThread 1 nGpus 2 minBytes 8 maxBytes 134217728 step: 2(factor) warmup iters: 5 iters: 20 "
    "validation: 1\n#\n# Using devices\n"
    "#   Rank  0 Pid  31032 on dgx1v device  0 [0x06] Tesla V100-SXM2-16GB\n"
    "#   Rank  1 Pid  31032 on dgx1v device  1 [0x07] Tesla V100-SXM2-16GB\n#\n";

TEST(NcclTests, OutputOfEarlyVersionsIsRead) {
  const std::string heading =
      "#       size         count      type   redop     time   algbw   busbw  error     time   "
      "algbw   busbw  error\n";
  const Imported got = import(
      "all_reduce_perf -b 8 -e 128M -f 2 -g 2\n" + std::string(kOldRun) + heading +
      "    33554432       8388608     float     sum    754.2   44.49   44.49  2e-07    751.0   "
      "44.68   44.68  1e-07\n");
  ASSERT_EQ(got.collectives.size(), 1u);
  EXPECT_EQ(got.collectives[0].environment.device, "V100-SXM2-16GB");
  EXPECT_EQ(got.collectives[0].environment.libraries, "nccl");
  EXPECT_EQ(got.collectives[0].kind, CollectiveKind::allReduce);
  EXPECT_EQ(got.collectives[0].samples.count, 2);
}

TEST(NcclTests, ACollectiveWithoutANameIsKnownByItsBandwidthsOrLeftOut) {
  const auto kindOf = [](const char* redop, int root, double algbw, double busbw) {
    const Imported got =
        import(std::string(kOldRun) + kHeading +
               fmt::format("1048576 262144 float {} {} 10 {:.2f} {:.2f} 0 10 {:.2f} {:.2f} 0\n",
                           redop, root, algbw, busbw, algbw, busbw));
    return got.collectives.empty() ? CollectiveKind::none : got.collectives[0].kind;
  };
  EXPECT_EQ(kindOf("sum", -1, 50, 50), CollectiveKind::allReduce);  // two ranks
  EXPECT_EQ(kindOf("sum", -1, 50, 25), CollectiveKind::reduceScatter);
  EXPECT_EQ(kindOf("none", 0, 50, 50), CollectiveKind::broadcast);
  EXPECT_EQ(kindOf("none", -1, 50, 50), CollectiveKind::sendReceive);
  EXPECT_EQ(kindOf("none", -1, 50, 25), CollectiveKind::none);  // all-gather or all-to-all
  const Imported named = import(std::string(kOldRun) + kHeading + row(1024, "none", -1, 1, 1), {},
                                "/data/all_gather-2gpu.log");
  EXPECT_EQ(named.collectives.at(0).kind, CollectiveKind::allGather);
}

TEST(NcclTests, ExtraColumnsAndPrefixesAndForeignLinesDoNotMatter) {
  const std::string heading =
      "#       size         count      type   redop    root     time   algbw   busbw #wrong  i_min "
      "  i_max   i_p99   i_cv%   time   algbw   busbw  #wrong   i_min   i_max   i_p99   i_cv%  "
      "timestamp\n";
  const std::string line =
      "1024 256 float sum -1 10.00 1.00 1.00 N/A 9.1 12.0 11.9 3.00 14.00 1.00 1.00 N/A 9 12 12 "
      "3.1 "
      "2025-11-02 10:11:12\n";
  std::string text;
  for (const std::string& part :
       {start("all_reduce_perf"), ranks(1, 2),
        std::string(
            "node0:1:1 [0] NCCL INFO Bootstrap : Using eth0\nNCCL version 2.20.5+cuda12.4\n"),
        heading, line})
    for (size_t begin = 0, end; begin < part.size(); begin = end + 1) {
      end = part.find('\n', begin);
      text += "[1,0]<stdout>:" + part.substr(begin, end - begin) + "\n";
    }
  const Imported got = import(text);
  ASSERT_EQ(got.collectives.size(), 1u);
  EXPECT_EQ(got.collectives[0].samples.count, 2);
  EXPECT_NEAR(got.collectives[0].samples.median.value, 12e-6, 1e-12);
  EXPECT_EQ(got.collectives[0].environment.libraries, "nccl 2.20.5, nccl-tests 2.18.3");
}

TEST(NcclTests, WhatCannotBeUsedIsCountedWithItsReason) {
  const std::string run = ranks(1, 2) + kHeading;
  const std::string bad = "1024 256 float sum -1 10.00 1.00 1.00 3 14.00 1.00 1.00 0\n";
  const Imported got = import(start("all_reduce_perf") + run + bad + row(0, "sum", -1, 1, 1) +
                              start("reduce_perf") + run + row(1024, "sum", 0, 5, 5));
  EXPECT_EQ(got.taken, 1);
  std::string left;
  for (const LeftOut& l : got.leftOut)
    left += fmt::format("{} {}: {} ({:.0f} us)\n", l.count, l.what, l.reason, l.time.value * 1e6);
  EXPECT_EQ(left,
            "2 reduce: no plan has this collective (10 us)\n"
            "1 all_reduce: wrong results (10 us)\n"
            "2 all_reduce: no bytes are sent (2 us)\n");
}

TEST(NcclTests, TheDeviceIsTheUsersWordOrTheFilesWithADoubt) {
  const std::string text = start("all_reduce_perf") + ranks(1, 2, "NVIDIA H800") + kHeading +
                           row(1024, "sum", -1, 10, 10);
  const Imported own = import(text);
  EXPECT_EQ(own.collectives.at(0).environment.device, "NVIDIA H800");
  ASSERT_EQ(own.notes.size(), 1u);
  EXPECT_THAT(own.notes[0], HasSubstr("no device of the catalogue is 'NVIDIA H800'"));
  const Imported told = import(text, {"h100_sxm"});
  EXPECT_EQ(told.collectives.at(0).environment.device, "H100-SXM");
  EXPECT_TRUE(told.notes.empty());
}

TEST(NcclTests, BrokenFilesNameFileLineAndRemedy) {
  const std::string good =
      start("all_reduce_perf") + ranks(1, 2) + kHeading + row(1024, "sum", -1, 10, 10);
  EXPECT_EQ(errorOf(good + "        2048           512     float\n"),
            "log.txt: line 12: 3 columns where the heading has 13 (the row is cut off or not one "
            "of nccl-tests; remove it)");
  EXPECT_THAT(errorOf(start("x_perf") + kHeading + row(1024, "sum", -1, 10, 10)),
              HasSubstr("log.txt: line 8: a row without a list of ranks"));
  EXPECT_THAT(errorOf("hello\n"), HasSubstr("log.txt: holds no row of nccl-tests"));
  EXPECT_THAT(errorOf(start("x_perf") + "#  Rank  0 Group  0 Pid 12 on\n"),
              HasSubstr("log.txt: line 5: a rank without host or device"));
  EXPECT_THAT(errorOf(good + "1024 256 float sum -1 nan 1 1 0 1 1 1 0\n"),
              HasSubstr("'nan' is no time"));
}

TEST(NcclTests, HeadingsAndRanksInAnotherOrderAreRefusedOrPassedOver) {
  const std::string row = "1024 256 float sum -1 10 1 1 0 12 1 1 0\n";
  const std::string before = start("all_reduce_perf") + ranks(1, 2);
  EXPECT_THAT(errorOf(before +
                      "#  size count type redop root time busbw #wrong x time algbw busbw "
                      "#wrong\n" +
                      row),
              HasSubstr("holds no row of nccl-tests"));
  EXPECT_THAT(errorOf(before + "#  size time algbw busbw time algbw busbw redop root\n"
                               "1024 10 1 1 x y\n"),
              HasSubstr("a column of the heading is missing"));
  EXPECT_THAT(errorOf(before + "#  Rank  2 Pid 1 on n device 0 [0x0f] H200 Group\n" + kHeading),
              HasSubstr("holds no row of nccl-tests"));
}

TEST(NcclTests, DamagedTextIsReadOrRefused) {
  const std::string text = start("all_reduce_perf") + ranks(1, 2) + kHeading +
                           row(1024, "sum", -1, 10, 12) + row(2048, "sum", -1, 20, 20) + kEnd;
  EXPECT_GT(refusedDamage(text, [](const std::string& damaged) { import(damaged, {"H100-SXM"}); }),
            500);
}

const char* const kJson = R"({"version":2,"start_time":"2025-10-01 12:00:00",
 "args":["./build/reduce_scatter_perf","-g","2","-J","out.json"],"env":["HOME=\/root"],
 "nccl_version":22803,"config":{"nthreads":1,"ngpus":2,"minimum_bytes":1024,"maximum_bytes":2048,
 "iterations":20,"blocking_collectives":"false","devices":[
  {"rank":0,"group":0,"pid":3,"hostname":"a","device":0,"device_hex":"0000:06:00","device_info":"NVIDIA A100-SXM4-80GB"},
  {"rank":2,"group":0,"pid":4,"hostname":"b","device":0,"device_hex":"0000:06:00","device_info":"NVIDIA A100-SXM4-80GB"}]},
 "results":[{"size":1024,"count":256,"type":"float","redop":"sum","root":"    -1",
   "out_of_place":{"time":10.0,"alg_bw":1.0,"bus_bw":0.75,"nwrong":0.0},
   "in_place":{"time":12.0,"alg_bw":1.0,"bus_bw":0.75,"nwrong":null},
   "in_place_per_iter":{"times_us":[11.0,12.0,13.0]},"actual_iterations":20},
  {"size":2048,"count":512,"type":"float","redop":"sum","root":"    -1","out_of_place":null,
   "in_place":{"time":20.0,"alg_bw":1.0,"bus_bw":0.75,"nwrong":2.0}}],
 "average_bus_bandwidth":{"bandwidth":1.0,"okay":"unchecked"}})";

Imported importJson(const std::string& text, const ImportOptions& options = {}) {
  ImportCollector collector;
  importNcclTestsJson(text, {Origin::imported, "out.json", 7}, options, collector);
  return collector.finish();
}

TEST(NcclTests, JsonGivesTheSameRowsWithSingleTimings) {
  const Imported got = importJson(kJson);
  ASSERT_EQ(got.collectives.size(), 1u);
  const CollectiveMeasurement& m = got.collectives[0];
  EXPECT_EQ(m.kind, CollectiveKind::reduceScatter);
  EXPECT_EQ(m.bytes.value, 1024);
  EXPECT_EQ(m.ranks, 4);  // two devices of each process
  EXPECT_EQ(m.nodes, 2);
  EXPECT_EQ(m.environment.device, "A100-SXM-80GB");
  EXPECT_EQ(m.environment.libraries, "nccl 2.28.3");
  EXPECT_EQ(m.samples.count, 4);
  EXPECT_EQ(got.leftOut.at(0).reason, "wrong results");
}

TEST(NcclTests, DamagedJsonIsReadOrRefused) {
  EXPECT_GT(refusedDamage(kJson, [](const std::string& t) { importJson(t, {"A100-SXM-80GB"}); }),
            1000);
}

TEST(NcclTests, FilesAreToldApartByTheirFirstBytes) {
  const ScratchFolder folder;
  EXPECT_EQ(importFormatOf(folder.write("a", "SQLite format 3" + std::string(1, '\0'))),
            ImportFormat::nsys);
  EXPECT_EQ(importFormatOf(folder.write("b", "\x1f\x8b\x08")), ImportFormat::kineto);
  EXPECT_EQ(importFormatOf(folder.write("c", "\n{\n \"schemaVersion\": 1, \"traceEvents\": []}")),
            ImportFormat::kineto);
  EXPECT_EQ(importFormatOf(folder.write("d", "[{\"ph\":\"X\"}]")), ImportFormat::kineto);
  EXPECT_EQ(importFormatOf(folder.write("e", kJson)), ImportFormat::ncclTests);
  EXPECT_EQ(importFormatOf(folder.write("f", "[1,0]<stdout>:# nThread 1")),
            ImportFormat::ncclTests);
  ImportCollector collector;
  importNcclTests(folder.file("e"), {}, collector);
  const Imported got = collector.finish();
  EXPECT_EQ(got.collectives.at(0).source.text, folder.file("e"));
  EXPECT_GT(got.collectives.at(0).source.time, 0);
}

TEST(NcclTests, VersionCodesReadAsVersions) {
  for (const auto& [code, text] :
       {std::pair{2708, "2.7.8"}, {21805, "2.18.5"}, {22703, "2.27.3"}, {30001, "3.0.1"}})
    EXPECT_EQ(ncclVersionText(code), text);
}

}  // namespace
}  // namespace meshplan
