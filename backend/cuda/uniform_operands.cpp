// SPDX-License-Identifier: Apache-2.0
#include "backend/cuda/uniform_operands.h"

#include <algorithm>

#include "backend/cuda/box_kernels.h"

namespace meshplan {
namespace {

constexpr int kFirstPurpose = 64, kOutPurpose = 32;

bool isComputedIn(DType dtype) {
  return isFloating(dtype) || dtype == DType::i64;
}

DType widest(std::span<const TensorView> inputs, const TensorView& out) {
  bool wide = out.type.dtype == DType::f64, floating = isFloating(out.type.dtype);
  for (const TensorView& t : inputs) {
    wide = wide || t.type.dtype == DType::f64;
    floating = floating || isFloating(t.type.dtype);
  }
  return wide ? DType::f64 : floating ? DType::f32 : DType::i64;
}

}  // namespace

TensorView UniformOperands::beside(CudaContext& context, const TensorType& type, int purpose) {
  return {context.scratch(type.bytes().value, kFirstPurpose + purpose), type};
}

UniformOperands::UniformOperands(CudaContext& context, std::span<const TensorView> inputs,
                                 const TensorView& out, bool convertsOut)
    : context_(context), inputs_(inputs.begin(), inputs.end()), out_(out), wanted_(out) {
  const DType first = inputs[0].type.dtype;
  const bool agree = std::all_of(inputs.begin(), inputs.end(),
                                 [&](const TensorView& t) { return t.type.dtype == first; }) &&
                     isComputedIn(first) && (!convertsOut || out.type.dtype == first);
  dtype_ = agree ? first : widest(inputs, convertsOut ? out : inputs[0]);
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (inputs[i].type.dtype == dtype_) continue;
    inputs_[i] = beside(context, {dtype_, inputs[i].type.shape}, static_cast<int>(i));
    castElements(context, inputs[i], inputs_[i]);
  }
  if (convertsOut && out.type.dtype != dtype_)
    out_ = beside(context, {dtype_, out.type.shape}, kOutPurpose);
}

void UniformOperands::finish() {
  if (out_.data != wanted_.data) castElements(context_, out_, wanted_);
}

}  // namespace meshplan
