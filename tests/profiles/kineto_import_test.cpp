// SPDX-License-Identifier: Apache-2.0
#include "profiles/kineto_import.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zlib.h>

#include "core/error.h"
#include "planner/local_operator.h"
#include "tests/damage.h"
#include "tests/graph_text.h"
#include "tests/profiles/kineto_text.h"
#include "tests/scratch_folder.h"

namespace meshplan {
namespace {

using testing::HasSubstr;

class KinetoImport : public testing::Test {
 protected:
  Imported import(const std::vector<std::string>& texts, const ImportOptions& options = {}) {
    std::vector<std::string> paths;
    for (size_t i = 0; i < texts.size(); ++i)
      paths.push_back(folder_.write(fmt::format("rank{}.json", i), texts[i]));
    return importFiles(paths, options);
  }
  Imported importFiles(const std::vector<std::string>& paths, const ImportOptions& options = {}) {
    ImportCollector collector;
    importKineto(paths, options, collector);
    return collector.finish();
  }
  std::string errorOf(const std::string& text, const ImportOptions& options = {}) {
    try {
      import({text}, options);
    } catch (const Error& e) {
      return e.what();
    }
    return "no error";
  }

  ScratchFolder folder_;
};

/// The work that a plan looks up for the operator `y` of a model written as text: forward, or of a
/// phase of its gradient. The importer has no part in it.
OperatorWork planned(const std::string& text, int64_t batch, Precision precision,
                     Phase phase = Phase::forward, DType gradients = DType::f32) {
  TrainingOptions options;
  options.precision = precision;
  options.gradientDType = gradients;
  // A model's last operator is its loss.
  const TrainingModel model =
      prepareTraining(modelFromText(text + "z = Sigmoid(y)\n", batch), options);
  const OpId last =
      model.graph.tensor(model.graph.op(OpId(model.forwardOps - 1)).inputs[0]).producer;
  const StageMesh mesh{1, 1, batch};
  const ScaledOperator forward = scaleForward(model, last, batch);
  const LocalOperator local = localise(model, last, forward, {}, mesh, 0);
  if (phase == Phase::forward) return local.work;
  for (OpId g : model.gradients[last.index()])
    if (model.graph.op(g).phase == phase)
      return localise(model, g, scaleGradient(model, forward, g, batch), {}, mesh, local.work.flops)
          .work;
  throw std::logic_error("no such gradient");
}

/// Microseconds of the row with the key of `work`; -1: there is none.
double microseconds(const Imported& got, const OperatorWork& work) {
  for (const OperatorMeasurement& m : got.operators)
    if (workKey(m.work) == workKey(work)) return m.samples.median.value * 1e6;
  return -1;
}

const std::string kBf16 = R"("c10::BFloat16")";

TEST_F(KinetoImport, AProductIsFoundByThePlannerUnderEachNameThatAGraphGivesIt) {
  KinetoText trace;
  const int id = trace.call(
      "aten::mm", 10, 50,
      typed("[[512, 1024], [1024, 4096]]", fmt::format("[{}, {}]", kBf16, kBf16), R"(["", ""])"));
  trace.kernel("nvjet_tst_128x256_64x4_1x2_h_bz_coopA_TNT", id, 21.5);
  const Imported got = import({trace.text()});
  for (const char* def : {"MatMul", "Gemm", "Linear"}) {
    const std::string model = fmt::format("x = input [512,1024]\ny = {}(x, *1024x4096)\n", def);
    EXPECT_DOUBLE_EQ(microseconds(got, planned(model, 512, Precision::bf16)), 21.5) << def;
    EXPECT_EQ(microseconds(got, planned(model, 512, Precision::fp16)), -1) << def;
    const std::string other = fmt::format("x = input [256,1024]\ny = {}(x, *1024x4096)\n", def);
    EXPECT_EQ(microseconds(got, planned(other, 256, Precision::bf16)), -1) << def;
  }
  EXPECT_EQ(got.taken, 1);
  EXPECT_NEAR(got.takenTime.value, 21.5e-6, 1e-12);
  EXPECT_TRUE(got.leftOut.empty());
  const OperatorMeasurement& row = got.operators.at(0);
  EXPECT_EQ(row.environment.device, "H100-SXM");
  EXPECT_EQ(row.environment.libraries, "pytorch, cuda 12040, nccl 2.21.5");
  EXPECT_EQ(row.types, "bf16[512,1024] bf16[1024,4096] -> bf16[512,4096]");
  EXPECT_EQ(row.busy, 1);
  EXPECT_TRUE(got.notes.empty());
}

/// One layer as PyTorch records it: calls inside calls, kernels under the innermost.
struct Layer {
  explicit Layer(const std::string& type, double factor = 1) {
    const std::string two = fmt::format("[{}, {}]", type, type),
                      three = fmt::format("[{}, {}, {}]", type, type, type);
    trace.call("aten::linear", 10, 90, typed("[[4, 16, 64], [128, 64], [128]]", three, kNone), 100,
               1);
    trace.call("aten::t", 11, 2, typed("[[128, 64]]", "[" + type + "]"), 100, 2);
    const int addmm =
        trace.call("aten::addmm", 20, 70,
                   typed("[[128], [64, 64], [64, 128], [], []]",
                         fmt::format(R"([{}, {}, {}, "Scalar", "Scalar"])", type, type, type),
                         R"(["", "", "", "1", "1"])"),
                   100, 3);
    trace.kernel("sm90_xmma_gemm", addmm, 10 * factor);
    const int gelu = trace.call(
        "aten::gelu", 110, 10,
        typed("[[4, 16, 128], []]", fmt::format(R"([{}, ""])", type), R"(["", "none"])"), 100, 5);
    trace.kernel("vectorized_elementwise_kernel<GeluCUDAKernelImpl>", gelu, 3 * factor);
    trace.node("GeluBackward0", 200, 20, 5);
    const int geluBack =
        trace.call("aten::gelu_backward", 205, 10, typed("[[4, 16, 128], [4, 16, 128]]", two), 200);
    trace.kernel("vectorized_elementwise_kernel<GeluBackward>", geluBack, 4 * factor);
    trace.node("AddmmBackward0", 300, 60, 3);
    const int dx = trace.call("aten::mm", 310, 10, typed("[[64, 128], [128, 64]]", two), 200);
    const int dw = trace.call("aten::mm", 330, 10, typed("[[128, 64], [64, 64]]", two), 200);
    const int db = trace.call("aten::sum", 345, 10, typed("[[64, 128]]", "[" + type + "]"), 200);
    trace.kernel("sm90_xmma_gemm", dx, 11 * factor);
    trace.kernel("sm90_xmma_gemm", dw, 12 * factor);
    trace.kernel("reduce_kernel", db, 2 * factor);
    trace.node("TBackward0", 370, 10, 2);
    const int copy = trace.call("aten::copy_", 400, 10, typed("[[128, 64], [128, 64]]", two));
    trace.kernel("Memcpy DtoD", copy, 5 * factor);
  }
  KinetoText trace;
  static constexpr const char* kNone = R"(["", "", ""])";
};

constexpr const char* kLinear =
    "x = input [4,16,64]\nh = Add(x, *64)\ny = Linear(h, *64x128, *128)\n";
constexpr const char* kGelu = "x = input [4,16,128]\nh = Add(x, *128)\ny = Gelu(h)\n";

TEST_F(KinetoImport, ALayersForwardAndBackwardTimesAreThoseOfItsKernels) {
  const Imported got = import({Layer(kBf16).trace.text()});
  const auto at = [&](const char* model, Phase phase) {
    return microseconds(got, planned(model, 4, Precision::bf16, phase, DType::bf16));
  };
  EXPECT_DOUBLE_EQ(at(kLinear, Phase::forward), 10);
  EXPECT_DOUBLE_EQ(at(kLinear, Phase::backwardInput), 11);
  EXPECT_NEAR(at(kLinear, Phase::backwardWeight), 14, 1e-9);  // with the sum for the bias
  EXPECT_DOUBLE_EQ(at(kGelu, Phase::forward), 3);
  EXPECT_DOUBLE_EQ(at(kGelu, Phase::backwardInput), 4);
  ASSERT_EQ(got.leftOut.size(), 1u);
  EXPECT_EQ(got.leftOut[0].what, "aten::copy_");
  EXPECT_EQ(got.leftOut[0].reason, "graphs have no such operator");
  EXPECT_NEAR(got.leftOut[0].time.value, 5e-6, 1e-12);
  EXPECT_NEAR(got.takenTime.value, 42e-6, 1e-12);
  EXPECT_EQ(got.taken, 5);
}

TEST_F(KinetoImport, AccumulationInFp32IsNotWhatASixteenBitTraceMeasured) {
  const Imported got = import({Layer(kBf16).trace.text()});
  EXPECT_EQ(microseconds(got, planned(kLinear, 4, Precision::bf16, Phase::backwardWeight)), -1);
}

TEST_F(KinetoImport, SinglePrecisionIsTf32WhereTheKernelsSayIt) {
  const Imported plain = import({Layer("\"float\"").trace.text()});
  EXPECT_GT(microseconds(plain, planned(kLinear, 4, Precision::fp32)), 0);
  EXPECT_LT(microseconds(plain, planned(kLinear, 4, Precision::tf32)), 0);
  EXPECT_GT(microseconds(plain, planned(kGelu, 4, Precision::fp32)), 0);
  EXPECT_GT(microseconds(plain, planned(kGelu, 4, Precision::tf32)), 0);
  std::string text = Layer("\"float\"").trace.text();
  for (size_t at; (at = text.find("xmma_gemm\"")) != std::string::npos;)
    text.replace(at, 9, "xmma_gemm_f32f32_tf32f32");
  const Imported fast = import({text});
  EXPECT_LT(microseconds(fast, planned(kLinear, 4, Precision::fp32)), 0);
  EXPECT_GT(microseconds(fast, planned(kLinear, 4, Precision::tf32)), 0);
}

TEST_F(KinetoImport, TracesOfSeveralRanksAreMoreSamplesOfTheSameRows) {
  const Imported got = import(
      {Layer(kBf16, 1).trace.text(), Layer(kBf16, 3).trace.text(), Layer(kBf16, 2).trace.text()});
  for (const OperatorMeasurement& m : got.operators) EXPECT_EQ(m.samples.count, 3) << m.types;
  EXPECT_DOUBLE_EQ(microseconds(got, planned(kLinear, 4, Precision::bf16)), 20);
}

TEST_F(KinetoImport, AGzippedTraceIsTheSameTrace) {
  const std::string text = Layer(kBf16).trace.text(), path = folder_.file("t.json.gz");
  gzFile file = ::gzopen(path.c_str(), "wb");
  ::gzwrite(file, text.data(), static_cast<unsigned>(text.size()));
  ::gzclose(file);
  EXPECT_EQ(importFormatOf(path), ImportFormat::kineto);
  const Imported plain = import({text}), zipped = importFiles({path});
  ASSERT_EQ(zipped.operators.size(), plain.operators.size());
  for (size_t i = 0; i < plain.operators.size(); ++i) {
    EXPECT_EQ(workKey(zipped.operators[i].work), workKey(plain.operators[i].work));
    EXPECT_EQ(zipped.operators[i].samples.median, plain.operators[i].samples.median);
  }
  std::ifstream in(path, std::ios::binary);
  const std::string bytes((std::istreambuf_iterator<char>(in)), {});
  const std::string half = folder_.write("half.json.gz", bytes.substr(0, bytes.size() / 2));
  EXPECT_THROW(importFiles({half}), Error);
}

TEST_F(KinetoImport, WithoutKernelsTheHostsTimesOfTheInnermostCallsCount) {
  KinetoText trace;
  trace.device.clear();
  trace.call(
      "aten::linear", 10, 90,
      typed("[[4, 16, 64], [128, 64], [128]]", R"(["float", "float", "float"])", Layer::kNone));
  trace.call(
      "aten::addmm", 20, 70,
      typed("[[128], [64, 64], [64, 128], [], []]",
            R"(["float", "float", "float", "Scalar", "Scalar"])", R"(["", "", "", "1", "1"])"));
  EXPECT_THAT(errorOf(trace.text()), HasSubstr("does not say which device was measured"));
  const Imported got = import({trace.text()}, {"cpu"});
  EXPECT_EQ(got.operators.at(0).environment.device, "CPU");
  EXPECT_DOUBLE_EQ(microseconds(got, planned(kLinear, 4, Precision::fp32)), 70);
  ASSERT_EQ(got.leftOut.size(), 1u);
  EXPECT_EQ(got.leftOut[0].reason, "dispatch by the framework");
  EXPECT_NEAR(got.leftOut[0].time.value, 20e-6, 1e-12);
  ASSERT_EQ(got.notes.size(), 1u);
  EXPECT_THAT(got.notes[0], HasSubstr("the host's times are taken"));
}

TEST_F(KinetoImport, KernelsAreTiedByTheirLaunchWhereTheyHaveNoExternalId) {
  KinetoText trace;
  trace.call("aten::mm", 10, 50, typed("[[8, 16], [16, 4]]", R"(["c10::Half", "c10::Half"])"));
  trace.add(R"({"ph": "X", "cat": "cuda_runtime", "name": "cudaLaunchKernel", "pid": 7, )"
            R"("tid": 100, "ts": 20, "dur": 3, "args": {"correlation": 77}})");
  trace.add(R"({"ph": "X", "cat": "kernel", "name": "gemm", "pid": 0, "tid": 7, "ts": 90, )"
            R"("dur": 6, "args": {"correlation": 77}})");
  trace.add(R"({"ph": "X", "cat": "kernel", "name": "stray", "pid": 0, "tid": 7, "ts": 99, )"
            R"("dur": 2, "args": {"correlation": 78}})");
  const Imported got = import({trace.text()});
  const char* model = "x = input [8,16]\ny = MatMul(x, *16x4)\n";
  EXPECT_DOUBLE_EQ(microseconds(got, planned(model, 8, Precision::fp16)), 6);
  ASSERT_EQ(got.leftOut.size(), 1u);
  EXPECT_EQ(got.leftOut[0].reason, "kernels that no operator launched");
}

TEST_F(KinetoImport, ConvolutionsAndAttentionCarryTheirSettings) {
  KinetoText trace;
  const int conv = trace.call(
      "aten::conv2d", 10, 50,
      typed("[[8, 3, 32, 32], [16, 3, 3, 3], [], [], [], [], []]",
            R"(["float", "float", "", "ScalarList", "ScalarList", "ScalarList", "Scalar"])",
            R"(["", "", "", "[2, 2]", "[1, 1]", "[1, 1]", "1"])"));
  trace.kernel("cudnn_conv", conv, 7);
  const int sdpa = trace.call(
      "aten::scaled_dot_product_attention", 70, 50,
      typed("[[2, 8, 16, 32], [2, 8, 16, 32], [2, 8, 16, 32], [], [], [], [], []]",
            fmt::format(R"([{0}, {0}, {0}, "", "Scalar", "Scalar", "", "Scalar"])", kBf16),
            R"(["", "", "", "", "0.", "True", "", "False"])"));
  trace.kernel("flash_fwd_kernel", sdpa, 9);
  const Imported got = import({trace.text()});
  EXPECT_DOUBLE_EQ(microseconds(got, planned("x = input [8,3,32,32]\ny = Conv(x, *16x3x3x3) "
                                             "{strides=2x2, pads=1x1x1x1}\n",
                                             8, Precision::fp32)),
                   7);
  EXPECT_DOUBLE_EQ(microseconds(got, planned("q = input [2,8,16,32]\nh = Mul(q, *32)\n"
                                             "y, l = Attention(h, h, h) "
                                             "{causal=1, implementation=flash}\n",
                                             2, Precision::bf16)),
                   9);
}

TEST_F(KinetoImport, WhatTheTraceDoesNotSayIsLeftOutWithItsReason) {
  KinetoText trace;
  const auto add = [&](const std::string& name, double start, const std::string& arguments) {
    trace.kernel("k", trace.call(name, start, 5, arguments), 1);
  };
  add("aten::mm", 10, "");
  add("aten::conv2d", 20, typed("[[8, 3, 32, 32], [16, 3, 3, 3]]", R"(["float", "float"])"));
  add("aten::mul", 30, typed("[[8, 3], []]", R"(["float", "Scalar"])", R"(["", "2"])"));
  add("aten::mm", 40, typed("[[8, 16], [17, 4]]", R"(["float", "float"])"));
  add("aten::mm", 50, typed("[[8, 16], [16, 4]]", R"(["float", "c10::Half"])"));
  add("aten::relu", 60, typed("[[0, 16]]", R"(["float"])"));
  const Imported got = import({trace.text()});
  EXPECT_EQ(got.taken, 0);
  std::map<std::string, int64_t> reasons;
  int64_t count = 0;
  for (const LeftOut& l : got.leftOut)
    reasons[l.what + ": " + l.reason] = l.count, count += l.count;
  EXPECT_EQ(count, 6);
  EXPECT_TRUE(reasons.count("aten::conv2d: its arguments other than tensors are not recorded"));
  EXPECT_TRUE(reasons.count("aten::mul: an operand is a number"));
  EXPECT_TRUE(reasons.count("aten::relu: it works on an empty tensor"));
}

/// An all-reduce of 1 MiB as `rank` of `size` saw it.
std::string collective(int rank, int size, double duration, const std::string& more,
                       const std::string& name = "allreduce", int in = 1 << 18, int out = 1 << 18) {
  KinetoText trace;
  trace.distributed = fmt::format(R"("backend": "nccl", "rank": {})", rank);
  trace.host = rank < 2 ? "a" : "b";
  trace.add(fmt::format(
      R"({{"ph": "X", "cat": "kernel", "name": "ncclDevKernel_AllReduce_Sum_f32_RING_LL", )"
      R"("pid": 0, "tid": 20, "ts": 5, "dur": {}, "args": {{"External id": 1, "stream": 20, )"
      R"("Collective name": "{}", "dtype": "Float", "In msg nelems": {}, "Out msg nelems": {}, )"
      R"("Group size": {}, "Process Group Name": "0", "Process Group Description": "default_pg", )"
      R"("Process Group Ranks": "[0, 1, 2, 3]"{}}}}})",
      duration, name, in, out, size, more));
  return trace.text();
}

TEST_F(KinetoImport, ACollectiveTakesAsLongAsOnTheRankThatCameLast) {
  std::vector<std::string> texts;
  for (int rank = 0; rank < 4; ++rank)
    texts.push_back(collective(rank, 4, rank == 2 ? 30 : 100 + rank, R"(, "Seq": 9)"));
  const Imported got = import(texts);
  ASSERT_EQ(got.collectives.size(), 1u);
  const CollectiveMeasurement& m = got.collectives[0];
  EXPECT_EQ(m.kind, CollectiveKind::allReduce);
  EXPECT_EQ(m.bytes.value, 1 << 20);
  EXPECT_EQ(m.ranks, 4);
  EXPECT_EQ(m.nodes, 2);
  EXPECT_EQ(m.groups, 1);
  EXPECT_EQ(m.transport, "nccl");
  EXPECT_NEAR(m.samples.median.value, 30e-6, 1e-12);
  ASSERT_EQ(got.leftOut.size(), 1u);
  EXPECT_EQ(got.leftOut[0].reason, "waiting for other ranks");
  EXPECT_NEAR(got.leftOut[0].time.value, 214e-6, 1e-12);
}

TEST_F(KinetoImport, ACollectiveWithoutAllItsRanksIsLeftOut) {
  const std::string seq = R"(, "Seq": 9)";
  const auto reasonOf = [&](const std::vector<std::string>& texts) {
    const Imported got = import(texts);
    EXPECT_TRUE(got.collectives.empty());
    return got.leftOut.at(0).reason;
  };
  EXPECT_EQ(reasonOf({collective(0, 4, 10, seq), collective(1, 4, 10, seq)}),
            "its time includes waiting for ranks whose profiles were not given");
  EXPECT_EQ(reasonOf({collective(0, 2, 10, ""), collective(1, 2, 10, "")}),
            "neither group nor sequence number are recorded");
  EXPECT_EQ(reasonOf({collective(0, 2, 10, seq, "all_to_allv"),
                      collective(1, 2, 10, seq + R"(, "In split size": "[3, 5]")", "all_to_allv")})
                .substr(0, 3),
            "its");
}

TEST_F(KinetoImport, SizesOfEveryCollectiveBecomeTheWholeTensor) {
  const struct {
    const char* name;
    int in, out;
    CollectiveKind kind;
    int64_t bytes;
  } cases[] = {{"_allgather_base", 1000, 2000, CollectiveKind::allGather, 8000},
               {"_reduce_scatter_base", 2000, 1000, CollectiveKind::reduceScatter, 8000},
               {"all_to_all", 1000, 1000, CollectiveKind::allToAll, 8000},
               {"broadcast", 1000, 1000, CollectiveKind::broadcast, 4000},
               {"allreduce_coalesced", 1000, 1000, CollectiveKind::allReduce, 4000}};
  for (const auto& c : cases) {
    const std::string seq = R"(, "Seq": 1, "In split size": "[]")";
    const Imported got = import({collective(0, 2, 10, seq, c.name, c.in, c.out),
                                 collective(1, 2, 12, seq, c.name, c.in, c.out)});
    ASSERT_EQ(got.collectives.size(), 1u) << c.name;
    EXPECT_EQ(got.collectives[0].kind, c.kind) << c.name;
    EXPECT_EQ(got.collectives[0].bytes.value, c.bytes) << c.name;
  }
}

TEST_F(KinetoImport, ControlCharactersAndForeignBytesDoNotMatter) {
  std::string text = Layer(kBf16).trace.text();
  text.insert(text.find("sm90_xmma"), std::string("\x01\x1f\n\xff\xfe", 5));
  EXPECT_DOUBLE_EQ(microseconds(import({text}), planned(kLinear, 4, Precision::bf16)), 10);
}

TEST_F(KinetoImport, EarlyVersionsAndArraysOfEventsAreRead) {
  std::string text = Layer(kBf16).trace.text();
  const auto replaceAll = [&](const std::string& from, const std::string& to) {
    for (size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size())
      text.replace(at, from.size(), to);
  };
  replaceAll("\"cpu_op\"", "\"Operator\"");
  replaceAll("\"kernel\"", "\"Kernel\"");
  replaceAll("External id", "external id");
  replaceAll("Input Dims", "Input dims");
  text = text.substr(text.find("\"traceEvents\": ") + 15);
  text = text.substr(0, text.rfind("],") + 1);
  const Imported got = import({text}, {"A100"});
  EXPECT_EQ(got.operators.at(0).environment.device, "A100-SXM-80GB");
  EXPECT_DOUBLE_EQ(microseconds(got, planned(kLinear, 4, Precision::bf16)), 10);
}

TEST_F(KinetoImport, BrokenFilesNameFileLineAndRemedy) {
  const std::string text = Layer(kBf16).trace.text();
  EXPECT_THAT(errorOf(text.substr(0, text.size() - 40)), HasSubstr("rank0.json: line "));
  EXPECT_THAT(errorOf(text.substr(0, text.size() - 40)),
              HasSubstr("check that the profiler wrote the file to its end"));
  EXPECT_THAT(errorOf("{\"a\": [1]}"), HasSubstr("holds no traceEvents"));
  EXPECT_THAT(errorOf("{\"traceEvents\": [\n{}\n{}]}"), HasSubstr("line 3"));
  EXPECT_THAT(errorOf(std::string(100, '[')), HasSubstr("nested deeper"));
  EXPECT_THROW(importFiles({folder_.file("missing.json")}), Error);
}

TEST_F(KinetoImport, DamagedTracesAreReadOrRefused) {
  const std::string text = Layer(kBf16).trace.text();
  EXPECT_GT(refusedDamage(
                text, [&](const std::string& damaged) { import({damaged}, {"H100-SXM"}); }, 1000),
            1000);
}

}  // namespace
}  // namespace meshplan
