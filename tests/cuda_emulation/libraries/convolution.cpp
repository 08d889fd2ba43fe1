// SPDX-License-Identifier: Apache-2.0
// Convolutions of the emulated device, by the processor. Only those of two dimensions and one group
// in fp32 and bf16: the others show what is done where a library has none.
#include "backend/cuda/convolution.h"

#include <optional>

#include "tests/cuda_emulation/emulator.h"

namespace meshplan {
namespace {

/// Keeps the primitives that it has compiled.
struct Processor {
  explicit Processor(CudaContext&) {}
  CpuContext context{1};
};

}  // namespace

bool convolveInLibrary(CudaContext& context, const ConvolutionGeometry& g, ConvolutionPass pass,
                       const ConvolutionData& d) {
  const DType type = d.x.type.dtype;
  if ((type != DType::f32 && type != DType::bf16) || g.in.size() != 2 || g.groups != 1)
    return false;
  if (d.x.type.elements() == 0 || d.y.type.elements() == 0) return false;
  std::optional<TensorView> bias;
  if (d.bias) bias = *d.bias;
  context.check(emulation::enqueue(context.stream(),
                                   [g, pass, d, bias, cpu = &context.kept<Processor>()] {
                                     ConvolutionData data = d;
                                     data.bias = bias ? &*bias : nullptr;
                                     convolvePatches(cpu->context, g, pass, data);
                                   }),
                "a convolution");
  return true;
}

std::string convolutionLibrary(CudaContext&) {
  return "the emulated cuDNN";
}

}  // namespace meshplan
