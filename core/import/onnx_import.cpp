// SPDX-License-Identifier: Apache-2.0
#include "core/import/onnx_import.h"

#include <fmt/core.h>
#include <algorithm>
#include <array>
#include <filesystem>
#include <set>

#include "core/error.h"
#include "core/import/onnx.pb.h"
#include "core/import/onnx_graph.h"
#include "core/import/onnx_loss.h"
#include "core/import/onnx_patterns.h"
#include "core/import/onnx_reader.h"
#include "core/import/onnx_rewrite.h"

namespace meshplan {
namespace {

constexpr int64_t kNewestIr = 14;
constexpr int64_t kOldestOpset = 9;

bool isBatchName(std::string name) {
  std::transform(name.begin(), name.end(), name.begin(),
                 [](unsigned char c) { return std::tolower(c); });
  static constexpr std::array<std::string_view, 6> kNames{"batch", "batch_size", "batchsize",
                                                          "n",     "bs",         "batch_dim"};
  return std::find(kNames.begin(), kNames.end(), name) != kNames.end();
}

/// The name of each input's dimension that counts samples, and how many there are.
struct Batch {
  std::string symbol;
  int64_t size = 1;
};

struct Input {
  const onnx::ValueInfoProto* info;
  TensorType type;
};

std::string symbolOf(const onnx::ValueInfoProto& info, size_t dim) {
  const auto& shape = info.type().tensor_type().shape();
  return static_cast<int>(dim) < shape.dim_size() ? shape.dim(static_cast<int>(dim)).dim_param()
                                                  : std::string();
}

/// A dimension with a usual name of the batch; else the first dimension of the first input.
Batch batchOf(const std::vector<Input>& inputs) {
  for (const Input& input : inputs)
    for (size_t d = 0; d < input.type.shape.size(); ++d)
      if (isBatchName(symbolOf(*input.info, d)))
        return {symbolOf(*input.info, d), input.type.shape[d]};
  for (const Input& input : inputs)
    if (!input.type.shape.empty()) return {symbolOf(*input.info, 0), input.type.shape[0]};
  return {};
}

int8_t batchDimOf(const Input& input, const Batch& batch) {
  for (size_t d = 0; d < input.type.shape.size(); ++d)
    if (!batch.symbol.empty() && symbolOf(*input.info, d) == batch.symbol)
      return static_cast<int8_t>(d);
  const bool first = !input.type.shape.empty() && input.type.shape[0] == batch.size;
  return first && symbolOf(*input.info, 0).empty() ? 0 : -1;
}

TensorType inputType(OnnxBuilder& builder, const onnx::ValueInfoProto& info) {
  const onnx::TypeProto& type = info.type();
  if (!type.has_tensor_type())
    throw Error(ErrorKind::input, "is not a tensor", "export the model with tensor inputs")
        .at("input " + info.name());
  return {onnxDType(type.tensor_type().elem_type()),
          builder.dims.bind(info.name(), type.tensor_type().shape())};
}

/// Inputs of the graph that are no initialisers (IR 3 lists those among the inputs).
std::vector<Input> inputsOf(OnnxBuilder& builder, const onnx::GraphProto& graph) {
  std::set<std::string> initialised, seen;
  for (const auto& t : graph.initializer()) initialised.insert(t.name());
  for (const auto& t : graph.sparse_initializer()) initialised.insert(t.values().name());
  std::vector<Input> inputs;
  for (const auto& info : graph.input()) {
    if (initialised.count(info.name())) continue;
    if (!seen.insert(info.name()).second)
      throw Error(ErrorKind::input, "two inputs are called '" + info.name() + "'",
                  "names of tensors must be unique; export the model again");
    inputs.push_back({&info, inputType(builder, info)});
  }
  builder.dims.finish();
  return inputs;
}

void addInputs(OnnxBuilder& builder, const std::vector<Input>& inputs, const Batch& batch,
               Scope& scope, Model& model) {
  model.referenceBatch = batch.size;
  for (const Input& input : inputs) {
    const int8_t batchDim = batchDimOf(input, batch);
    const bool tokens =
        input.type.shape.size() == 2 && !isFloating(input.type.dtype) && batchDim >= 0;
    const auto sequenceDim = static_cast<int8_t>(tokens ? 1 - batchDim : -1);
    if (tokens)
      model.tokensPerSample =
          std::max(model.tokensPerSample, input.type.shape[static_cast<size_t>(sequenceDim)]);
    const TensorId t =
        builder.graph.addInput(input.info->name(), input.type, batchDim, sequenceDim);
    scope.values.emplace(input.info->name(), Value{input.type, t});
  }
}

int64_t opsetOf(const onnx::ModelProto& model, std::vector<std::string>& warnings) {
  int64_t opset = 0;
  for (const auto& entry : model.opset_import())
    if (entry.domain().empty() || entry.domain() == "ai.onnx") opset = entry.version();
  if (model.ir_version() > kNewestIr)
    warnings.push_back(fmt::format("IR version {} is newer than {}, the newest that is known",
                                   model.ir_version(), kNewestIr));
  if (opset > 0 && opset < kOldestOpset)
    warnings.push_back(fmt::format("opset {} is older than {}; operators are read as in {}", opset,
                                   kOldestOpset, kOldestOpset));
  return opset > 0 ? opset : 13;
}

void collectOutputs(OnnxBuilder& builder, const onnx::GraphProto& graph, const Scope& scope) {
  for (const auto& output : graph.output()) {
    const Value value = OnnxGraphImporter::outputOf(scope, output.name());
    if (value.absent || value.isConstant()) continue;
    Tensor& tensor = builder.graph.tensor(value.tensor);
    if (tensor.kind == TensorKind::activation) tensor.name = output.name();
    builder.graph.outputs().push_back(value.tensor);
  }
  if (builder.graph.outputs().empty())
    throw Error(ErrorKind::input, "no output depends on an input",
                "export the model with its inputs and outputs");
}

/// Operators nobody knows: how many, of which types, and how much of the bytes they move.
void warnOpaque(const Graph& graph, std::vector<std::string>& warnings) {
  std::map<std::string, int> types;
  double opaque = 0, all = 0;
  for (size_t i = 0; i < graph.operatorCount(); ++i) {
    const Operator& op = graph.op(OpId(i));
    const std::vector<TensorType> in = graph.inputTypes(OpId(i)), out = graph.outputTypes(OpId(i));
    const double bytes =
        static_cast<double>(op.repeat) * forwardBytes(*op.def, {op.attributes, in, out});
    all += bytes;
    if (op.def->opClass != OpClass::opaque) continue;
    opaque += bytes;
    ++types[op.attributes.getString("type", "?")];
  }
  if (types.empty()) return;
  std::string text;
  for (const auto& [type, count] : types)
    text += fmt::format("{}{} ({}x)", text.empty() ? "" : ", ", type, count);
  warnings.push_back(fmt::format(
      "unknown operators are planned as memory-bound and are not split: {}; {:.1f} % of the bytes",
      text, all > 0 ? 100 * opaque / all : 0));
}

void warnUnusedDims(const OnnxBuilder& builder, const std::vector<Input>& inputs,
                    std::vector<std::string>& warnings) {
  for (const auto& [name, value] : builder.request.dims) {
    bool place = builder.dims.used(name);
    for (const Input& input : inputs) place = place || name.rfind(input.info->name() + ".", 0) == 0;
    if (!place) warnings.push_back("no dimension is called '" + name + "'");
  }
}

/// Drops what leads to no output and puts recognised compositions in the place of their parts,
/// until none is left (one may lie inside another).
Graph finishGraph(const OnnxBuilder& builder, std::vector<std::string>& warnings) {
  constexpr int kMaxPasses = 4;
  Graph graph = builder.graph;
  std::vector<bool> causal(graph.tensorCount());
  for (size_t i = 0; i < causal.size(); ++i) causal[i] = builder.causal(TensorId(i));
  int64_t attentions = 0;
  for (int pass = 0; pass < kMaxPasses; ++pass) {
    const auto isCausal = [&](TensorId t) { return bool(causal[t.index()]); };
    const Replacements found = findPatterns(graph, isCausal, builder.request, attentions);
    if (found.empty() && pass > 0) break;
    std::vector<TensorId> map;
    graph = rewrite(graph, found, map);
    std::vector<bool> mapped(graph.tensorCount());
    for (size_t i = 0; i < map.size(); ++i)
      if (map[i].valid() && causal[i]) mapped[map[i].index()] = true;
    causal = std::move(mapped);
  }
  if (attentions > 0)
    warnings.push_back(
        fmt::format("recognised scaled-dot-product attention {} times; constant "
                    "masks that are not causal are left out",
                    attentions));
  return graph;
}

/// Exporters write the batch they saw into constants: expanded class tokens, position ids, states.
void markConstantBatches(Graph& graph, int64_t batch) {
  if (batch <= 1) return;
  for (size_t i = 0; i < graph.tensorCount(); ++i) {
    Tensor& t = graph.tensor(TensorId(i));
    if (t.type.shape.size() < 2 || t.type.shape[0] != batch) continue;
    if (t.kind == TensorKind::constant) t.batchDim = 0;
    if (t.kind != TensorKind::activation) continue;
    const Operator& op = graph.op(t.producer);
    if (op.def->name != "Expand" && op.def->name != "Tile") continue;
    const Shape& from = graph.tensor(op.inputs[0]).type.shape;
    if (from.size() < t.type.shape.size() || from[0] == 1) t.batchDim = 0;
  }
}

Model build(const onnx::ModelProto& proto, const ModelRequest& request,
            std::vector<std::string> warnings) {
  OnnxBuilder builder(request, proto);
  builder.warnings = std::move(warnings);
  Model model;
  Scope scope;
  scope.opset = opsetOf(proto, builder.warnings);
  const std::vector<Input> inputs = inputsOf(builder, proto.graph());
  addInputs(builder, inputs, batchOf(inputs), scope, model);
  OnnxGraphImporter(builder).importGraph(proto.graph(), scope);
  collectOutputs(builder, proto.graph(), scope);
  appendLoss(builder.graph, model.referenceBatch, builder.warnings);
  model.graph = finishGraph(builder, builder.warnings);
  warnUnusedDims(builder, inputs, builder.warnings);
  warnOpaque(model.graph, builder.warnings);
  markConstantBatches(model.graph, model.referenceBatch);
  propagateBatch(model.graph);
  model.name = std::filesystem::path(request.source).stem().string();
  model.source = request.source;
  model.family = "onnx";
  model.warnings = std::move(builder.warnings);
  model.origins = builder.origins();
  return model;
}

}  // namespace

Model importOnnxBytes(std::string_view bytes, const ModelRequest& request) {
  try {
    return build(*parseOnnx(bytes), request, {});
  } catch (const Error& e) {
    throw e.inFile(request.source);
  }
}

Model importOnnx(const ModelRequest& request) {
  try {
    std::vector<std::string> warnings;
    const auto proto = readOnnxFile(request.source, warnings);
    return build(*proto, request, std::move(warnings));
  } catch (const Error& e) {
    throw e.inFile(request.source);
  }
}

}  // namespace meshplan
