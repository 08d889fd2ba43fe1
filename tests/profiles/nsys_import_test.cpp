// SPDX-License-Identifier: Apache-2.0
#include "profiles/nsys_import.h"

#include <SQLiteCpp/SQLiteCpp.h>
#include <SQLiteCpp/VariadicBind.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/error.h"
#include "profiles/operator_form.h"
#include "tests/damage.h"
#include "tests/scratch_folder.h"

namespace meshplan {
namespace {

using testing::HasSubstr;

constexpr int64_t kProcess = int64_t{42} << 24, kThread = kProcess + 7;

/// An export as Nsight Systems writes it, with what a test puts into it.
class Export {
 public:
  explicit Export(const std::string& path, bool early = false) : path_(path), early_(early) {
    SQLite::Database database = open();
    database.exec("CREATE TABLE StringIds (id INTEGER NOT NULL PRIMARY KEY, value TEXT NOT NULL)");
    database.exec(
        fmt::format("CREATE TABLE CUPTI_ACTIVITY_KIND_KERNEL (start INTEGER, \"end\" "
                    "INTEGER, deviceId INTEGER, streamId INTEGER, correlationId INTEGER, "
                    "{}demangledName INTEGER, shortName INTEGER)",
                    early ? "" : "globalPid INTEGER, "));
    database.exec(
        "CREATE TABLE CUPTI_ACTIVITY_KIND_RUNTIME (start INTEGER, \"end\" INTEGER, "
        "globalTid INTEGER, correlationId INTEGER, nameId INTEGER)");
    database.exec(
        fmt::format("CREATE TABLE NVTX_EVENTS (start INTEGER, \"end\" INTEGER, eventType "
                    "INTEGER, text TEXT, globalTid INTEGER{})",
                    early ? "" : ", textId INTEGER, jsonText TEXT"));
    if (!early)
      database.exec(
          "CREATE TABLE TARGET_INFO_GPU (id INTEGER, name TEXT, totalMemory INTEGER, "
          "smCount INTEGER)");
    if (!early)
      database.exec(
          "INSERT INTO TARGET_INFO_GPU VALUES (0, 'NVIDIA A100-SXM4-80GB', 85097971712, "
          "108)");
  }

  SQLite::Database open() const {
    return SQLite::Database(path_, SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE);
  }

  /// A range of NVTX; every other text is kept in StringIds where the version does that.
  void range(const std::string& text, int64_t start, int64_t end, const std::string& json = "",
             int64_t thread = kThread) {
    SQLite::Database database = open();
    if (early_) {
      SQLite::Statement insert(database, "INSERT INTO NVTX_EVENTS VALUES (?, ?, 59, ?, ?)");
      SQLite::bind(insert, start, end, text, thread);
      insert.exec();
      return;
    }
    const bool byId = next_ % 2 == 0;
    SQLite::Statement insert(database, "INSERT INTO NVTX_EVENTS VALUES (?, ?, 59, ?, ?, ?, ?)");
    insert.bind(1, start);
    insert.bind(2, end);
    if (!byId) insert.bind(3, text);
    insert.bind(4, thread);
    if (byId) insert.bind(5, stringId(database, text));
    if (!json.empty()) insert.bind(6, json);
    insert.exec();
    ++next_;
  }

  /// A kernel launched at `at` that ran `nanoseconds`.
  void kernel(const std::string& name, int64_t at, int64_t nanoseconds, int64_t thread = kThread) {
    SQLite::Database database = open();
    const int64_t id = stringId(database, name), correlation = ++correlation_;
    database.exec(fmt::format("INSERT INTO CUPTI_ACTIVITY_KIND_RUNTIME VALUES ({}, {}, {}, {}, 0)",
                              at, at + 2, thread, correlation));
    const std::string process = early_ ? "" : fmt::format("{}, ", thread >> 24 << 24);
    database.exec(
        fmt::format("INSERT INTO CUPTI_ACTIVITY_KIND_KERNEL VALUES ({}, {}, 0, 7, {}, {}{}, {})",
                    at + 1000, at + 1000 + nanoseconds, correlation, process, id, id));
  }

