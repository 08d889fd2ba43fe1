// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "core/error.h"
#include "core/import/onnx.pb.h"
#include "core/import/onnx_reader.h"
#include "core/import/onnx_translate.h"

namespace meshplan {
namespace {

Value filled(OnnxNode& node, DType dtype, const Shape& shape, double number, bool trained) {
  checkShape(shape);
  std::optional<SmallTensor> data;
  if (elementCount(shape) <= kMaxKnownElements) {
    data = SmallTensor{{dtype, shape}, {}, {}};
    const auto count = static_cast<size_t>(elementCount(shape));
    const SmallTensor scalar = smallScalar(dtype, number);
    if (data->floating())
      data->floats.assign(count, scalar.number(0));
    else
      data->ints.assign(count, scalar.integer(0));
  }
  const std::string name =
      node.proto.output_size() > 0 ? node.proto.output(0) : std::string(node.name);
  return node.builder.constant(name, {dtype, shape}, std::move(data), trained);
}

std::vector<Value> constantNode(OnnxNode& node) {
  if (const auto* tensor = node.getTensor("value"))
    return {
        node.builder.constant(node.proto.output(0), onnxType(*tensor), readSmall(*tensor), false)};
  if (node.hasAttribute("value_int"))
    return {node.builder.constant(smallScalar(DType::i64, double(node.getInt("value_int", 0))))};
  if (node.hasAttribute("value_float"))
    return {node.builder.constant(smallScalar(DType::f32, node.getFloat("value_float", 0)))};
  if (node.hasAttribute("value_ints"))
    return {node.builder.constant(smallInts(node.getInts("value_ints")))};
  if (node.hasAttribute("value_floats")) {
    std::vector<double> floats = node.getFloats("value_floats");
    const auto count = static_cast<int64_t>(floats.size());
    return {node.builder.constant(SmallTensor{{DType::f32, {count}}, {}, std::move(floats)})};
  }
  return {node.builder.constant(node.name, {DType::u8, {}}, std::nullopt, false)};
}

/// A shape that stands in the file itself belongs to a weight whose values were stripped; a
/// computed one to a mask or a state.
std::vector<Value> constantOfShape(OnnxNode& node) {
  const Shape shape = node.knownInts(0);
  const auto* value = node.getTensor("value");
  const DType dtype = value ? onnxDType(value->data_type()) : DType::f32;
  const std::optional<SmallTensor> number = value ? readSmall(*value) : std::nullopt;
  const double fill = number && number->size() > 0 ? number->number(0) : 0;
  return {filled(node, dtype, shape, fill, node.builder.trained(node.input(0)))};
}

std::vector<Value> shapeNode(OnnxNode& node) {
  const Shape& shape = node.shape(0);
  const int64_t rank = node.rank(0);
  const auto clamp = [&](int64_t v) { return std::clamp<int64_t>(v < 0 ? v + rank : v, 0, rank); };
  const int64_t start = clamp(node.getInt("start", 0)), end = clamp(node.getInt("end", rank));
  if (start >= end) return {node.builder.constant(smallInts({}))};
  return {node.builder.constant(
      smallInts(std::vector<int64_t>(shape.begin() + start, shape.begin() + end)))};
}

std::vector<Value> sizeNode(OnnxNode& node) {
  SmallTensor size = smallInts({node.input(0).type.elements()});
  size.type.shape.clear();
  return {node.builder.constant(std::move(size))};
}

/// Long ranges keep only their length.
std::vector<Value> range(OnnxNode& node) {
  const SmallTensor &start = node.known(0), &limit = node.known(1), &delta = node.known(2);
  const std::vector<const SmallTensor*> inputs{&start, &limit, &delta};
  for (const SmallTensor* t : inputs)
    if (t->size() != 1 || (t == &delta && t->number(0) == 0))
      throw Error(ErrorKind::input, "a range has no length", "export the model again");
  if (auto folded = foldSmall("Range", {}, inputs)) return {node.builder.constant(*folded)};
  const double count = (limit.number(0) - start.number(0)) / delta.number(0);
  if (!(count < 1e12))
    throw Error(ErrorKind::input, "a range is too long", "check the --dim values");
  const TensorType type{start.type.dtype, {static_cast<int64_t>(count)}};
  return {node.builder.constant(node.name, type, std::nullopt, false)};
}

std::vector<Value> randomOfShape(OnnxNode& node) {
  const Shape shape = node.getInts("shape");
  checkShape(shape);
  const DType dtype = onnxDType(static_cast<int>(node.getInt("dtype", 1)));
  return {node.builder.constant(node.name, {dtype, shape}, std::nullopt, false)};
}

Canonical randomLike(OnnxNode& node) {
  Attributes attributes;
  if (const int64_t code = node.getInt("dtype", 0))
    attributes.set("dtype", std::string(dtypeName(onnxDType(static_cast<int>(code)))));
  if (const int64_t k = node.getInt("k", 0)) attributes.set("k", k);
  return {node.type == "EyeLike" ? "EyeLike" : "RandomLike", {node.input(0)}, attributes};
}

constexpr Translation kRows[] = {{"Constant", nullptr, constantNode},
                                 {"ConstantOfShape", nullptr, constantOfShape},
                                 {"Shape", nullptr, shapeNode},
                                 {"Size", nullptr, sizeNode},
                                 {"Range", nullptr, range},
                                 {"RandomNormal", nullptr, randomOfShape},
                                 {"RandomUniform", nullptr, randomOfShape},
                                 {"RandomNormalLike", randomLike},
                                 {"RandomUniformLike", randomLike},
                                 {"Bernoulli", randomLike},
                                 {"EyeLike", randomLike}};

}  // namespace

std::span<const Translation> constantTranslations() {
  return kRows;
}

}  // namespace meshplan
