// SPDX-License-Identifier: Apache-2.0
#include "backend/cpu/order_kernels.h"

#include <algorithm>
#include <numeric>

#include "backend/cpu/blocks.h"
#include "backend/cpu/lines.h"
#include "backend/cpu/parallel.h"
#include "backend/cpu/strided.h"

namespace meshplan {
namespace {

template <bool largest>
void argForward(CpuContext& context, const KernelCall& call) {
  const TensorView& x = call.inputs[0];
  const Lines lines(x.type.shape, call.op->attributes.getInt("axis", 0));
  const bool last = call.op->attributes.getInt("select_last_index", 0) != 0;
  auto* y = call.outputs[0].as<int64_t>();
  withComputeType(call, [&](auto number) {
    using A = decltype(number);
    parallelRanges(context, lines.count(), 4 * lines.extent, [&](int64_t begin, int64_t end) {
      std::vector<A> line(static_cast<size_t>(lines.extent));
      for (int64_t l = begin; l < end; ++l) {
        readLine(x, lines, l, line.data());
        int64_t best = 0;
        for (int64_t i = 1; i < lines.extent; ++i) {
          const A a = line[static_cast<size_t>(i)], b = line[static_cast<size_t>(best)];
          if ((largest ? a > b : a < b) || (last && a == b)) best = i;
        }
        y[l] = best;
      }
    });
  });
}

}  // namespace

void argMaxForward(CpuContext& context, const KernelCall& call) {
  argForward<true>(context, call);
}
void argMinForward(CpuContext& context, const KernelCall& call) {
  argForward<false>(context, call);
}

void topKForward(CpuContext& context, const KernelCall& call) {
  const TensorView &x = call.inputs[0], &values = call.outputs[0];
  const int64_t axis = call.op->attributes.getInt("axis", -1);
  const bool largest = call.op->attributes.getInt("largest", 1) != 0;
  const Lines from(x.type.shape, axis), to(values.type.shape, axis);
  withComputeType(call, [&](auto number) {
    using A = decltype(number);
    parallelRanges(context, from.count(), 16 * from.extent, [&](int64_t begin, int64_t end) {
      std::vector<A> line(static_cast<size_t>(from.extent));
      std::vector<int64_t> order(line.size());
      for (int64_t l = begin; l < end; ++l) {
        readLine(x, from, l, line.data());
        std::iota(order.begin(), order.end(), 0);
        std::partial_sort(order.begin(), order.begin() + to.extent, order.end(),
                          [&](int64_t i, int64_t j) {
                            const A a = line[static_cast<size_t>(i)];
                            const A b = line[static_cast<size_t>(j)];
                            return a == b ? i < j : largest ? a > b : a < b;
                          });
        for (int64_t k = 0; k < to.extent; ++k) {
          const int64_t i = order[static_cast<size_t>(k)];
          storeBlock(values, to.place(l, k), 1, &line[static_cast<size_t>(i)]);
          call.outputs[1].as<int64_t>()[to.place(l, k)] = i;
        }
      }
    });
  });
}

void topKBackward(CpuContext& context, const KernelCall& call) {
  const TensorView &dy = *call.outputGradient(0), &dx = *call.inputGradient(0);
  const auto* indices = call.forwardOutput(1)->as<int64_t>();
  const int64_t axis = call.op->attributes.getInt("axis", -1);
  const Lines from(dx.type.shape, axis), to(dy.type.shape, axis);
  fillZero(context, dx);
  withFloatType(call, [&](auto number) {
    using A = decltype(number);
    for (int64_t l = 0; l < to.count(); ++l)
      for (int64_t k = 0; k < to.extent; ++k) {
        A buffer;
        const A* gradient = loadBlock(dy, to.place(l, k), 1, &buffer);
        storeBlock(dx, from.place(l, indices[to.place(l, k)]), 1, gradient);
      }
  });
}

namespace {

void cumulate(CpuContext& context, const KernelCall& call, const TensorView& x, const TensorView& y,
              bool reverse) {
  const Lines lines(x.type.shape, call.op->attributes.getInt("axis", 0));
  const bool exclusive = call.op->attributes.getInt("exclusive", 0) != 0;
  withComputeType(call, [&](auto number) {
    using A = decltype(number);
    parallelRanges(context, lines.count(), 4 * lines.extent, [&](int64_t begin, int64_t end) {
      std::vector<A> line(static_cast<size_t>(lines.extent));
      for (int64_t l = begin; l < end; ++l) {
        readLine(x, lines, l, line.data());
        A sum{};
        for (int64_t i = 0; i < lines.extent; ++i) {
          A& at = line[static_cast<size_t>(reverse ? lines.extent - 1 - i : i)];
          const A before = sum;
          sum += at;
          at = exclusive ? before : sum;
        }
        writeLine(y, lines, l, line.data());
      }
    });
  });
}

bool isReversed(const KernelCall& call) {
  return call.op->attributes.getInt("reverse", 0) != 0;
}

}  // namespace

void cumSumForward(CpuContext& context, const KernelCall& call) {
  cumulate(context, call, call.inputs[0], call.outputs[0], isReversed(call));
}
void cumSumBackward(CpuContext& context, const KernelCall& call) {
  cumulate(context, call, *call.outputGradient(0), *call.inputGradient(0), !isReversed(call));
}

}  // namespace meshplan