 private:
  int64_t stringId(SQLite::Database& database, const std::string& text) {
    SQLite::Statement insert(database, "INSERT INTO StringIds VALUES (?, ?)");
    SQLite::bind(insert, ++string_, text);
    insert.exec();
    return string_;
  }

  std::string path_;
  bool early_;
  int64_t next_ = 0, string_ = 0, correlation_ = 0;
};

void addLinear(Export& e, int64_t at) {
  e.range("aten::linear, seq = 1, op_id = 3, sizes = [[4, 16, 64], [128, 64], [128]]", at,
          at + 900);
  e.range(
      "aten::addmm, seq = 3, op_id = 5, sizes = [[128], [64, 64], [64, 128], [], []], "
      "input_op_ids = [(1,0)]",
      at + 100, at + 800);
  e.kernel("ampere_bf16_s16816gemm_bf16_128x64_ldg8_f2f_stages_64x3_nn", at + 200, 7000);
}

class NsysImport : public testing::Test {
 protected:
  NsysImport() : path_(folder_.file("report.sqlite")) {}
  Imported import(const ImportOptions& options = {}) {
    ImportCollector collector;
    importNsys(path_, options, collector);
    return collector.finish();
  }
  std::string error() {
    try {
      import();
    } catch (const Error& e) {
      return e.what();
    }
    return "no error";
  }

