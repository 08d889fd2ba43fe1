// SPDX-License-Identifier: Apache-2.0
#include "backend/onnx_host_nodes.h"

#include <cmath>
#include <cstring>

#include "backend/onnx_attention.h"
#include "backend/onnx_quantization.h"
#include "backend/tensor_proto.h"
#include "core/error.h"
#include "core/import/onnx.pb.h"
#include "core/import/onnx_reader.h"
#include "core/operators/support.h"

namespace meshplan {
namespace {

using Inputs = std::vector<const HostTensor*>;

std::vector<int64_t> integers(const HostTensor& tensor) {
  const HostTensor wide = converted(tensor, DType::i64);
  const auto values = wide.as<int64_t>();
  return {values.begin(), values.end()};
}

const HostTensor& required(const OnnxNode& node, const Inputs& inputs, size_t i) {
  node.input(i);  // throws when it is left out
  return *inputs[i];
}

/// A tensor as outer x extent x inner elements around one dimension.
struct Lines {
  size_t outer = 1, extent = 1, inner = 1;  // inner in bytes
  Lines(const TensorType& type, size_t axis) {
    inner = static_cast<size_t>(dtypeBytes(type.dtype));
    for (size_t i = 0; i < type.shape.size(); ++i)
      (i < axis ? outer : i == axis ? extent : inner) *= static_cast<size_t>(type.shape[i]);
  }
};

/// Fills a tensor with copies of the one element of another.
HostTensor filled(const HostTensor& element, const Shape& shape) {
  checkShape(shape);
  HostTensor result(TensorType{element.type().dtype, shape});
  const size_t width = element.bytes().size();
  for (size_t at = 0; at < result.bytes().size(); at += width)
    std::memcpy(result.bytes().data() + at, element.bytes().data(), width);
  return result;
}

HostTensor constantOfShape(const OnnxFileReader& file, OnnxNode& node, const Inputs& in) {
  const onnx::TensorProto* value = node.getTensor("value");
  const HostTensor element = value ? file.read(*value) : HostTensor(TensorType{DType::f32, {1}});
  if (element.elements() != 1) rejectInputs("the value of ConstantOfShape is not one element");
  return filled(element, integers(required(node, in, 0)));
}

std::optional<HostTensor> constant(const OnnxFileReader& file, OnnxNode& node) {
  if (const onnx::TensorProto* value = node.getTensor("value")) return file.read(*value);
  for (const char* name : {"value_string", "value_strings", "sparse_value"})
    if (node.hasAttribute(name)) throw Unplannable{std::string(name) + " is no dense number"};
  return std::nullopt;
}

HostTensor range(OnnxNode& node, const Inputs& in) {
  const HostTensor& first = required(node, in, 0);
  const double start = toDoubles(first).at(0), limit = toDoubles(required(node, in, 1)).at(0),
               step = toDoubles(required(node, in, 2)).at(0);
  const double count = std::ceil((limit - start) / step);
  if (!(count < 1e12)) rejectInputs("the range has no length");
  const TensorType type{first.type().dtype, {std::max<int64_t>(0, static_cast<int64_t>(count))}};
  checkShape(type.shape);
  std::vector<double> values;
  for (int64_t i = 0; i < type.shape[0]; ++i)
    values.push_back(start + static_cast<double>(i) * step);
  return fromDoubles(type, values);
}

HostTensor nonZero(OnnxNode& node, const Inputs& in) {
  const HostTensor& x = required(node, in, 0);
  const std::vector<double> values = toDoubles(x);
  const auto count =
      static_cast<int64_t>(values.size()) - std::count(values.begin(), values.end(), 0.0);
  const auto rank = static_cast<int64_t>(x.shape().size());
  HostTensor indices(TensorType{DType::i64, {rank, count}});
  size_t found = 0;
  for (size_t flat = 0; flat < values.size(); ++flat) {
    if (values[flat] == 0) continue;
    size_t rest = flat;
    for (size_t d = x.shape().size(); d-- > 0;) {
      const auto extent = static_cast<size_t>(x.shape()[d]);
      indices.as<int64_t>()[d * static_cast<size_t>(count) + found] =
          static_cast<int64_t>(rest % extent);
      rest /= extent;
    }
    ++found;
  }
  return indices;
}

HostTensor compress(OnnxNode& node, const Inputs& in) {
  HostTensor x = required(node, in, 0);
  if (!node.hasAttribute("axis")) x.reshape({x.elements()});
  const size_t axis = dimensionIndex(node.getInt("axis", 0), x.shape().size());
  const std::vector<int64_t> keep = integers(required(node, in, 1));
  const Lines from(x.type(), axis);
  if (keep.size() > from.extent) rejectInputs("the condition is longer than the dimension");
  TensorType type = x.type();
  type.shape[axis] = static_cast<int64_t>(keep.size()) - std::count(keep.begin(), keep.end(), 0);
  HostTensor result(type);
  std::byte* to = result.bytes().data();
  for (size_t o = 0; o < from.outer; ++o)
    for (size_t i = 0; i < keep.size(); ++i) {
      if (keep[i] == 0) continue;
      std::memcpy(to, x.bytes().data() + (o * from.extent + i) * from.inner, from.inner);
      to += from.inner;
    }
  return result;
}

HostTensor reverseSequence(OnnxNode& node, const Inputs& in) {
  const HostTensor& x = required(node, in, 0);
  const std::vector<int64_t> lengths = integers(required(node, in, 1));
  const int64_t time = node.getInt("time_axis", 0), batch = node.getInt("batch_axis", 1);
  if (x.shape().size() < 2 || time + batch != 1 || time * batch != 0)
    rejectInputs("time and batch are not the first two dimensions");
  const auto timeAxis = static_cast<size_t>(time), batchAxis = static_cast<size_t>(batch);
  const auto steps = static_cast<size_t>(x.shape()[timeAxis]),
             samples = static_cast<size_t>(x.shape()[batchAxis]);
  if (lengths.size() != samples) rejectInputs("there is not one length per sample");
  HostTensor result(x.type());
  const size_t inner = Lines(x.type(), 1).inner;
  const auto at = [&](size_t t, size_t b) {
    return (timeAxis == 0 ? t * samples + b : b * steps + t) * inner;
  };
  for (size_t b = 0; b < samples; ++b) {
    if (lengths[b] < 0 || lengths[b] > static_cast<int64_t>(steps))
      rejectInputs("a length is beyond the number of steps");
    const auto length = static_cast<size_t>(lengths[b]);
    for (size_t t = 0; t < steps; ++t)
      std::memcpy(result.bytes().data() + at(t, b),
                  x.bytes().data() + at(t < length ? length - 1 - t : t, b), inner);
  }
  return result;
}

HostTensor oneHot(OnnxNode& node, const Inputs& in) {
  const HostTensor &indices = required(node, in, 0), &values = required(node, in, 2);
  const std::vector<int64_t> depths = integers(required(node, in, 1)), hot = integers(indices);
  if (depths.size() != 1 || depths[0] < 1 || values.elements() != 2)
    rejectInputs("depth and values of OneHot are not one and two numbers");
  TensorType type{values.type().dtype, indices.shape()};
  const size_t axis = dimensionIndex(node.getInt("axis", -1), type.shape.size() + 1);
  type.shape.insert(type.shape.begin() + static_cast<int64_t>(axis), depths[0]);
  checkShape(type.shape);
  HostTensor result(type);
  const Lines to(type, axis);
  const auto width = static_cast<size_t>(dtypeBytes(type.dtype));
  const size_t inner = to.inner / width;
  for (size_t i = 0; i < static_cast<size_t>(result.elements()); ++i) {
    const auto k = static_cast<int64_t>(i / inner % to.extent);
    const int64_t index = hot[i / inner / to.extent * inner + i % inner];
    const bool on = k == (index < 0 ? index + depths[0] : index);
    std::memcpy(result.bytes().data() + i * width, values.bytes().data() + (on ? width : 0), width);
  }
  return result;
}

void refuseRandom(const OnnxNode& node) {
  if (node.type.starts_with("Random") || node.type == "Bernoulli")
    throw Unplannable{"random numbers cannot be predicted"};
}

std::optional<HostTensor> single(const OnnxFileReader& file, OnnxNode& node, const Inputs& inputs) {
  refuseRandom(node);
  if (node.type == "Constant") return constant(file, node);
  if (node.type == "ConstantOfShape") return constantOfShape(file, node, inputs);
  if (node.type == "Range") return range(node, inputs);
  if (node.type == "NonZero") return nonZero(node, inputs);
  if (node.type == "Compress") return compress(node, inputs);
  if (node.type == "ReverseSequence") return reverseSequence(node, inputs);
  if (node.type == "OneHot") return oneHot(node, inputs);
  if (node.type == "RotaryEmbedding") return runOnnxRotaryEmbedding(node, inputs);
  if (node.type == "QuantizeLinear") return quantizeLinear(node, inputs);
  if (node.type == "DequantizeLinear") return dequantizeLinear(node, inputs);
  return std::nullopt;
}

}  // namespace

std::vector<HostTensor> runHostNode(const OnnxFileReader& file, OnnxNode& node,
                                    const Inputs& inputs) {
  if (isRareAttention(node)) return runOnnxAttention(node, inputs);
  std::vector<HostTensor> outputs;
  if (std::optional<HostTensor> one = single(file, node, inputs))
    outputs.push_back(std::move(*one));
  return outputs;
}

std::optional<SmallTensor> smallFrom(const HostTensor& tensor) {
  const DType dtype = tensor.type().dtype;
  if (tensor.elements() > kMaxKnownElements) return std::nullopt;
  SmallTensor small{tensor.type(), {}, {}};
  if (isFloating(dtype))
    small.floats = toDoubles(tensor);
  else
    small.ints = integers(tensor);
  return small;
}

HostTensor hostFrom(const SmallTensor& tensor) {
  if (tensor.floating()) return fromDoubles(tensor.type, tensor.floats);
  HostTensor wide(TensorType{DType::i64, tensor.type.shape});
  std::copy(tensor.ints.begin(), tensor.ints.end(), wide.as<int64_t>().begin());
  return converted(wide, tensor.type.dtype);
}

}  // namespace meshplan
