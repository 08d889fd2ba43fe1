// SPDX-License-Identifier: Apache-2.0
#include "tests/validation/operator_tables.h"

#include <fmt/core.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <map>
#include <sstream>

#include "core/error.h"

namespace meshplan {
namespace {

using Fields = std::map<std::string, std::string>;

std::vector<Fields> readTable(const std::string& path, std::vector<std::string>& texts) {
  std::ifstream in(path);
  if (!in)
    throw Error(ErrorKind::input, "cannot be read", "give the folder of the tables").inFile(path);
  std::vector<std::string> names;
  std::vector<Fields> rows;
  for (std::string line; std::getline(in, line);) {
    if (line.empty() || line[0] == '#') continue;
    std::vector<std::string> values;
    std::istringstream cells(line);
    for (std::string cell; std::getline(cells, cell, ',');) values.push_back(cell);
    if (names.empty()) {
      names = values;
      continue;
    }
    Fields row;
    for (size_t i = 0; i < names.size() && i < values.size(); ++i) row[names[i]] = values[i];
    rows.push_back(row);
    texts.push_back(line);
  }
  return rows;
}

uint64_t fnv1a(const std::string& text) {
  uint64_t h = 14695981039346656037ull;
  for (unsigned char c : text) h = (h ^ c) * 1099511628211ull;
  return h ^ (h >> 32);
}

double number(const Fields& f, const char* name) {
  auto it = f.find(name);
  if (it == f.end()) throw Error(ErrorKind::input, fmt::format("no column {}", name));
  return std::strtod(it->second.c_str(), nullptr);
}

const OperatorDef& defOf(OpClass c) {
  static const std::map<OpClass, OperatorDef> defs = [] {
    std::map<OpClass, OperatorDef> m;
    for (OpClass k : {OpClass::contraction, OpClass::convolution, OpClass::attention,
                      OpClass::elementwise, OpClass::normalization})
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

/// Sends each row of a table to the rows of the fit.
class Tables {
 public:
  explicit Tables(std::string folder) : folder_(std::move(folder)) {}

  template <class F>
  void add(const std::string& table, F&& convert) {
    std::vector<std::string> texts;
    std::vector<Fields> fields = readTable(folder_ + "/" + table + ".csv", texts);
    for (size_t i = 0; i < fields.size(); ++i) {
      Row row;
      row.table = table;
      row.text = texts[i];
      row.fitted = fnv1a(texts[i]) % 2 == 0;
      convert(fields[i], row);
    }
  }
  void push(Row row) { rows_.push_back(std::move(row)); }
  std::vector<Row> take() { return std::move(rows_); }

 private:
  std::string folder_;
  std::vector<Row> rows_;
};

void addLinear(Tables& t) {
  static const std::map<std::string, std::string> names = {
      {"Tesla P100-PCIE-16GB", "P100-PCIe-16GB"},
      {"Tesla V100-PCIE-32GB", "V100-PCIe-32GB"},
      {"Tesla T4", "T4"},
      {"NVIDIA A100-PCIE-40GB", "A100-PCIe-40GB"},
      {"NVIDIA A100 80GB PCIe", "A100-PCIe-80GB"},
      {"NVIDIA H100 80GB HBM3", "H100-SXM"}};
  t.add("neusight_gemm_fp32_linear", [&](const Fields& f, Row row) {
    row.device = names.at(f.at("device"));
    row.works = {
        gemm(1, number(f, "B") * number(f, "M"), number(f, "N"), number(f, "K"), DType::f32)};
    row.seconds = number(f, "latency_ms") * 1e-3;
    t.push(row);
  });
}

/// The file names no device; its best row, 413 TFLOP/s, is possible on an H100 only.
void addBatched(Tables& t) {
  t.add("neusight_gemm_fp16_bmm", [&](const Fields& f, Row row) {
    row.device = "H100-SXM";
    row.works = {gemm(number(f, "B"), number(f, "M"), number(f, "N"), number(f, "K"), DType::f16)};
    row.seconds = number(f, "latency_ms") * 1e-3;
    t.push(row);
  });
}

DType deepBenchType(const Fields& f) {
  return f.at("precision") == "fp32" ? DType::f32 : DType::f16;
}

void addDeepBenchGemm(Tables& t) {
  t.add("deepbench_v100_gemm", [&](const Fields& f, Row row) {
    row.table += "_" + f.at("precision");
    row.device = "V100-SXM2-16GB";
    row.works = {gemm(1, number(f, "N"), number(f, "M"), number(f, "K"), deepBenchType(f))};
    row.seconds = number(f, "time_ms") * 1e-3;
    t.push(row);
  });
}

/// A convolution as core/work.h describes the three of a training step.
OperatorWork convolution(const Fields& f, Phase phase) {
  double taps = number(f, "S") * number(f, "R"), c = number(f, "C"), k = number(f, "K");
  double ow = std::floor((number(f, "W") + 2 * number(f, "pad_w") - number(f, "S")) /
                         number(f, "stride_w")) +
              1;
  double oh = std::floor((number(f, "H") + 2 * number(f, "pad_h") - number(f, "R")) /
                         number(f, "stride_h")) +
              1;
  double positions = number(f, "N") * ow * oh;
  OperatorWork w = phase == Phase::forward         ? gemm(1, positions, k, c * taps, DType::f32)
                   : phase == Phase::backwardInput ? gemm(1, positions, c, k * taps, DType::f32)
                                                   : gemm(1, c * taps, k, positions, DType::f32);
  w.def = &defOf(OpClass::convolution);
  w.phase = phase;
  w.compute = deepBenchType(f);
  bool unitStride = number(f, "stride_w") == 1 && number(f, "stride_h") == 1;
  w.kernelArea = unitStride ? taps : 0;
  double input = number(f, "N") * number(f, "W") * number(f, "H") * c;
  w.bytes = (input + c * taps * k + positions * k) * static_cast<double>(dtypeBytes(w.compute));
  return w;
}

void addDeepBenchConvolution(Tables& t) {
  t.add("deepbench_v100_conv", [&](const Fields& f, Row row) {
    std::pair<const char*, Phase> columns[] = {{"fwd_ms", Phase::forward},
                                               {"bwd_input_ms", Phase::backwardInput},
                                               {"bwd_weight_ms", Phase::backwardWeight}};
    for (auto [column, phase] : columns) {
      row.table = "deepbench_v100_conv_" + f.at("precision");
      row.device = "V100-SXM2-16GB";
      row.works = {convolution(f, phase)};
      row.seconds = number(f, column) * 1e-3;
      if (row.seconds > 0) t.push(row);
    }
  });
}

void addAchievable(Tables& t) {
  static const std::map<std::string, std::string> names = {{"NVIDIA A100 SXM", "A100-SXM-80GB"},
                                                           {"NVIDIA A100 PCIe", "A100-PCIe-80GB"},
                                                           {"NVIDIA H100 SXM", "H100-SXM"},
                                                           {"NVIDIA B200 SXM", "B200"}};
  t.add("gemm_mamf_max_achievable", [&](const Fields& f, Row row) {
    auto device = names.find(f.at("accelerator"));
    if (device == names.end() || f.at("dtype") != "bf16") return;
    double m = 0, n = 0, k = 0;
    if (std::sscanf(f.at("best_MxNxK").c_str(), "%lfx%lfx%lf", &m, &n, &k) != 3) return;
    row.device = device->second;
    row.works = {gemm(1, m, n, k, DType::bf16)};
    row.seconds = row.works[0].flops / (number(f, "mamf_tflops") * 1e12);
    row.fitted = true;  // one figure per device: the ceiling itself
    t.push(row);
  });
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

/// benchmarks/benchmark_flash_attention.py of the source: 16k tokens in a batch, hidden 2048,
/// forward and backward, FLOPs 3.5 x 4 b h s^2 d, halved when causal. Only FlashAttention-2 and
/// plain PyTorch are kinds of ours.
void addAttention(Tables& t) {
  t.add("flashattention2_fwd_bwd_tflops", [&](const Fields& f, Row row) {
    const std::string& kind = f.at("impl");
    if ((kind != "flash2" && kind != "pytorch") || f.at("tflops").empty()) return;
    row.table += kind == "flash2" ? "_flash" : "_math";
    row.device = f.at("gpu")[0] == 'A' ? "A100-SXM-80GB" : "H100-SXM";
    double s = number(f, "seq"), d = number(f, "head_dim"), b = 16384 / s, h = 2048 / d;
    bool causal = f.at("causal") == "yes";
    for (Phase phase : {Phase::forward, Phase::backwardInput})
      row.works.push_back(attention(b, h, s, d, causal, kind == "flash2", phase));
    row.seconds = 3.5 * 4 * b * h * s * s * d * (causal ? 0.5 : 1) / (number(f, "tflops") * 1e12);
    t.push(row);
  });
}

OperatorWork streaming(OpClass c, double bytes) {
  OperatorWork w;
  w.def = &defOf(c);
  w.compute = DType::bf16;
  w.bytes = bytes;
  return w;
}

/// Forward of one Llama-2-7B layer (hidden 4096, 32 heads, feed-forward 11008, bf16, fused
/// attention).
std::vector<OperatorWork> llamaLayer(double batch, double length) {
  double tokens = batch * length, hidden = 4096, ffn = 11008, tensor = tokens * hidden * 2;
  return {streaming(OpClass::normalization, 2 * tensor),
          gemm(1, tokens, 3 * hidden, hidden, DType::bf16),
          streaming(OpClass::elementwise, 2 * tensor),
          streaming(OpClass::elementwise, 2 * tensor),
          attention(batch, 32, length, 128, true, true, Phase::forward),
          gemm(1, tokens, hidden, hidden, DType::bf16),
          streaming(OpClass::elementwise, 3 * tensor),
          streaming(OpClass::normalization, 2 * tensor),
          gemm(1, tokens, 2 * ffn, hidden, DType::bf16),
          streaming(OpClass::elementwise, 3 * tokens * ffn * 2),
          gemm(1, tokens, hidden, ffn, DType::bf16),
          streaming(OpClass::elementwise, 3 * tensor)};
}

/// A check that is not fitted: one layer is half of what four layers take more than two. The source
/// names no device; the rate fits an A100.
void addLlamaLayer(Tables& t) {
  std::map<double, std::map<double, double>> milliseconds;
  t.add("galvatron_llama2_7b_profile", [&](const Fields& f, Row row) {
    std::map<double, double>& byLayers = milliseconds[number(f, "bsz")];
    byLayers[number(f, "layernum")] = number(f, "forward_ms");
    if (byLayers.size() < 2) return;
    row.device = "A100-SXM-80GB";
    row.works = llamaLayer(number(f, "bsz"), number(f, "seq"));
    row.seconds = (byLayers.at(4) - byLayers.at(2)) / 2 * 1e-3;
    t.push(row);
  });
}

}  // namespace

std::vector<Row> readOperatorTables(const std::string& folder) {
  Tables t(folder);
  addLinear(t);
  addBatched(t);
  addDeepBenchGemm(t);
  addDeepBenchConvolution(t);
  addAchievable(t);
  addAttention(t);
  addLlamaLayer(t);
  return t.take();
}

}  // namespace meshplan