  ScratchFolder folder_;
  std::string path_;
};

double microseconds(const Imported& got, const OperatorForm& form, Precision precision) {
  const uint64_t key = workKey(worksOf(form, precision, storageDType(precision)).forward.work);
  for (const OperatorMeasurement& m : got.operators)
    if (workKey(m.work) == key) return m.samples.median.value * 1e6;
  return -1;
}

using Role = OperatorForm::Role;
const OperatorForm kLinear{
    "Linear", {}, {{{4, 16, 64}}, {{64, 128}, Role::parameter}, {{128}, Role::parameter}}};

TEST_F(NsysImport, KernelsBelongToTheRangesAroundTheirLaunch) {
  Export e(path_);
  addLinear(e, 1000);
  e.range("aten::relu, op_id = 9, sizes = [[4, 16, 128]]", 3000, 3100);
  e.kernel("vectorized_elementwise_kernel<4, relu<c10::BFloat16>>", 3050, 2500);
  e.kernel("void at::native::copy()", 5000, 1500);
  const Imported got = import();
  EXPECT_DOUBLE_EQ(microseconds(got, kLinear, Precision::bf16), 7);
  EXPECT_DOUBLE_EQ(microseconds(got, {"Relu", {}, {{{4, 16, 128}}}}, Precision::bf16), 2.5);
  EXPECT_EQ(got.operators.at(0).environment.device, "A100-SXM-80GB");
  ASSERT_EQ(got.leftOut.size(), 1u);
  EXPECT_EQ(got.leftOut[0].what, "void at::native::copy()");
  EXPECT_EQ(got.leftOut[0].reason, "kernels that no operator launched");
}

TEST_F(NsysImport, GradientsAreThoseOfTheSameSequenceNumber) {
  Export e(path_);
  addLinear(e, 1000);
  const int64_t other = kThread + 1;
  e.range("autograd::engine::evaluate_function: AddmmBackward0, op_id = 20, seq = 3", 9000, 9900,
          "", other);
  e.range("aten::mm, op_id = 22, sizes = [[64, 128], [128, 64]]", 9100, 9200, "", other);
  e.kernel("gemm_bf16", 9150, 8000, other);
  e.range("aten::mm, op_id = 23, sizes = [[128, 64], [64, 64]]", 9300, 9400, "", other);
  e.kernel("gemm_bf16", 9350, 9000, other);
  const Imported got = import();
  const FormWorks works = worksOf(kLinear, Precision::bf16, DType::bf16);
  std::map<Phase, double> times;
  for (const NamedWork& g : works.gradients)
    for (const OperatorMeasurement& m : got.operators)
      if (workKey(m.work) == workKey(g.work)) times[g.work.phase] = m.samples.median.value * 1e6;
  EXPECT_DOUBLE_EQ(times[Phase::backwardInput], 8);
  EXPECT_DOUBLE_EQ(times[Phase::backwardWeight], 9);
}

TEST_F(NsysImport, TablesAndColumnsThatAVersionLacksAreDoneWithout) {
  Export e(path_, true);
  addLinear(e, 1000);
  EXPECT_THAT(error(), HasSubstr("does not say which device was measured"));
  const Imported got = import({"v100"});
  EXPECT_EQ(got.operators.at(0).environment.device, "V100-SXM2-16GB");
  EXPECT_DOUBLE_EQ(microseconds(got, kLinear, Precision::bf16), 7);
}

TEST_F(NsysImport, CollectivesNeedAllRanksOfTheirCommunicator) {
  Export e(path_);
  for (int64_t p = 0; p < 2; ++p) {
    const int64_t thread = ((50 + p) << 24) + 1;
    e.range("ncclCommInitRank", 10, 20, R"({"Communicator ID": 5, "No. of ranks": 2, "Rank": 0})",
            thread);
    e.range("ncclAllReduce", 100, 200,
            R"({"Communicator ID": 5, "Message size [bytes]": 4096, "Reduction operation": 0})",
            thread);
    e.kernel("ncclDevKernel_AllReduce_Sum_f32_RING_LL", 150, 9000 - 4000 * p, thread);
    e.range("ncclAllGather", 300, 400, R"({"Communicator ID": 5, "Message size [bytes]": 4096})",
            thread);
    e.kernel("ncclDevKernel_AllGather_RING_LL", 350, 2000, thread);
    e.range("ncclBroadcast", 500, 600, "", thread);
    e.kernel("ncclDevKernel_Broadcast_RING_LL", 550, 1000, thread);
  }
  const Imported got = import();
  ASSERT_EQ(got.collectives.size(), 2u);
  EXPECT_EQ(got.collectives[0].kind, CollectiveKind::allReduce);
  EXPECT_EQ(got.collectives[0].bytes.value, 4096);
  EXPECT_EQ(got.collectives[0].ranks, 2);
  EXPECT_NEAR(got.collectives[0].samples.median.value, 5e-6, 1e-12);
  EXPECT_EQ(got.collectives[1].kind, CollectiveKind::allGather);
  EXPECT_EQ(got.collectives[1].bytes.value, 8192);
  std::map<std::string, int64_t> reasons;
  for (const LeftOut& l : got.leftOut) reasons[l.reason] += l.count;
  EXPECT_EQ(reasons["the size of the collective is not recorded"], 2);
  EXPECT_EQ(reasons["waiting for other ranks"], 1);
}

TEST_F(NsysImport, FilesThatAreNoExportAreRefusedByName) {
  folder_.write("report.sqlite", "SQLite format 3, but only in name");
  EXPECT_THAT(error(), HasSubstr("report.sqlite: is no readable SQLite database"));
  std::filesystem::remove(path_);
  SQLite::Database(path_, SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE)
      .exec("CREATE TABLE t (x INTEGER)");
  EXPECT_THAT(error(), HasSubstr("report.sqlite: is no export of Nsight Systems"));
  std::filesystem::remove(path_);
  Export e(path_);
  e.open().exec("DROP TABLE NVTX_EVENTS");
  EXPECT_THAT(error(), HasSubstr("has no table NVTX_EVENTS: no range of NVTX was recorded"));
}

TEST_F(NsysImport, DamagedExportsAreReadOrRefused) {
  {
    Export e(path_);
    addLinear(e, 1000);
  }
  std::ifstream in(path_, std::ios::binary);
  const std::string bytes((std::istreambuf_iterator<char>(in)), {});
  std::mt19937 random(7);
  int refused = 0;
  const auto attempt = [&](const std::string& damaged) {
    folder_.write("report.sqlite", damaged);
    try {
      import({"H100-SXM"});
    } catch (const Error& e) {
      EXPECT_EQ(e.kind(), ErrorKind::input) << e.what();
      ++refused;
    }
  };
  for (size_t size = 1; size < bytes.size(); size += 97) attempt(bytes.substr(0, size));
  for (int i = 0; i < 500; ++i) {
    std::string damaged = bytes;
    for (int k = 0; k <= i % 5; ++k)
      damaged[random() % damaged.size()] = static_cast<char>(random() & 255);
    attempt(damaged);
  }
  EXPECT_GT(refused, 100);
}

}  // namespace
}  // namespace meshplan
