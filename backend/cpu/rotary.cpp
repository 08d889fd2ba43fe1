// SPDX-License-Identifier: Apache-2.0
#include <cmath>

#include "backend/cpu/blocks.h"
#include "backend/cpu/elementwise_tables.h"
#include "backend/cpu/parallel.h"
#include "backend/cpu/rotation.h"

namespace meshplan {
namespace {

/// Cosines and sines per position and pair, kept for the layers that follow.
struct RotationTable {
  Rotation rotation;
  std::vector<double> cosines, sines;

  void prepare(const Rotation& wanted) {
    if (wanted == rotation) return;
    rotation = wanted;
    const int64_t pairs = rotation.rotated / 2;
    cosines.resize(static_cast<size_t>(rotation.positions * pairs));
    sines.resize(cosines.size());
    for (int64_t j = 0; j < pairs; ++j) {
      const double speed = rotation.speed(j);
      for (int64_t s = 0; s < rotation.positions; ++s) {
        const double angle = static_cast<double>(rotation.begin + s) * speed;
        cosines[static_cast<size_t>(s * pairs + j)] = std::cos(angle);
        sines[static_cast<size_t>(s * pairs + j)] = std::sin(angle);
      }
    }
  }
};

template <class A>
void rotateHead(const A* x, A* y, const RotationTable& table, int64_t position, A direction) {
  const Rotation& r = table.rotation;
  const int64_t pairs = r.rotated / 2, still = r.dim - r.rotated;
  const int64_t partner = r.interleaved ? 1 : pairs, step = r.interleaved ? 2 : 1;
  const double* cosine = table.cosines.data() + position * pairs;
  const double* sine = table.sines.data() + position * pairs;
  std::copy_n(x, still, y);
  for (int64_t j = 0; j < pairs; ++j) {
    const int64_t at = still + j * step;
    const A c = static_cast<A>(cosine[j]), s = direction * static_cast<A>(sine[j]);
    const A a = x[at], b = x[at + partner];
    y[at] = a * c - b * s;
    y[at + partner] = a * s + b * c;
  }
}

void rotate(CpuContext& context, const KernelCall& call, const TensorView& x, const TensorView& y,
            double direction) {
  const Rotation rotation(call, x.type.shape);
  RotationTable& table = context.kept<RotationTable>();
  table.prepare(rotation);
  const int64_t dim = rotation.dim, positions = rotation.positions;
  withFloatType(call, [&](auto number) {
    using A = decltype(number);
    parallelRanges(context, x.type.elements() / dim, 4 * dim, [&](int64_t begin, int64_t end) {
      std::vector<A> in(static_cast<size_t>(dim)), out(static_cast<size_t>(dim));
      for (int64_t row = begin; row < end; ++row) {
        A* target = blockTarget(y, row * dim, out.data());
        rotateHead<A>(loadBlock(x, row * dim, dim, in.data()), target, table, row % positions,
                      static_cast<A>(direction));
        if (target == out.data()) storeBlock(y, row * dim, dim, target);
      }
    });
  });
}

void rotaryForward(CpuContext& context, const KernelCall& call) {
  rotate(context, call, call.inputs[0], call.outputs[0], 1);
}
void rotaryBackward(CpuContext& context, const KernelCall& call) {
  rotate(context, call, *call.outputGradient(0), *call.inputGradient(0), -1);
}

constexpr CpuKernels kKernels[] = {{"Rotary", rotaryForward, rotaryBackward}};

}  // namespace

std::span<const CpuKernels> rotaryKernels() {
  return kKernels;
}

}  // namespace meshplan
