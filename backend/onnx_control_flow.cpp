// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <cstring>

#include "backend/onnx_frame.h"
#include "core/import/onnx.pb.h"
#include "core/operators/support.h"

namespace meshplan {
namespace {

[[noreturn]] void reject(const std::string& problem) {
  throw Error(ErrorKind::input, problem, "the file is damaged; export the model again");
}

HostTensor scalar(DType dtype, double value) {
  return fromDoubles({dtype, {}}, std::span(&value, 1));
}

double numberOf(const HostTensor& tensor) {
  if (tensor.elements() != 1) reject("a condition or count is not one number");
  return toDoubles(tensor)[0];
}

/// A dimension of a tensor between those before and after it, in elements and bytes.
struct Slices {
  size_t outer = 1, count = 1, bytes = 1;
  Slices(const TensorType& type, size_t axis) {
    bytes = static_cast<size_t>(dtypeBytes(type.dtype));
    for (size_t i = 0; i < type.shape.size(); ++i)
      (i < axis ? outer : i == axis ? count : bytes) *= static_cast<size_t>(type.shape[i]);
  }
};

HostTensor sliceOf(const HostTensor& whole, size_t axis, size_t index) {
  TensorType type = whole.type();
  type.shape.erase(type.shape.begin() + static_cast<int64_t>(axis));
  HostTensor part(type);
  const Slices s(whole.type(), axis);
  for (size_t o = 0; o < s.outer && s.bytes > 0; ++o)
    std::memcpy(part.bytes().data() + o * s.bytes,
                whole.bytes().data() + (o * s.count + index) * s.bytes, s.bytes);
  return part;
}

/// The parts side by side along a new dimension.
HostTensor stackOf(const std::vector<HostTensor>& parts, size_t axis) {
  TensorType type = parts.at(0).type();
  type.shape.insert(type.shape.begin() + static_cast<int64_t>(axis),
                    static_cast<int64_t>(parts.size()));
  HostTensor whole(type);
  const Slices s(type, axis);
  for (size_t i = 0; i < parts.size(); ++i) {
    if (parts[i].type() != parts[0].type()) reject("iterations yield different shapes");
    for (size_t o = 0; o < s.outer && s.bytes > 0; ++o)
      std::memcpy(whole.bytes().data() + (o * s.count + i) * s.bytes,
                  parts[i].bytes().data() + o * s.bytes, s.bytes);
  }
  return whole;
}

/// What no iteration yielded: the declared type, with no elements.
HostTensor nothingOf(const onnx::ValueInfoProto& info) {
  const OnnxPort port{info.name(), info.type().tensor_type().elem_type(), {}, false, true};
  TensorType type{port.code == 7 ? DType::i64 : DType::f32, {0}};
  for (const auto& dim : info.type().tensor_type().shape().dim())
    type.shape.push_back(std::max<int64_t>(dim.dim_value(), 0));
  return HostTensor(type);
}

std::vector<int64_t> intsOf(const onnx::AttributeProto* a, size_t count) {
  std::vector<int64_t> ints(count, 0);
  for (int i = 0; a && i < a->ints_size() && static_cast<size_t>(i) < count; ++i)
    ints[static_cast<size_t>(i)] = a->ints(i);
  return ints;
}

}  // namespace

const HostTensor* OnnxEvaluator::Frame::find(const std::string& name) const {
  for (const Frame* f = this; f; f = f->parent)
    if (const auto it = f->values.find(name); it != f->values.end()) return &it->second;
  return nullptr;
}

const HostTensor& OnnxEvaluator::Frame::at(const std::string& name) const {
  if (const HostTensor* value = find(name)) return *value;
  reject("nothing produces '" + name + "'");
}

const onnx::AttributeProto* OnnxEvaluator::Frame::attribute(const onnx::NodeProto& node,
                                                            std::string_view name) const {
  for (const auto& a : node.attribute()) {
    if (a.name() != name) continue;
    if (a.ref_attr_name().empty()) return &a;
    const auto actual = actuals.find(a.ref_attr_name());
    return actual == actuals.end() ? nullptr : actual->second;
  }
  return nullptr;
}

std::vector<HostTensor> OnnxEvaluator::runIf(const onnx::NodeProto& node, Frame& frame) {
  if (node.input_size() < 1) reject("If lacks its condition");
  const bool holds = numberOf(frame.at(node.input(0))) != 0;
  const auto* branch = frame.attribute(node, holds ? "then_branch" : "else_branch");
  if (!branch || !branch->has_g()) reject("If lacks a branch");
  return runBody(branch->g(), frame, {});
}

std::vector<HostTensor> OnnxEvaluator::runLoop(const onnx::NodeProto& node, Frame& frame) {
  const auto* attribute = frame.attribute(node, "body");
  if (!attribute || !attribute->has_g()) reject("Loop lacks its body");
  const onnx::GraphProto& body = attribute->g();
  const auto given = [&](int i) { return node.input_size() > i && !node.input(i).empty(); };
  const double count = given(0) ? numberOf(frame.at(node.input(0))) : INFINITY;
  bool goesOn = !given(1) || numberOf(frame.at(node.input(1))) != 0;
  const auto carriedCount = static_cast<size_t>(std::max(0, node.input_size() - 2));
  if (static_cast<size_t>(body.output_size()) < carriedCount + 1) reject("Loop yields too little");
  Tensors carried;
  for (int i = 2; i < node.input_size(); ++i) carried.push_back(frame.at(node.input(i)));
  std::vector<Tensors> rows(static_cast<size_t>(body.output_size()) - 1 - carriedCount);
  for (double i = 0; goesOn && i < count; ++i) {
    Tensors arguments{scalar(DType::i64, i), scalar(DType::boolean, 1)};
    for (HostTensor& c : carried) arguments.push_back(std::move(c));
    Tensors results = runBody(body, frame, std::move(arguments));
    goesOn = numberOf(results[0]) != 0;
    for (size_t k = 0; k < carriedCount; ++k) carried[k] = std::move(results[1 + k]);
    for (size_t k = 0; k < rows.size(); ++k)
      rows[k].push_back(std::move(results[1 + carriedCount + k]));
  }
  for (size_t k = 0; k < rows.size(); ++k)
    carried.push_back(rows[k].empty()
                          ? nothingOf(body.output(static_cast<int>(1 + carriedCount + k)))
                          : stackOf(rows[k], 0));
  return carried;
}

std::vector<HostTensor> OnnxEvaluator::runScan(const onnx::NodeProto& node, Frame& frame) {
  const auto *attribute = frame.attribute(node, "body"),
             *scanned = frame.attribute(node, "num_scan_inputs");
  if (frame.opset < 9) throw UnsupportedNode(node, "Scan before opset 9 is not computed", false);
  if (!attribute || !attribute->has_g() || !scanned) reject("Scan lacks its body");
  const onnx::GraphProto& body = attribute->g();
  const auto scans = static_cast<size_t>(std::clamp<int64_t>(scanned->i(), 0, node.input_size()));
  const size_t states = static_cast<size_t>(node.input_size()) - scans;
  const auto yields = static_cast<size_t>(body.output_size());
  if (scans == 0 || yields < states) reject("the inputs of Scan do not fit its body");
  const auto list = [&](const char* name, size_t n) {
    return intsOf(frame.attribute(node, name), n);
  };
  const auto inAxes = list("scan_input_axes", scans),
             backwards = list("scan_input_directions", scans);
  const auto outAxes = list("scan_output_axes", yields - states),
             reversed = list("scan_output_directions", yields - states);
  const auto input = [&](size_t i) -> const HostTensor& {
    return frame.at(node.input(static_cast<int>(i)));
  };
  const auto axisOf = [&](size_t k) {
    return dimensionIndex(inAxes[k], input(states + k).shape().size());
  };
  const auto count = static_cast<size_t>(input(states).shape()[axisOf(0)]);
  Tensors carried;
  for (size_t i = 0; i < states; ++i) carried.push_back(input(i));
  std::vector<Tensors> rows(yields - states);
  for (size_t i = 0; i < count; ++i) {
    Tensors arguments = std::move(carried);
    for (size_t k = 0; k < scans; ++k) {
      if (input(states + k).shape()[axisOf(k)] != static_cast<int64_t>(count))
        reject("the inputs of Scan differ in length");
      arguments.push_back(
          sliceOf(input(states + k), axisOf(k), backwards[k] != 0 ? count - 1 - i : i));
    }
    Tensors results = runBody(body, frame, std::move(arguments));
    carried.clear();
    for (size_t k = 0; k < yields; ++k)
      (k < states ? carried : rows[k - states]).push_back(std::move(results[k]));
  }
  for (size_t k = 0; k < rows.size(); ++k) {
    if (reversed[k] != 0) std::reverse(rows[k].begin(), rows[k].end());
    carried.push_back(
        rows[k].empty()
            ? nothingOf(body.output(static_cast<int>(states + k)))
            : stackOf(rows[k], dimensionIndex(outAxes[k], rows[k][0].shape().size() + 1)));
  }
  return carried;
}

}  // namespace meshplan
