// SPDX-License-Identifier: Apache-2.0
#include "backend/onnx_weights.h"

#include <set>

#include "backend/onnx_evaluator.h"
#include "core/error.h"

namespace meshplan {
namespace {

const WeightOrigin& originOf(const Model& model, const Tensor& tensor) {
  const auto found = model.origins.find(tensor.name);
  if (found != model.origins.end() &&
      (!found->second.name.empty() || !found->second.values.empty()))
    return found->second;
  throw Error(ErrorKind::input, "its values cannot be found in the file",
              "start from random weights, or export the model with constants folded")
      .at("tensor '" + tensor.name + "'")
      .inFile(model.source);
}

HostTensor fitted(const Model& model, const Tensor& tensor, HostTensor value) {
  if (value.elements() != tensor.type.elements())
    throw Error(
        ErrorKind::input,
        "has the shape " + shapeText(value.shape()) + ", not " + shapeText(tensor.type.shape),
        "export the model again")
        .at("tensor '" + tensor.name + "'")
        .inFile(model.source);
  value.reshape(tensor.type.shape);
  if (value.type().dtype == tensor.type.dtype) return value;
  return converted(value, tensor.type.dtype);
}

bool isStored(const Tensor& tensor) {
  return tensor.kind == TensorKind::parameter || tensor.kind == TensorKind::constant;
}

}  // namespace

std::map<std::string, HostTensor> readOnnxWeights(const Model& model, int threads) {
  if (model.family != "onnx")
    throw Error(ErrorKind::usage, "'" + model.source + "' holds no weights",
                "give an ONNX file, or start from random weights");
  std::set<std::string> names;
  for (const Tensor& t : model.graph.tensors())
    if (isStored(t) && !originOf(model, t).name.empty()) names.insert(originOf(model, t).name);
  const OnnxFileReader file(model.source);
  const std::map<std::string, HostTensor> stored =
      OnnxEvaluator(file, threads).constants(names, model.graph);
  std::map<std::string, HostTensor> weights;
  for (const Tensor& t : model.graph.tensors()) {
    if (!isStored(t)) continue;
    const WeightOrigin& origin = originOf(model, t);
    const auto found = stored.find(origin.name);
    if (found != stored.end()) {
      weights.emplace(t.name, fitted(model, t, found->second));
    } else {
      const auto count = static_cast<int64_t>(origin.values.size());
      weights.emplace(t.name, fitted(model, t, fromDoubles({DType::f64, {count}}, origin.values)));
    }
  }
  return weights;
}

}  // namespace meshplan
