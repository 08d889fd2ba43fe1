// SPDX-License-Identifier: Apache-2.0
#include "backend/cpu/axis_ranges.h"
#include "backend/cpu/blocks.h"
#include "backend/cpu/cross_entropy.h"
#include "backend/cpu/map_blocks.h"

namespace meshplan {
namespace {

/// Statistics of a loss over a whole vocabulary: of one rank.
TensorView statisticsOf(CpuContext& context, const TensorView& logits, const TensorView& labels) {
  TensorView statistics;
  statistics.type = labels.type;
  statistics.type.dtype = logits.type.dtype == DType::f64 ? DType::f64 : DType::f32;
  statistics.type.shape.insert(statistics.type.shape.begin(), 1);
  statistics.type.shape.push_back(3);
  statistics.data = context.scratch(static_cast<size_t>(statistics.type.bytes().value));
  return statistics;
}

void crossEntropyForward(CpuContext& context, const KernelCall& call) {
  const TensorView statistics = statisticsOf(context, call.inputs[0], call.inputs[1]);
  crossEntropyStatistics(context, call, statistics);
  crossEntropyLoss(context, call, statistics);
}

void crossEntropyBackward(CpuContext& context, const KernelCall& call) {
  const TensorView inputs[] = {*call.forwardInput(0), *call.forwardInput(1)};
  const TensorView statistics = statisticsOf(context, inputs[0], inputs[1]);
  KernelCall forward = call;
  forward.inputs = inputs;
  crossEntropyStatistics(context, forward, statistics);
  crossEntropyGradient(context, call, statistics);
}

double wholeElements(const KernelCall& call, const Shape& shape) {
  double elements = 1;
  for (size_t d = 0; d < shape.size(); ++d)
    elements *= static_cast<double>(rangeOf(call, d, shape[d]).whole);
  return elements;
}

void squaredErrorForward(CpuContext& context, const KernelCall& call) {
  const TensorView &x = call.inputs[0], &target = call.inputs[1];
  const int64_t elements = x.type.elements(), blocks = ceilDiv(elements, kBlock);
  std::vector<double> sums(static_cast<size_t>(blocks));
  withFloatType(call, [&](auto number) {
    using A = decltype(number);
    parallelRanges(context, blocks, 4 * kBlock, [&](int64_t begin, int64_t end) {
      A a[kBlock], b[kBlock];
      for (int64_t block = begin; block < end; ++block) {
        const int64_t at = block * kBlock, n = std::min(kBlock, elements - at);
        const A *p = loadBlock(x, at, n, a), *q = loadBlock(target, at, n, b);
        double sum = 0;
        for (int64_t i = 0; i < n; ++i) {
          const double difference = static_cast<double>(p[i]) - static_cast<double>(q[i]);
          sum += difference * difference;
        }
        sums[static_cast<size_t>(block)] = sum;
      }
    });
  });
  double loss = 0;
  for (const double sum : sums) loss += sum;
  loss /= wholeElements(call, x.type.shape);
  storeBlock(call.outputs[0], 0, 1, &loss);
}

void squaredErrorBackward(CpuContext& context, const KernelCall& call) {
  const TensorView reads[] = {*call.forwardInput(0), *call.forwardInput(1)};
  const double scale = 2 * call.lossScale / wholeElements(call, reads[0].type.shape);
  for (size_t o = 0; o < call.outputs.size(); ++o) {
    const double sign = call.op->outputSlots[o].index == 0 ? 1 : -1;
    withFloatType(call, [&](auto number) {
      using A = decltype(number);
      const A factor = static_cast<A>(sign * scale);
      mapBroadcast<A>(context, reads, call.outputs[o], 2,
                      [&](const A* const* in, A* out, int64_t n) {
                        for (int64_t i = 0; i < n; ++i) out[i] = factor * (in[0][i] - in[1][i]);
                      });
    });
  }
}

constexpr CpuKernels kKernels[] = {
    {"CrossEntropy", crossEntropyForward, crossEntropyBackward},
    {"MeanSquaredError", squaredErrorForward, squaredErrorBackward},
};

}  // namespace

std::span<const CpuKernels> lossKernels() {
  return kKernels;
}

}  // namespace meshplan
