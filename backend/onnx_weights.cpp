// SPDX-License-Identifier: Apache-2.0
#include "backend/onnx_weights.h"

#include "backend/onnx_evaluator.h"
#include "core/error.h"

namespace meshplan {
namespace {

class WeightReader {
 public:
  WeightReader(const std::string& path, const Graph& graph, const WeightOrigins& origins,
               bool parameters)
      : path_(path), graph_(graph), origins_(origins), parameters_(parameters) {}

  OnnxWeights read(int threads) {
    std::set<std::string> names;
    for (const Tensor& t : graph_.tensors())
      if (const WeightOrigin* origin = originOf(t); origin && !origin->name.empty())
        names.insert(origin->name);
    const OnnxFileReader file(path_);
    stored_ = OnnxEvaluator(file, threads).constants(names, graph_);
    OnnxWeights weights;
    for (const Tensor& t : graph_.tensors()) {
      if (!isStored(t)) continue;
      if (std::optional<HostTensor> value = valueOf(t))
        weights.values.emplace(t.name, std::move(*value));
      else if (t.kind == TensorKind::parameter)
        weights.missing.push_back(t.name);
      else
        throw problemOf(t, "its values cannot be found in the file");
    }
    return weights;
  }

 private:
  bool isStored(const Tensor& t) const {
    return t.kind == TensorKind::constant || (parameters_ && t.kind == TensorKind::parameter);
  }

  const WeightOrigin* originOf(const Tensor& t) const {
    const auto found = origins_.find(t.name);
    return isStored(t) && found != origins_.end() ? &found->second : nullptr;
  }

  std::optional<HostTensor> valueOf(const Tensor& t) const {
    const WeightOrigin* origin = originOf(t);
    if (!origin) return std::nullopt;
    if (const auto found = stored_.find(origin->name); found != stored_.end())
      return fitted(t, found->second);
    if (origin->values.empty()) return std::nullopt;
    const auto count = static_cast<int64_t>(origin->values.size());
    return fitted(t, fromDoubles({DType::f64, {count}}, origin->values));
  }

  HostTensor fitted(const Tensor& t, HostTensor value) const {
    if (value.elements() != t.type.elements())
      throw problemOf(
          t, "has the shape " + shapeText(value.shape()) + ", not " + shapeText(t.type.shape));
    value.reshape(t.type.shape);
    if (value.type().dtype == t.type.dtype) return value;
    return converted(value, t.type.dtype);
  }

  Error problemOf(const Tensor& t, const std::string& problem) const {
    return Error(ErrorKind::input, problem, "export the model again, with constants folded")
        .at("tensor '" + t.name + "'")
        .inFile(path_);
  }

  const std::string& path_;
  const Graph& graph_;
  const WeightOrigins& origins_;
  bool parameters_;
  std::map<std::string, HostTensor> stored_;
};

}  // namespace

OnnxWeights readOnnxWeights(const std::string& path, const Graph& graph,
                            const WeightOrigins& origins, bool parameters, int threads) {
  return WeightReader(path, graph, origins, parameters).read(threads);
}

}  // namespace meshplan
