// SPDX-License-Identifier: Apache-2.0
// Graphs of the operations that cuDNN recognises as attention (its documentation, "Fused Attention
// fprop" and "bprop" of the graph API's supported patterns).
#include <fmt/core.h>

#include <array>
#include <bit>
#include <cstdio>
#include <limits>
#include <map>
#include <memory>

#include "backend/cpu/attention.h"
#include "backend/cuda/cuda_transfers.h"
#include "backend/cuda/fastest.h"
#include "backend/cuda/fused_attention.h"
#include "backend/cuda/libraries/cudnn_plan.h"
#include "backend/cuda/matrix.h"
#include "backend/half.h"
#include "core/error.h"

namespace meshplan {
namespace {

constexpr size_t kCandidates = 4;
constexpr double kTolerance = 2e-2;
constexpr int kWorkspace = -20, kRowSums = -21;  // purposes of scratch memory

using Tensor = CudnnGraph::Tensor;
using Extents = CudnnGraph::Extents;
/// Gradient or not, dtype, causal, scale and extents.
using AttentionKey = std::array<int64_t, 11>;

struct Problem {
  bool gradient = false;
  DType dtype = DType::bf16;
  bool causal = false;
  float scale = 1;
  int64_t batch, heads, groups, queries, keys, keyDim, valueDim;

