// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/error.h"
#include "core/import/onnx.pb.h"
#include "core/import/onnx_reader.h"
#include "core/import/onnx_translate.h"
#include "core/operators/support.h"

namespace meshplan {
namespace {

std::vector<int64_t> allAxes(size_t rank) {
  std::vector<int64_t> axes(rank);
  std::iota(axes.begin(), axes.end(), 0);
  return axes;
}

Canonical identity(OnnxNode& node) {
  return {"Identity", {node.input(0)}, {}};
}

std::vector<Value> passThrough(OnnxNode& node) {
  return {node.input(0)};
}

/// Strings, complex numbers and formats of 8 bits and fewer have no values here, only sizes.
void refuseForeignType(const OnnxNode& node, int code) {
  const bool plain = (code >= 1 && code <= 7) || (code >= 9 && code <= 13) || code == 16;
  if (node.builder.inference && !plain)
    throw Unplannable{"elements of ONNX type " + std::to_string(code) + " are not computed"};
}

Canonical cast(OnnxNode& node) {
  if (node.type == "Cast") refuseForeignType(node, static_cast<int>(node.getInt("to", 1)));
  const DType to = node.type == "CastLike" ? node.input(1).type.dtype
                                           : onnxDType(static_cast<int>(node.getInt("to", 1)));
  return {"Cast", {node.input(0)}, {{"to", std::string(dtypeName(to))}}};
}

/// Casts that change nothing here (say, of unsigned to signed) vanish.
std::vector<Value> castOrNothing(OnnxNode& node) {
  Canonical c = cast(node);
  if (c.attributes.getString("to", "") == dtypeName(node.input(0).type.dtype))
    return {node.input(0)};
  return realise(node, std::move(c));
}

Canonical reshape(OnnxNode& node) {
  Attributes attributes{{"shape", node.intsFrom(1, "shape")},
                        {"allowzero", node.getInt("allowzero", 0)}};
  const std::vector<TensorType> in{node.input(0).type};
  const Shape shape = operatorDef("Reshape").infer(attributes, in)[0].shape;
  Attributes resolved{{"shape", shape}};
  if (std::find(shape.begin(), shape.end(), 0) != shape.end())
    resolved.set("allowzero", int64_t{1});
  return {"Reshape", {node.input(0)}, resolved};
}

Canonical squeeze(OnnxNode& node) {
  std::vector<int64_t> axes = node.intsFrom(1, "axes");
  if (!node.has(1) && !node.hasAttribute("axes"))
    for (int64_t i = 0; i < node.rank(0); ++i)
      if (node.shape(0)[static_cast<size_t>(i)] == 1) axes.push_back(i);
  return {"Squeeze", {node.input(0)}, {{"axes", axes}}};
}

Canonical unsqueeze(OnnxNode& node) {
  return {"Unsqueeze", {node.input(0)}, {{"axes", node.intsFrom(1, "axes")}}};
}

Canonical split(OnnxNode& node) {
  Attributes attributes{{"axis", node.getInt("axis", 0)}};
  const std::vector<int64_t> sizes = node.intsFrom(1, "split");
  if (!sizes.empty())
    attributes.set("split", sizes);
  else
    attributes.set("num_outputs", node.getInt("num_outputs", node.proto.output_size()));
  return {"Split", {node.input(0)}, attributes};
}

/// Opset 1 joined along the second dimension unless told otherwise.
Canonical concat(OnnxNode& node) {
  return {"Concat", node.present(), {{"axis", node.getInt("axis", node.opset() < 4 ? 1 : 0)}}};
}

Canonical slice(OnnxNode& node) {
  Attributes attributes{{"starts", node.intsFrom(1, "starts")}, {"ends", node.intsFrom(2, "ends")}};
  std::vector<int64_t> axes = node.intsFrom(3, "axes"), steps = node.intsFrom(4, "steps");
  if (axes.empty()) axes = allAxes(attributes.getInts("starts").size());
  attributes.set("axes", axes);
  if (!steps.empty()) attributes.set("steps", steps);
  return {"Slice", {node.input(0)}, attributes};
}

/// A slice that takes everything is no operator.
std::vector<Value> sliceOrNothing(OnnxNode& node) {
  Canonical c = slice(node);
  const std::vector<TensorType> in{node.input(0).type};
  const std::vector<int64_t> steps = c.attributes.getInts("steps");
  const bool forward = std::all_of(steps.begin(), steps.end(), [](int64_t s) { return s == 1; });
  if (forward && operatorDef("Slice").infer(c.attributes, in)[0] == in[0]) return {node.input(0)};
  return realise(node, std::move(c));
}

Canonical pad(OnnxNode& node) {
  std::vector<int64_t> pads = node.intsFrom(1, "pads");
  if (pads.empty()) pads = node.getInts("paddings");
  const auto rank = static_cast<size_t>(node.rank(0));
  if (node.has(3)) {
    const std::vector<int64_t> axes = node.knownInts(3);
    if (pads.size() != 2 * axes.size()) rejectInputs("pads and axes differ in length");
    std::vector<int64_t> full(2 * rank);
    for (size_t i = 0; i < axes.size(); ++i) {
      full[dimensionIndex(axes[i], rank)] = pads[i];
      full[rank + dimensionIndex(axes[i], rank)] = pads[axes.size() + i];
    }
    pads = full;
  }
  Attributes attributes{{"pads", pads}, {"mode", node.getString("mode", "constant")}};
  const SmallTensor* given = node.has(2) ? node.builder.known(node.input(2)) : nullptr;
  const double value = given && given->size() == 1 ? given->number(0) : node.getFloat("value", 0);
  if (value != 0) attributes.set("value", value);
  return {"Pad", {node.input(0)}, attributes};
}

std::vector<Value> padOrNothing(OnnxNode& node) {
  Canonical c = pad(node);
  const std::vector<int64_t> pads = c.attributes.getInts("pads");
  if (!pads.empty() && std::all_of(pads.begin(), pads.end(), [](int64_t p) { return p == 0; }))
    return {node.input(0)};
  return realise(node, std::move(c));
}

std::vector<Value> expand(OnnxNode& node) {
  Canonical c{"Expand", {node.input(0)}, {{"shape", node.knownInts(1)}}};
  const std::vector<TensorType> in{node.input(0).type};
  if (operatorDef("Expand").infer(c.attributes, in)[0] == in[0]) return {node.input(0)};
  return realise(node, std::move(c));
}

Canonical tile(OnnxNode& node) {
  return {"Tile", {node.input(0)}, {{"repeats", node.knownInts(1)}}};
}

/// A look-up in a matrix of weights is an embedding.
Canonical gather(OnnxNode& node) {
  const int64_t axis = node.getInt("axis", 0);
  const bool table = node.input(0).isConstant() && isFloating(node.input(0).type.dtype) &&
                     node.rank(0) == 2 && axis == 0 && node.rank(1) > 0 &&
                     !node.builder.known(node.input(0));
  if (table) return {"Embedding", {node.input(1), node.input(0)}, {}};
  return {"Gather", {node.input(0), node.input(1)}, {{"axis", axis}}};
}

/// PyTorch's as_strided: all elements of a flattened tensor picked in its old shape.
std::optional<Value> unflattened(OnnxNode& node) {
  const Value& x = node.input(0);
  if (!x.tensor.valid() || !node.input(1).isConstant() || node.rank(0) != 1) return std::nullopt;
  const Graph& graph = node.builder.graph;
  const OpId producer = graph.tensor(x.tensor).producer;
  if (!producer.valid() || graph.op(producer).def->name != "Reshape") return std::nullopt;
  const TensorId source = graph.op(producer).inputs[0];
  if (graph.tensor(source).type.shape != node.shape(1)) return std::nullopt;
  return Value{graph.tensor(source).type, source};
}

std::vector<Value> gatherOrEmbedding(OnnxNode& node) {
  if (const auto source = unflattened(node)) return {*source};
  Canonical c = gather(node);
  if (c.def == "Embedding") return node.add(c.def, c.inputs, c.attributes);
  return realise(node, std::move(c));
}

Canonical scatter(OnnxNode& node) {
  return {node.type == "ScatterND" ? "ScatterND" : "ScatterElements",
          {node.input(0), node.input(1), node.input(2)},
          node.plainAttributes()};
}

std::vector<double> scalesOf(OnnxNode& node, size_t input) {
  if (!node.has(input)) return node.getFloats("scales");
  const SmallTensor& value = node.known(input);
  std::vector<double> scales;
  for (size_t i = 0; i < value.size(); ++i) scales.push_back(value.number(i));
  return scales;
}

/// Scales or sizes for the named axes only, filled up for the others.
template <class T>
std::vector<T> forAllAxes(OnnxNode& node, const std::vector<T>& some, std::vector<T> full) {
  const std::vector<int64_t> axes = node.getInts("axes");
  if (axes.empty()) return some;
  if (axes.size() != some.size()) rejectInputs("axes do not fit scales or sizes");
  for (size_t i = 0; i < axes.size(); ++i) full[dimensionIndex(axes[i], full.size())] = some[i];
  return full;
}

/// Sizes that keep the ratio of the named axes: one scale for all of them, the smallest or the
/// largest that was asked for.
void keepRatio(OnnxNode& node, Shape& sizes, Attributes& attributes) {
  const std::string policy = node.getString("keep_aspect_ratio_policy", "stretch");
  if (policy == "stretch") return;
  std::vector<int64_t> axes = node.getInts("axes");
  if (axes.empty()) axes = allAxes(sizes.size());
  std::vector<double> scales(sizes.size(), 1);
  double scale = policy == "not_larger" ? INFINITY : 0;
  const auto at = [&](int64_t axis) { return dimensionIndex(axis, sizes.size()); };
  const auto extent = [&](size_t i) { return static_cast<double>(node.shape(0)[i]); };
  for (int64_t axis : axes) {
    const double wanted = static_cast<double>(sizes[at(axis)]) / extent(at(axis));
    scale = policy == "not_larger" ? std::min(scale, wanted) : std::max(scale, wanted);
  }
  for (int64_t axis : axes) {
    scales[at(axis)] = scale;
    sizes[at(axis)] = static_cast<int64_t>(std::floor(scale * extent(at(axis)) + 0.5));
  }
  attributes.set("scales", scales);
}

/// The first and the last coordinate of the region of interest per dimension, relative to extents.
std::vector<double> regionOf(OnnxNode& node) {
  const auto rank = static_cast<size_t>(node.rank(0));
  const SmallTensor& given = node.known(1);
  std::vector<int64_t> axes = node.getInts("axes");
  if (axes.empty()) axes = allAxes(rank);
  if (given.size() != 2 * axes.size()) rejectInputs("the region of interest does not fit the axes");
  std::vector<double> region(2 * rank, 0);
  std::fill(region.begin() + static_cast<int64_t>(rank), region.end(), 1);
  for (size_t i = 0; i < axes.size(); ++i) {
    region[dimensionIndex(axes[i], rank)] = given.number(i);
    region[rank + dimensionIndex(axes[i], rank)] = given.number(axes.size() + i);
  }
  return region;
}

/// Before opset 11 coordinates scale from the corner and are rounded down.
Attributes interpolation(OnnxNode& node, bool early) {
  Attributes attributes{{"mode", node.getString("mode", "nearest")}};
  if (attributes.getString("mode", "") == "bilinear") attributes.set("mode", "linear");
  if (early || node.opset() < 11) {
    attributes.set("coordinate_transformation_mode", "asymmetric");
    attributes.set("nearest_mode", "floor");
    return attributes;
  }
  for (const char* name : {"coordinate_transformation_mode", "nearest_mode"})
    if (node.hasAttribute(name)) attributes.set(name, node.getString(name, ""));
  for (const char* name : {"exclude_outside", "antialias"})
    if (node.getInt(name, 0) != 0) attributes.set(name, int64_t{1});
  for (const char* name : {"cubic_coeff_a", "extrapolation_value"})
    if (node.hasAttribute(name)) attributes.set(name, node.getFloat(name, 0));
  if (node.getString("coordinate_transformation_mode", "") == "tf_crop_and_resize")
    attributes.set("roi", regionOf(node));
  return attributes;
}

Canonical resize(OnnxNode& node) {
  const bool early = node.type == "Upsample" || (node.opset() < 11 && node.inputs.size() < 3);
  Attributes attributes = interpolation(node, early);
  const auto rank = static_cast<size_t>(node.rank(0));
  if (!early && node.has(3) && node.input(3).type.elements() > 0) {
    Shape sizes = forAllAxes(node, node.knownInts(3), node.shape(0));
    if (sizes.size() == rank) keepRatio(node, sizes, attributes);
    attributes.set("sizes", sizes);
  } else {
    attributes.set("scales",
                   forAllAxes(node, scalesOf(node, early ? 1 : 2), std::vector<double>(rank, 1)));
  }
  return {"Resize", {node.input(0)}, attributes};
}

Canonical trilu(OnnxNode& node) {
  Attributes attributes{{"upper", node.getInt("upper", 1)}};
  if (node.has(1) && node.builder.known(node.input(1))) attributes.set("k", node.knownInt(1));
  return {"Trilu", {node.input(0)}, attributes};
}

Canonical oneHot(OnnxNode& node) {
  return {"OneHot",
          {node.input(0)},
          {{"axis", node.getInt("axis", -1)},
           {"depth", node.knownInt(1)},
           {"dtype", std::string(dtypeName(node.input(2).type.dtype))}}};
}

Canonical reverseSequence(OnnxNode& node) {
  return {
      "ReverseSequence",
      {node.input(0)},
      {{"time_axis", node.getInt("time_axis", 0)}, {"batch_axis", node.getInt("batch_axis", 1)}}};
}

/// How many entries pass is not known: all of them are planned.
std::vector<Value> compress(OnnxNode& node) {
  node.builder.warnOnce("Compress keeps all entries when planned");
  Value x = node.input(0);
  if (!node.hasAttribute("axis"))
    x = node.add("Reshape", {x}, {{"shape", Shape{x.type.elements()}}})[0];
  return node.add("Compress", {x}, {{"axis", node.getInt("axis", 0)}});
}

Canonical reduce(OnnxNode& node) {
  const std::vector<int64_t> axes = node.intsFrom(1, "axes");
  if (axes.empty() && node.getInt("noop_with_empty_axes", 0)) return identity(node);
  return {operatorDef(node.type).name,
          {node.input(0)},
          {{"axes", axes.empty() ? allAxes(node.shape(0).size()) : axes},
           {"keepdims", node.getInt("keepdims", 1)}}};
}

Canonical topK(OnnxNode& node) {
  return {"TopK",
          {node.input(0)},
          {{"axis", node.getInt("axis", -1)},
           {"k", node.has(1) ? node.knownInt(1) : node.getInt("k", 1)},
           {"largest", node.getInt("largest", 1)}}};
}

Canonical cumSum(OnnxNode& node) {
  return {"CumSum",
          {node.input(0)},
          {{"axis", node.knownInt(1)},
           {"exclusive", node.getInt("exclusive", 0)},
           {"reverse", node.getInt("reverse", 0)}}};
}

constexpr Translation kRows[] = {{"Identity", nullptr, passThrough},
                                 {"Cast", nullptr, castOrNothing},
                                 {"CastLike", nullptr, castOrNothing},
                                 {"Reshape", reshape},
                                 {"Squeeze", squeeze},
                                 {"Unsqueeze", unsqueeze},
                                 {"Split", split},
                                 {"Concat", concat},
                                 {"Slice", nullptr, sliceOrNothing},
                                 {"Pad", nullptr, padOrNothing},
                                 {"Expand", nullptr, expand},
                                 {"Tile", tile},
                                 {"Gather", nullptr, gatherOrEmbedding},
                                 {"Scatter", scatter},
                                 {"ScatterElements", scatter},
                                 {"ScatterND", scatter},
                                 {"Resize", resize},
                                 {"Upsample", resize},
                                 {"Trilu", trilu},
                                 {"OneHot", oneHot},
                                 {"ReverseSequence", reverseSequence},
                                 {"Compress", nullptr, compress},
                                 {"ReduceSum", reduce},
                                 {"ReduceMean", reduce},
                                 {"ReduceMax", reduce},
                                 {"ReduceMin", reduce},
                                 {"ReduceProd", reduce},
                                 {"ReduceL1", reduce},
                                 {"ReduceL2", reduce},
                                 {"ReduceSumSquare", reduce},
                                 {"ReduceLogSum", reduce},
                                 {"ReduceLogSumExp", reduce},
                                 {"TopK", topK},
                                 {"CumSum", cumSum}};

}  // namespace

std::span<const Translation> movementTranslations() {
  return kRows;
}

}  // namespace meshplan
