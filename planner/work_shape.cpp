// SPDX-License-Identifier: Apache-2.0
#include "planner/work_shape.h"

#include <algorithm>
#include <cmath>

namespace meshplan {
namespace {

// Kinds of attention are different kernels: as far apart as an extent of 8 times.
constexpr double kOtherKernel = 2.079;

double ln(double extent) {
  return std::log(std::max(extent, 1.0));
}

double kindOf(const AttentionShape& a) {
  const int kind = a.flash + 2 * a.firstFlash + 4 * a.fusedSoftmax + 8 * a.causal + 16 * a.dropout;
  return kOtherKernel * kind;
}

WorkShape amountsOf(const OperatorWork& work) {
  const double bytes = std::max(work.bytes, 1.0), elements = std::max(work.outputElements, 1.0);
  return {{std::log(bytes), std::log(bytes / elements), std::log1p(work.flops / bytes)}};
}

}  // namespace

WorkShape shapeOf(const OperatorWork& work) {
  const ContractionShape& c = work.contraction;
  const AttentionShape& a = work.attention;
  switch (work.def->opClass) {
    case OpClass::contraction:
      return {{ln(c.batch), ln(c.m), ln(c.n), ln(c.k)}};
    case OpClass::recurrent:
      return {{ln(c.batch), ln(c.m), ln(c.n), ln(c.k), ln(work.flops)}};
    case OpClass::convolution:
      return {{ln(c.batch), ln(c.m), ln(c.n), ln(c.k), ln(work.kernelArea), ln(work.strideArea)}};
    case OpClass::attention:
      return {
          {ln(a.batch * a.heads), ln(a.queryLength), ln(a.keyLength), ln(a.headDim), kindOf(a)}};
    default:
      return amountsOf(work);
  }
}

}  // namespace meshplan