  AttentionKey key() const {
    return {gradient, static_cast<int64_t>(dtype),
            causal,   std::bit_cast<int32_t>(scale),
            batch,    heads,
            groups,   queries,
            keys,     keyDim,
            valueDim};
  }
};

const TensorView* operandOf(const KernelCall& call, size_t i) {
  if (call.isGradient()) return call.forwardInput(i);
  return i < call.inputs.size() ? &call.inputs[i] : nullptr;
}

/// All three gradients, of the operands' dtype.
bool wantsUsualGradients(const KernelCall& call, DType dtype) {
  for (size_t i = 0; i < 3; ++i) {
    const TensorView* view = call.inputGradient(i);
    if (!view || view->type.dtype != dtype) return false;
  }
  return true;
}

bool isUsual(const CudaContext& context, const KernelCall& call) {
  const TensorView &q = *operandOf(call, 0), &k = *operandOf(call, 1), &v = *operandOf(call, 2);
  const DType dtype = q.type.dtype;
  const auto fits = [](int64_t size) { return size > 0 && size <= 128 && size % 8 == 0; };
  return context.capability() >= 80 && !operandOf(call, 3) &&
         (dtype == DType::bf16 || dtype == DType::f16) && k.type.dtype == dtype &&
         v.type.dtype == dtype && fits(q.type.shape[3]) && fits(v.type.shape[3]) &&
         q.type.elements() > 0 && k.type.elements() > 0 &&
         (!call.isGradient() || wantsUsualGradients(call, dtype));
}

/// Where causal queries count as keys do and nothing falls out.
bool problemOf(const CudaContext& context, const KernelCall& call, Problem& p) {
  if (!isUsual(context, call)) return false;
  const AttentionRules r(call, operandOf(call, 0)->type.shape, operandOf(call, 1)->type.shape,
                         operandOf(call, 2)->type.shape);
  p = {call.isGradient(),
       operandOf(call, 0)->type.dtype,
       r.causal,
       static_cast<float>(r.scale),
       r.batch,
       r.heads(),
       r.groups,
       r.queries,
       r.keys,
       r.keyDim,
       r.valueDim};
  return r.dropout == 0 && (!r.causal || r.queryRange.begin == r.keyRange.begin);
}

/// Row-major [batch, heads, rows, columns].
Extents strides(int64_t heads, int64_t rows, int64_t columns) {
  return {heads * rows * columns, rows * columns, columns, 1};
}
Extents transposedStrides(int64_t heads, int64_t rows, int64_t columns) {
  return {heads * rows * columns, rows * columns, 1, columns};
}

Tensor scoresOf(CudnnGraph& g, Tensor q, Tensor keysTransposed, Tensor scale) {
  return g.pointwise(CUDNN_POINTWISE_MUL, g.product(q, keysTransposed), scale);
}
/// What is masked lies below every number.
Tensor masked(CudnnGraph& g, const Problem& p, Tensor scores) {
  if (!p.causal) return scores;
  return g.lowerTriangle(scores, g.constant(-std::numeric_limits<float>::infinity()));
}

/// Pointers: q, k, v, o, log-sum-exp.
void buildForward(CudnnGraph& g, const Problem& p) {
  const cudnnDataType_t type = p.dtype == DType::f16 ? CUDNN_DATA_HALF : CUDNN_DATA_BFLOAT16;
  const Tensor q = g.stored(type, {p.batch, p.heads, p.queries, p.keyDim},
                            strides(p.heads, p.queries, p.keyDim), 0);
  const Tensor k = g.stored(type, {p.batch, p.groups, p.keyDim, p.keys},
                            transposedStrides(p.groups, p.keys, p.keyDim), 1);
  const Tensor v = g.stored(type, {p.batch, p.groups, p.keys, p.valueDim},
                            strides(p.groups, p.keys, p.valueDim), 2);
  const Tensor o = g.stored(type, {p.batch, p.heads, p.queries, p.valueDim},
                            strides(p.heads, p.queries, p.valueDim), 3);
  const Tensor logSum = g.stored(CUDNN_DATA_FLOAT, {p.batch, p.heads, p.queries, 1},
                                 strides(p.heads, p.queries, 1), 4);
  const Tensor scores = masked(g, p, scoresOf(g, q, k, g.constant(p.scale)));
  const Tensor most = g.reduce(CUDNN_REDUCE_TENSOR_MAX, scores);
  const Tensor shifted = g.pointwise(CUDNN_POINTWISE_SUB, scores, most);
  const Tensor exponentials = g.pointwise(CUDNN_POINTWISE_EXP, shifted);
  const Tensor sum = g.reduce(CUDNN_REDUCE_TENSOR_ADD, exponentials);
  g.pointwise(CUDNN_POINTWISE_ADD, most, g.pointwise(CUDNN_POINTWISE_LOG, sum), logSum);
  g.product(g.pointwise(CUDNN_POINTWISE_DIV, exponentials, sum, type), v, o);
}

/// A gradient of keys or values: of all query heads, then added by group.
void buildGroupGradient(CudnnGraph& g, const Problem& p, Tensor factors, Tensor by, Tensor to,
                        cudnnDataType_t type) {
  const Tensor transposed = g.transposed(factors, type);
  if (p.heads == p.groups) return g.product(transposed, by, to);
  g.reduce(CUDNN_REDUCE_TENSOR_ADD, g.product(transposed, by, type), to);
}

/// Pointers: q, k, v, o, log-sum-exp, dy, dq, dk, dv, row sums of o dy.
void buildBackward(CudnnGraph& g, const Problem& p) {
  const cudnnDataType_t type = p.dtype == DType::f16 ? CUDNN_DATA_HALF : CUDNN_DATA_BFLOAT16;
  const auto ofQueries = [&](int64_t columns, size_t position) {
    return g.stored(type, {p.batch, p.heads, p.queries, columns},
                    strides(p.heads, p.queries, columns), position);
  };
  const auto transposedKeys = [&](int64_t columns, size_t position) {
    return g.stored(type, {p.batch, p.groups, columns, p.keys},
                    transposedStrides(p.groups, p.keys, columns), position);
  };
  const auto ofKeys = [&](int64_t columns, size_t position) {
    return g.stored(type, {p.batch, p.groups, p.keys, columns}, strides(p.groups, p.keys, columns),
                    position);
  };
  const auto ofRows = [&](size_t position) {
    return g.stored(CUDNN_DATA_FLOAT, {p.batch, p.heads, p.queries, 1},
                    strides(p.heads, p.queries, 1), position);
  };
  const Tensor q = ofQueries(p.keyDim, 0), k = transposedKeys(p.keyDim, 1);
  const Tensor v = transposedKeys(p.valueDim, 2), o = ofQueries(p.valueDim, 3);
  const Tensor logSum = ofRows(4), dy = ofQueries(p.valueDim, 5), dq = ofQueries(p.keyDim, 6);
  const Tensor dk = ofKeys(p.keyDim, 7), dv = ofKeys(p.valueDim, 8), rowSums = ofRows(9);
  const Tensor scale = g.constant(p.scale);
  g.pointwise(CUDNN_POINTWISE_MUL,
              g.reduce(CUDNN_REDUCE_TENSOR_ADD, g.pointwise(CUDNN_POINTWISE_MUL, dy, o)),
              g.constant(1), rowSums);
  const Tensor shifted =
      masked(g, p, g.pointwise(CUDNN_POINTWISE_SUB, scoresOf(g, q, k, scale), logSum));
  const Tensor probabilities = g.pointwise(CUDNN_POINTWISE_EXP, shifted);
  buildGroupGradient(g, p, probabilities, dy, dv, type);
  const Tensor centred = g.pointwise(CUDNN_POINTWISE_SUB, g.product(dy, v), rowSums);
  const Tensor ds = g.pointwise(CUDNN_POINTWISE_MUL,
                                g.pointwise(CUDNN_POINTWISE_MUL, centred, probabilities), scale);
  buildGroupGradient(g, p, ds, q, dk, type);
  g.product(ds, g.transposed(k, type), dq);
}

/// The call's outputs but the log-sum-exp, on the host.
std::vector<std::vector<double>> downloaded(CudaContext& context, const KernelCall& call) {
  std::vector<std::vector<double>> values;
  for (const TensorView& v : call.outputs) {
    std::vector<uint16_t> bits(static_cast<size_t>(v.type.elements()));
    if (v.type.bytes().value != static_cast<int64_t>(bits.size() * 2)) continue;
    downloadBytes(context, bits.data(), v.data, v.type.bytes().value);
    std::vector<double>& to = values.emplace_back();
    to.reserve(bits.size());
    for (const uint16_t b : bits)
      to.push_back(v.type.dtype == DType::f16
                       ? Half::widened(b)
                       : std::bit_cast<float>(static_cast<uint32_t>(b) << 16));
  }
  return values;
}

/// |a - b| / |b| of each output is that of rounding; NaN never is.
bool agree(const std::vector<std::vector<double>>& a, const std::vector<std::vector<double>>& b) {
  for (size_t i = 0; i < a.size(); ++i) {
    double difference = 0, size = 0;
    for (size_t k = 0; k < a[i].size(); ++k) {
      difference += (a[i][k] - b[i][k]) * (a[i][k] - b[i][k]);
      size += b[i][k] * b[i][k];
    }
    if (!(difference <= kTolerance * kTolerance * size)) return false;
  }
  return true;
}

class CudnnAttention {
 public:
  explicit CudnnAttention(CudaContext& context) : context_(context) {}
  ~CudnnAttention() {
    graphs_.clear();
    if (handle_) cudnn_->destroy(handle_);
  }
  CudnnAttention(const CudnnAttention&) = delete;
  CudnnAttention& operator=(const CudnnAttention&) = delete;

