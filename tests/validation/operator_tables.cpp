// SPDX-License-Identifier: Apache-2.0
#include "tests/validation/operator_tables.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <map>

#include "core/error.h"
#include "profiles/device_name.h"

namespace meshplan {
namespace {

using Rows = std::vector<OperatorRow>;

const OperatorDef& defOf(OpClass c) {
  static const std::map<OpClass, OperatorDef> defs = [] {
    std::map<OpClass, OperatorDef> m;
    for (OpClass k :
         {OpClass::contraction, OpClass::convolution, OpClass::attention, OpClass::movement})
      m[k].opClass = k;
    return m;
  }();
  return defs.at(c);
}

OperatorWork gemm(double b, double m, double n, double k, DType compute) {
  OperatorWork w;
  w.def = &defOf(OpClass::contraction);
  w.compute = compute;
  w.contraction = {b, m, n, k};
  w.flops = 2 * b * m * n * k;
  w.bytes = b * (m * k + k * n + m * n) * static_cast<double>(dtypeBytes(compute));
  return w;
}

OperatorRow rowOf(const Table& table, const TableRow& r) {
  OperatorRow row;
  row.table = table.name;
  row.text = r.line();
  row.fitted = r.fitted();
  return row;
}

/// Fills in what the row was measured on and what ran; a row of which that is not known keeps the
/// problem.
template <class F>
void add(Rows& rows, OperatorRow row, const std::string& device, F&& works) {
  try {
    row.device = catalogueDevice(device);
    row.works = works();
  } catch (const Error& e) {
    row.problem = e.what();
  }
  rows.push_back(std::move(row));
}

OperatorRow timed(OperatorRow row, double milliseconds) {
  row.measured = milliseconds;
  row.seconds = milliseconds * 1e-3;
  return row;
}

OperatorRow rated(OperatorRow row, double teraflops, double flops) {
  row.unit = "TFLOP/s";
  row.rate = true;
  row.measured = teraflops;
  row.seconds = flops / (teraflops * 1e12);
  return row;
}

// NeuSight (arXiv:2407.13853), scripts/asplos/data: nn.Linear forward in fp32 with TF32 off, so on
// the vector units; device by the driver's name.
bool isLinear(const Table& t) {
  return t.has({"device"}) && t.has({"kernel"}) && t.has({"latency_ms"}) && t.has({"K"});
}

void readLinear(const Table& t, Rows& rows) {
  for (const TableRow& r : t.rows)
    add(rows, timed(rowOf(t, r), r.number({"latency_ms"})), r.text({"device"}), [&] {
      return std::vector{
          gemm(1, r.number({"B"}) * r.number({"M"}), r.number({"N"}), r.number({"K"}), DType::f32)};
    });
}

// NeuSight, scripts/asplos/fp16mm.csv: batched fp16 product. The file names no device; its best
// row, 413 TFLOP/s, is possible on an H100 only.
bool isBatched(const Table& t) {
  return !t.has({"device"}) && t.has({"B"}) && t.has({"M"}) && t.has({"latency_ms"});
}

void readBatched(const Table& t, Rows& rows) {
  for (const TableRow& r : t.rows)
    add(rows, timed(rowOf(t, r), r.number({"latency_ms"})), "H100-SXM", [&] {
      return std::vector{
          gemm(r.number({"B"}), r.number({"M"}), r.number({"N"}), r.number({"K"}), DType::f16)};
    });
}

// DeepBench, results/train/DeepBench_NV_V100.xlsx: an SXM2 V100 (its fp32 rows pass the PCIe
// card's peak), cuBLAS and cuDNN of CUDA 10.1; "mixed" is fp16 with fp32 accumulation.
constexpr const char* kDeepBenchDevice = "V100-SXM2-16GB";

DType deepBenchType(const TableRow& r) {
  return r.text({"precision"}) == "fp32" ? DType::f32 : DType::f16;
}

bool isDeepBenchProduct(const Table& t) {
  return t.has({"transA"}) && t.has({"precision"}) && t.has({"time_ms"});
}

void readDeepBenchProduct(const Table& t, Rows& rows) {
  for (const TableRow& r : t.rows) {
    OperatorRow row = timed(rowOf(t, r), r.number({"time_ms"}));
    row.table += "_" + r.text({"precision"});
    add(rows, row, kDeepBenchDevice, [&] {
      return std::vector{
          gemm(1, r.number({"N"}), r.number({"M"}), r.number({"K"}), deepBenchType(r))};
    });
  }
}

/// A convolution as core/work.h describes the three of a training step.
OperatorWork convolution(const TableRow& r, Phase phase) {
  double taps = r.number({"S"}) * r.number({"R"}), c = r.number({"C"}), k = r.number({"K"});
  double ow = std::floor((r.number({"W"}) + 2 * r.number({"pad_w"}) - r.number({"S"})) /
                         r.number({"stride_w"})) +
              1;
  double oh = std::floor((r.number({"H"}) + 2 * r.number({"pad_h"}) - r.number({"R"})) /
                         r.number({"stride_h"})) +
              1;
  double positions = r.number({"N"}) * ow * oh;
  OperatorWork w = phase == Phase::forward         ? gemm(1, positions, k, c * taps, DType::f32)
                   : phase == Phase::backwardInput ? gemm(1, positions, c, k * taps, DType::f32)
                                                   : gemm(1, c * taps, k, positions, DType::f32);
  w.def = &defOf(OpClass::convolution);
  w.phase = phase;
  w.compute = deepBenchType(r);
  bool unitStride = r.number({"stride_w"}) == 1 && r.number({"stride_h"}) == 1;
  w.kernelArea = unitStride ? taps : 0;
  w.strideArea = r.number({"stride_w"}) * r.number({"stride_h"});
  double input = r.number({"N"}) * r.number({"W"}) * r.number({"H"}) * c;
  if (phase != Phase::backwardInput) input *= std::min(1.0, taps / w.strideArea);
  w.bytes = (input + c * taps * k + positions * k) * static_cast<double>(dtypeBytes(w.compute));
  return w;
}

bool isDeepBenchConvolution(const Table& t) {
  return t.has({"pad_w"}) && t.has({"stride_w"}) && t.has({"fwd_ms"});
}

void readDeepBenchConvolution(const Table& t, Rows& rows) {
  const std::pair<const char*, Phase> columns[] = {{"fwd_ms", Phase::forward},
                                                   {"bwd_input_ms", Phase::backwardInput},
                                                   {"bwd_weight_ms", Phase::backwardWeight}};
  for (const TableRow& r : t.rows)
    for (auto [column, phase] : columns) {
      if (r.maybe({column}).value_or(0) <= 0) continue;
      OperatorRow row = timed(rowOf(t, r), r.number({column}));
      row.table += "_" + r.text({"precision"});
      add(rows, row, kDeepBenchDevice, [&, p = phase] { return std::vector{convolution(r, p)}; });
    }
}

// stas00/ml-engineering, compute/accelerator: the best product of a brute-force search per device,
// which is the ceiling itself: rows of bf16 are fitted whole. A device of the table's own name
// ("H100 SXM") is the catalogue's of that form.
bool isAchievable(const Table& t) {
  return t.has({"mamf_tflops"}) && t.has({"best_MxNxK"});
}

DType achievableType(const std::string& name) {
  if (name == "bf16") return DType::bf16;
  if (name == "fp16") return DType::f16;
  if (name.starts_with("fp8")) return DType::f8;
  throw Error(ErrorKind::input, fmt::format("no matrix unit of ours works in {}", name));
}

void readAchievable(const Table& t, Rows& rows) {
  for (const TableRow& r : t.rows) {
    double m = 0, n = 0, k = 0;
    if (std::sscanf(r.text({"best_MxNxK"}).c_str(), "%lfx%lfx%lf", &m, &n, &k) != 3) continue;
    const std::string dtype = r.text({"dtype"});
    OperatorRow row = rated(rowOf(t, r), r.number({"mamf_tflops"}), 2 * m * n * k);
    row.table += "_" + dtype.substr(0, dtype.find('_'));
    row.fitted = dtype == "bf16";
    add(rows, row, r.text({"accelerator"}),
        [&] { return std::vector{gemm(1, m, n, k, achievableType(dtype))}; });
  }
}

OperatorWork attention(double b, double h, double s, double d, bool causal, bool flash,
                       Phase phase) {
  OperatorWork w;
  w.def = &defOf(OpClass::attention);
  w.phase = phase;
  w.compute = DType::bf16;
  w.attention = {b, h, h, s, s, d, d, causal, flash};
  w.flops = 4 * b * h * s * s * d * (phase == Phase::forward ? 1 : 2.5);
  w.bytes = 4 * b * h * s * d * 2 * (phase == Phase::forward ? 1 : 2);
  return w;
}

// Dao-AILab/flash-attention, benchmarks/benchmark_flash_attention.py: 16k tokens in a batch, hidden
// 2048, forward and backward, FLOPs 3.5 x 4 b h s^2 d, halved when causal. FlashAttention-2 and
// plain PyTorch are kinds of ours; the latter's einops transpose queries, keys, values and results
// into tensors of their own, and their gradients back. Of xFormers'
// kernels and those in Triton arXiv:2307.08691, section 4.1, says how much slower they are: as
// FlashAttention's first version 1.7 to 3 times, and 1.3 to 2.5 times; the geometric means are
// taken. No fit sees those.
bool isAttention(const Table& t) {
  return t.has({"impl"}) && t.has({"head_dim"}) && t.has({"tflops"});
}

OperatorWork copy(double bytes) {
  OperatorWork w;
  w.def = &defOf(OpClass::movement);
  w.bytes = 2 * bytes;
  return w;
}

std::vector<OperatorWork> attentionWorks(const std::string& kind, double s, double d, bool causal) {
  std::vector<OperatorWork> works;
  for (Phase phase : {Phase::forward, Phase::backwardInput})
    works.push_back(attention(16384 / s, 2048 / d, s, d, causal, kind != "pytorch", phase));
  for (OperatorWork& w : works) w.attention.firstFlash = kind == "flash1";
  constexpr double kTensor = 16384 * 2048 * 2;
  if (kind == "pytorch") works.insert(works.end(), 8, copy(kTensor));
  return works;
}

double slowerThanFlash2(const std::string& kind) {
  if (kind == "flash2" || kind == "flash1" || kind == "pytorch") return 1;
  return kind == "triton" ? std::sqrt(1.3 * 2.5) : std::sqrt(1.7 * 3.0);
}

void readAttention(const Table& t, Rows& rows) {
  for (const TableRow& r : t.rows) {
    if (r.maybe({"tflops"}).value_or(0) <= 0)
      continue;  // hidden in the source's figure, or out of memory
    const std::string& kind = r.text({"impl"});
    const double s = r.number({"seq"}), d = r.number({"head_dim"});
    const bool causal = r.text({"causal"}) == "yes";
    OperatorRow row =
        rated(rowOf(t, r), r.number({"tflops"}), 3.5 * 4 * 16384 * 2048 * s * (causal ? 0.5 : 1));
    row.table += kind == "flash2"    ? "_flash"
                 : kind == "flash1"  ? "_flash1"
                 : kind == "pytorch" ? "_math"
                                     : "_other";
    row.slower = slowerThanFlash2(kind);
    row.seconds /= row.slower;
    row.fitted = row.fitted && row.slower == 1;
    add(rows, row, r.text({"gpu"}), [&] { return attentionWorks(kind, s, d, causal); });
  }
}

struct OperatorTable {
  bool (*takes)(const Table&);
  void (*read)(const Table&, Rows&);
};

constexpr OperatorTable kOperatorTables[] = {
    {isLinear, readLinear},
    {isBatched, readBatched},
    {isDeepBenchProduct, readDeepBenchProduct},
    {isDeepBenchConvolution, readDeepBenchConvolution},
    {isAchievable, readAchievable},
    {isAttention, readAttention},
};

}  // namespace

bool isOperatorTable(const Table& table) {
  return std::any_of(std::begin(kOperatorTables), std::end(kOperatorTables),
                     [&](const OperatorTable& t) { return t.takes(table); });
}

std::vector<OperatorRow> operatorRows(const Table& table) {
  Rows rows;
  for (const OperatorTable& t : kOperatorTables) {
    if (!t.takes(table)) continue;
    t.read(table, rows);
    break;
  }
  return rows;
}

std::vector<OperatorRow> readOperatorTables(const std::string& folder) {
  Rows all;
  std::error_code failed;
  for (const auto& entry : std::filesystem::directory_iterator(folder, failed)) {
    if (entry.path().extension() != ".csv") continue;
    for (OperatorRow& row : operatorRows(readTable(entry.path().string())))
      if (row.problem.empty()) all.push_back(std::move(row));
  }
  if (all.empty())
    throw Error(ErrorKind::input, "holds no table of operators", "give the folder of the tables")
        .inFile(folder);
  return all;
}

}  // namespace meshplan
