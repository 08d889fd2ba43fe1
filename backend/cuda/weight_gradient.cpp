// SPDX-License-Identifier: Apache-2.0
#include "backend/cuda/weight_gradient.h"

#include <fmt/core.h>

#include "backend/cuda/fastest.h"
#include "backend/cuda/matrix_choices.h"
#include "backend/cuda/parameter_kernels.h"
#include "backend/cuda/row_sums.h"

namespace meshplan {
namespace {

constexpr int kSums = -26;  // purpose of scratch memory
constexpr std::byte kFused{1}, kSeparate{0};

bool runFused(CudaContext& context, const WeightGradient& g) {
  const TensorType& type = g.sums.type;
  MatrixProduct p = g.product;
  p.columnSums = g.accumulate ? context.scratch(type.bytes().value, kSums) : g.sums.data;
  if (!multiplyFused(context, p)) return false;
  if (g.accumulate) addElements(context, g.sums.data, p.columnSums, type.elements(), type.dtype);
  return true;
}

bool runSeparately(CudaContext& context, const WeightGradient& g) {
  multiply(context, g.product);
  sumRows(context, g.op, g.dy, g.sums, g.accumulate);
  return true;
}

std::string keyOf(CudaContext& context, const WeightGradient& g) {
  return fmt::format("{} sm_{} {}{}{} with the sums of columns", matrixLibrary(context),
                     context.capability(), productText(g.product),
                     g.product.c.column == 1 ? "" : " transposed",
                     context.kept<MatrixSettings>().tf32 ? " tf32" : "");
}

bool fuses(CudaContext& context, const WeightGradient& g) {
  if (g.sums.type.dtype != g.product.c.dtype) return false;
  if (!context.kept<MatrixSettings>().timesCandidates) return true;
  MatrixChoices& choices = context.kept<MatrixChoices>();
  const std::string key = keyOf(context, g);
  if (const MatrixChoice* known = choices.find(key)) return known->algorithm == std::vector{kFused};
  // Timing repeats the work: nothing may be added to. The first micro-batch of a step never is.
  if (g.accumulate || g.product.accumulate || context.captures()) return false;
  const auto fastest = fastestOf(context, 2, [&](size_t i) {
    return i == 0 ? runFused(context, g) : runSeparately(context, g);
  });
  if (!fastest) return false;
  const bool fused = fastest->index == 0;
  choices.addTimed({key, {fused ? kFused : kSeparate}, fastest->seconds});
  return fused;
}

}  // namespace

void multiplyWithSums(CudaContext& context, const WeightGradient& g) {
  if (!fuses(context, g) || !runFused(context, g)) runSeparately(context, g);
}

}  // namespace meshplan
