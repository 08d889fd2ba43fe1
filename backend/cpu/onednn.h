// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "backend/cpu/convolution.h"
#include "backend/cpu/product.h"

namespace meshplan {

/// What oneDNN computes for the kernels of the processor (dnnl_*.cpp). A program that shall need no
/// library for them is built without it (without_libraries.cpp): it then knows nothing.

/// multiply() of product.h for fp32 and bf16; false where oneDNN cannot.
bool multiplyDnnl(CpuContext& context, const ProductExtents& extents, const Matrices& a,
                  const Matrices& b, const Matrices& c, const ProductOptions& options);

/// A convolution in fp32 or bf16, in the layouts that oneDNN likes best; false where it has none.
bool convolveDnnl(CpuContext& context, const ConvolutionGeometry& geometry, ConvolutionPass pass,
                  const ConvolutionData& data);

/// Before multiplyHere is called in a parallel loop.
void prepareDnnl(CpuContext& context);

/// The library with its version, as measurements name it.
std::string dnnlName();
/// What multiplies in fp64, with its version.
std::string blasName();

}  // namespace meshplan
