// SPDX-License-Identifier: Apache-2.0
#include "backend/onnx_quantization.h"

#include <algorithm>
#include <cmath>

#include "core/import/onnx_reader.h"
#include "core/operators/support.h"

namespace meshplan {
namespace {

using Inputs = std::vector<const HostTensor*>;

/// Which scale and zero point an element has.
class Scales {
 public:
  Scales(const OnnxNode& node, const Inputs& inputs)
      : shape_(inputs.at(0)->shape()), scaleShape_(inputs.at(1)->shape()) {
    scales_ = toDoubles(*inputs[1]);
    zeros_.assign(scales_.size(), 0);
    if (inputs.size() > 2 && inputs[2]) zeros_ = toDoubles(*inputs[2]);
    if (zeros_.size() != scales_.size()) rejectInputs("scales and zero points differ in number");
    if (scales_.size() == 1) return;
    axis_ = dimensionIndex(node.getInt("axis", 1), shape_.size());
    block_ = std::max<int64_t>(node.getInt("block_size", 0), 0);
    if (fitted() != scaleShape_) rejectInputs("the scales do not fit the tensor");
  }

  double scale(size_t element) const { return scales_[index(element)]; }
  double zero(size_t element) const { return zeros_[index(element)]; }

 private:
  Shape fitted() const {
    if (block_ == 0) return {shape_[axis_]};
    Shape blocks = shape_;
    blocks[axis_] = (shape_[axis_] + block_ - 1) / block_;
    return blocks;
  }

  size_t index(size_t element) const {
    if (scales_.size() == 1) return 0;
    size_t stride = 1, offset = 0;
    for (size_t d = shape_.size(); d-- > 0;) {
      const auto extent = static_cast<size_t>(shape_[d]);
      const size_t at = element % extent;
      element /= extent;
      if (block_ == 0 && d == axis_) return at;
      if (block_ == 0) continue;
      offset += stride * (d == axis_ ? at / static_cast<size_t>(block_) : at);
      stride *= static_cast<size_t>(scaleShape_[d]);
    }
    return offset;
  }

  Shape shape_, scaleShape_;
  std::vector<double> scales_, zeros_;
  size_t axis_ = 0;
  int64_t block_ = 0;
};

void checkWidth(DType dtype) {
  if (dtype != DType::i8 && dtype != DType::u8 && dtype != DType::i32)
    throw Unplannable{"quantised numbers of " + std::string(dtypeName(dtype)) +
                      " are not computed"};
}

/// Ties are decided in the precision of the input.
double ratio(double value, double scale, bool fp64) {
  return fp64 ? value / scale : static_cast<float>(value) / static_cast<float>(scale);
}

DType quantizedType(const OnnxNode& node, const Inputs& inputs) {
  if (inputs.size() > 2 && inputs[2]) return inputs[2]->type().dtype;
  const auto code = static_cast<int>(node.getInt("output_dtype", 0));
  return code == 0 ? DType::u8 : onnxDType(code);
}

}  // namespace

HostTensor quantizeLinear(const OnnxNode& node, const Inputs& inputs) {
  for (size_t i = 0; i < 2; ++i) node.input(i);  // throws when it is left out
  const DType dtype = quantizedType(node, inputs);
  checkWidth(dtype);
  const double low = dtype == DType::u8 ? 0 : dtype == DType::i8 ? -128 : -0x1p31;
  const double high = dtype == DType::u8 ? 255 : dtype == DType::i8 ? 127 : 0x1p31 - 1;
  const Scales scales(node, inputs);
  const bool fp64 = inputs[0]->type().dtype == DType::f64;
  std::vector<double> values = toDoubles(*inputs[0]);
  for (size_t i = 0; i < values.size(); ++i)
    values[i] = std::clamp(std::nearbyint(ratio(values[i], scales.scale(i), fp64)) + scales.zero(i),
                           low, high);
  return fromDoubles({dtype, inputs[0]->shape()}, values);
}

HostTensor dequantizeLinear(const OnnxNode& node, const Inputs& inputs) {
  for (size_t i = 0; i < 2; ++i) node.input(i);
  checkWidth(inputs[0]->type().dtype);
  const Scales scales(node, inputs);
  std::vector<double> values = toDoubles(*inputs[0]);
  for (size_t i = 0; i < values.size(); ++i)
    values[i] = (values[i] - scales.zero(i)) * scales.scale(i);
  return fromDoubles({inputs[1]->type().dtype, inputs[0]->shape()}, values);
}

}  // namespace meshplan