  bool takes(const KernelCall& call, CudaKernel own) {
    Problem p;
    if (!problemOf(context_, call, p)) return false;
    const auto known = graphs_.find(p.key());
    if (known != graphs_.end()) return known->second != nullptr;
    if (context_.captures() || !context_.kept<MatrixSettings>().timesCandidates) return false;
    graphs_[p.key()] = fastestGraph(p, call, own);
    return graphs_[p.key()] != nullptr;
  }

  void run(const KernelCall& call) {
    Problem p;
    problemOf(context_, call, p);
    execute(*graphs_.at(p.key()), 0, call);
  }

 private:
  /// Null where `own` is faster or cuDNN does not do it.
  std::unique_ptr<CudnnGraph> fastestGraph(const Problem& p, const KernelCall& call,
                                           CudaKernel own) {
    try {
      open();
      auto graph = std::make_unique<CudnnGraph>(*cudnn_);
      p.gradient ? buildBackward(*graph, p) : buildForward(*graph, p);
      graph->compile(handle_, kCandidates);
      const auto best = fastestOf(context_, graph->plans() + 1, [&](size_t i) {
        if (i == 0) return own(context_, call), true;
        return executes(*graph, i - 1, call);
      });
      if (!best || best->index == 0) return nullptr;
      graph->keep(best->index - 1);
      own(context_, call);
      const auto expected = downloaded(context_, call);
      execute(*graph, 0, call);
      if (!agree(downloaded(context_, call), expected))
        throw Error(ErrorKind::runtime, "its results differ from those of the own kernels");
      return graph;
    } catch (const Error& error) {
      report(error);
      return nullptr;
    }
  }

  void open() {
    if (handle_) return;
    if (!cudnn_) cudnn_ = std::make_unique<CudnnFunctions>();
    cudnn_->check(cudnn_->create(&handle_), "cudnnCreate");
  }

  void report(const Error& error) {
    if (reported_) return;
    reported_ = true;
    fmt::print(stderr, "attention runs on own kernels where cuDNN does not take it: {}\n",
               error.what());
  }

  bool executes(CudnnGraph& graph, size_t plan, const KernelCall& call) {
    try {
      execute(graph, plan, call);
      return true;
    } catch (const Error& error) {
      report(error);
      return false;
    }
  }

  void execute(CudnnGraph& graph, size_t plan, const KernelCall& call) {
    std::vector<void*> pointers;
    for (size_t i = 0; i < 3; ++i) pointers.push_back(operandOf(call, i)->data);
    for (size_t i = 0; i < 2; ++i)
      pointers.push_back(call.isGradient() ? call.forwardOutput(i)->data : call.outputs[i].data);
    if (call.isGradient()) {
      pointers.push_back(call.outputGradient(0)->data);
      for (size_t i = 0; i < 3; ++i) pointers.push_back(call.inputGradient(i)->data);
      pointers.push_back(context_.scratch(call.forwardOutput(1)->type.elements() * 4, kRowSums));
    }
    cudnn_->check(cudnn_->setStream(handle_, context_.stream()), "cudnnSetStream");
    graph.execute(handle_, plan, pointers,
                  context_.scratch(graph.workspaceBytes(plan), kWorkspace));
  }

  CudaContext& context_;
  std::unique_ptr<CudnnFunctions> cudnn_;
  cudnnHandle_t handle_ = nullptr;
  std::map<AttentionKey, std::unique_ptr<CudnnGraph>> graphs_;
  bool reported_ = false;
};

}  // namespace

bool fusedAttentionTakes(CudaContext& context, const KernelCall& call, CudaKernel own) {
  return context.kept<CudnnAttention>().takes(call, own);
}

void fusedAttention(CudaContext& context, const KernelCall& call) {
  context.kept<CudnnAttention>().run(call);
}

}  // namespace meshplan
