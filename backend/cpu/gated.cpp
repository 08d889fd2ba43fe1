// SPDX-License-Identifier: Apache-2.0
#include "backend/cpu/activations.h"
#include "backend/cpu/axis_ranges.h"
#include "backend/cpu/blocks.h"
#include "backend/cpu/dropout_rule.h"
#include "backend/cpu/elementwise_tables.h"
#include "backend/cpu/parallel.h"
#include "backend/cpu/random.h"

namespace meshplan {
namespace {

using activation::Parameters;

template <class F, class A>
MESHPLAN_SIMD void gateForward(const A* __restrict x, A* __restrict y, int64_t n, Parameters<A> p) {
  for (int64_t i = 0; i < n; ++i) y[i] = F::forward(x[2 * i], p) * x[2 * i + 1];
}

template <class F, class A>
MESHPLAN_SIMD void gateBackward(const A* __restrict dy, const A* __restrict x, A* __restrict dx,
                                int64_t n, Parameters<A> p) {
  for (int64_t i = 0; i < n; ++i) {
    const A gate = x[2 * i], up = x[2 * i + 1];
    dx[2 * i] = F::backward(dy[i] * up, gate, p);
    dx[2 * i + 1] = dy[i] * F::forward(gate, p);
  }
}

constexpr int64_t kWork = 8;

template <class F>
void gatedForward(CpuContext& context, const KernelCall& call) {
  const TensorView &x = call.inputs[0], &y = call.outputs[0];
  withFloatType(call, [&](auto number) {
    using A = decltype(number);
    parallelRanges(context, y.type.elements(), kWork, [&](int64_t begin, int64_t end) {
      A in[2 * kBlock], out[kBlock];
      for (int64_t at = begin; at < end; at += kBlock) {
        const int64_t n = std::min(kBlock, end - at);
        A* target = blockTarget(y, at, out);
        gateForward<F, A>(loadBlock(x, 2 * at, 2 * n, in), target, n, {A(1), A(0)});
        if (target == out) storeBlock(y, at, n, target);
      }
    });
  });
}

template <class F>
void gatedBackward(CpuContext& context, const KernelCall& call) {
  const TensorView &dy = *call.outputGradient(0), &x = *call.forwardInput(0);
  const TensorView& dx = *call.inputGradient(0);
  withFloatType(call, [&](auto number) {
    using A = decltype(number);
    parallelRanges(context, dy.type.elements(), kWork, [&](int64_t begin, int64_t end) {
      A in[2 * kBlock], out[2 * kBlock], gradient[kBlock];
      for (int64_t at = begin; at < end; at += kBlock) {
        const int64_t n = std::min(kBlock, end - at);
        A* target = blockTarget(dx, 2 * at, out);
        gateBackward<F, A>(loadBlock(dy, at, n, gradient), loadBlock(x, 2 * at, 2 * n, in), target,
                           n, {A(1), A(0)});
        if (target == out) storeBlock(dx, 2 * at, 2 * n, target);
      }
    });
  });
}

bool isTanhForm(const KernelCall& call) {
  return call.op->attributes.getString("approximate", "none") == "tanh";
}
void gegluForward(CpuContext& context, const KernelCall& call) {
  if (isTanhForm(call)) return gatedForward<activation::TanhGelu>(context, call);
  gatedForward<activation::Gelu>(context, call);
}
void gegluBackward(CpuContext& context, const KernelCall& call) {
  if (isTanhForm(call)) return gatedBackward<activation::TanhGelu>(context, call);
  gatedBackward<activation::Gelu>(context, call);
}

MESHPLAN_SIMD void drawMask(PlacedRandom random, uint64_t drops, uint64_t first,
                            uint8_t* __restrict mask, int64_t count) {
  for (int64_t i = 0; i < count; ++i)
    mask[i] = random.word(first + static_cast<uint64_t>(i)) >= drops;
}

template <class A>
MESHPLAN_SIMD void applyMask(const A* __restrict x, const uint8_t* __restrict mask, A scale,
                             A* __restrict y, int64_t n) {
  for (int64_t i = 0; i < n; ++i) y[i] = mask[i] ? x[i] * scale : A(0);
}

void dropoutForward(CpuContext& context, const KernelCall& call) {
  const TensorView &x = call.inputs[0], &y = call.outputs[0];
  uint8_t* mask = call.outputs[1].as<uint8_t>();
  const DropoutRule rule(call);
  const PlacedRandom random(call.seed, call.op->name);
  const GlobalPlaces places(call, x.type.shape);
  withFloatType(call, [&](auto number) {
    using A = decltype(number);
    const A scale = static_cast<A>(rule.scale);
    const int64_t run = places.run();
    parallelRanges(context, places.rows(), 4 * run, [&](int64_t begin, int64_t end) {
      A in[kBlock], out[kBlock];
      for (int64_t row = begin; row < end; ++row)
        for (int64_t at = 0; at < run; at += kBlock) {
          const int64_t n = std::min(kBlock, run - at), local = row * run + at;
          drawMask(random, rule.drops, static_cast<uint64_t>(places.start(row) + at), mask + local,
                   n);
          const A* source = loadBlock(x, local, n, in);
          applyMask<A>(source, mask + local, scale, out, n);
          storeBlock(y, local, n, out);
        }
    });
  });
}

void dropoutBackward(CpuContext& context, const KernelCall& call) {
  const TensorView &dy = *call.outputGradient(0), &dx = *call.inputGradient(0);
  const uint8_t* mask = call.forwardOutput(1)->as<uint8_t>();
  const DropoutRule rule(call);
  withFloatType(call, [&](auto number) {
    using A = decltype(number);
    const A scale = static_cast<A>(rule.scale);
    parallelRanges(context, dy.type.elements(), 2, [&](int64_t begin, int64_t end) {
      A in[kBlock], out[kBlock];
      for (int64_t at = begin; at < end; at += kBlock) {
        const int64_t n = std::min(kBlock, end - at);
        const A* source = loadBlock(dy, at, n, in);
        applyMask<A>(source, mask + at, scale, out, n);
        storeBlock(dx, at, n, out);
      }
    });
  });
}

constexpr CpuKernels kKernels[] = {
    {"SwiGLU", gatedForward<activation::Swish>, gatedBackward<activation::Swish>},
    {"GeGLU", gegluForward, gegluBackward},
    {"Dropout", dropoutForward, dropoutBackward},
};

}  // namespace

std::span<const CpuKernels> gatedKernels() {
  return kKernels;
}

}  // namespace meshplan
