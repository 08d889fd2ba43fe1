// SPDX-License-Identifier: Apache-2.0
#include "core/operators/support.h"

#include <algorithm>
#include <array>

#include "core/error.h"

namespace meshplan {

void rejectInputs(const std::string& problem) {
  throw Error(ErrorKind::input, problem, "check the model file");
}

void expectInputs(Types inputs, size_t least, size_t most) {
  if (inputs.size() >= least && inputs.size() <= most) return;
  rejectInputs("has " + std::to_string(inputs.size()) + " inputs where " + std::to_string(least) +
               (least == most ? "" : " or more") + " are expected");
}

void expectRank(const TensorType& type, size_t least, size_t most) {
  const size_t rank = type.shape.size();
  if (rank >= least && rank <= most) return;
  rejectInputs("an input of shape " + shapeText(type.shape) + " has the wrong rank");
}

void expectEqual(int64_t a, int64_t b, std::string_view what) {
  if (a == b) return;
  rejectInputs("inputs disagree about " + std::string(what) + ": " + std::to_string(a) + " and " +
               std::to_string(b));
}

size_t dimensionIndex(int64_t axis, size_t rank) {
  const int64_t r = static_cast<int64_t>(rank);
  if (axis < -r || axis >= r)
    rejectInputs("axis " + std::to_string(axis) + " is outside a tensor of rank " +
                 std::to_string(rank));
  return static_cast<size_t>(axis < 0 ? axis + r : axis);
}

Shape broadcast(const Shape& a, const Shape& b) {
  const Shape& longer = a.size() >= b.size() ? a : b;
  const Shape& shorter = a.size() >= b.size() ? b : a;
  Shape result = longer;
  const size_t offset = longer.size() - shorter.size();
  for (size_t i = 0; i < shorter.size(); ++i) {
    int64_t& extent = result[offset + i];
    if (extent != shorter[i] && extent != 1 && shorter[i] != 1)
      rejectInputs("shapes " + shapeText(a) + " and " + shapeText(b) + " do not broadcast");
    if (extent == 1) extent = shorter[i];
  }
  return result;
}

std::string_view dimName(size_t i) {
  static constexpr std::array<std::string_view, 9> kNames{"dim0", "dim1", "dim2", "dim3", "dim4",
                                                          "dim5", "dim6", "dim7", "dim"};
  return kNames[std::min(i, kNames.size() - 1)];
}

std::string_view rowName(size_t i) {
  static constexpr std::array<std::string_view, 9> kNames{
      "rows0", "rows1", "rows2", "rows3", "rows4", "rows5", "rows6", "rows7", "rows"};
  return kNames[std::min(i, kNames.size() - 1)];
}

std::vector<int8_t> addDims(LoopNest& nest, const Shape& shape, AxisKind kind) {
  std::vector<int8_t> dims;
  for (size_t i = 0; i < shape.size(); ++i)
    dims.push_back(nest.addAxis(dimName(i), shape[i], kind));
  return dims;
}

void addRows(LoopNest& nest, TensorWalk& walk, const Shape& shape, size_t count, AxisKind kind) {
  for (size_t i = 0; i < count; ++i) walk.push_back({nest.addAxis(rowName(i), shape[i], kind)});
}

TensorWalk broadcastWalk(const Shape& shape, const Shape& result, const std::vector<int8_t>& dims) {
  TensorWalk walk(shape.size());
  if (shape.size() > result.size()) return walk;
  const size_t offset = result.size() - shape.size();
  for (size_t i = 0; i < shape.size(); ++i)
    if (shape[i] == result[offset + i]) walk[i].outer = dims[offset + i];
  return walk;
}

LoopNest broadcastNest(const OpContext& context) {
  LoopNest nest;
  const Shape& result = context.outputs[0].shape;
  const std::vector<int8_t> dims = addDims(nest, result);
  for (const TensorType& t : context.inputs)
    nest.inputs.push_back(broadcastWalk(t.shape, result, dims));
  for (const TensorType& t : context.outputs)
    nest.outputs.push_back(broadcastWalk(t.shape, result, dims));
  return nest;
}

std::vector<TensorType> inferSame(const Attributes&, Types inputs) {
  expectInputs(inputs, 1, SIZE_MAX);
  return {inputs[0]};
}

SlotSet needsInput(const OpContext&, int) {
  return {1, 0};
}
SlotSet needsInputs(const OpContext& context, int) {
  return {static_cast<uint32_t>((uint64_t{1} << std::min<size_t>(context.inputs.size(), 32)) - 1),
          0};
}
SlotSet needsOutput(const OpContext&, int) {
  return {0, 1};
}

}  // namespace meshplan
