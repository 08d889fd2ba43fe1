// SPDX-License-Identifier: Apache-2.0
#include "core/import/onnx_loss.h"

#include <algorithm>

namespace meshplan {
namespace {

bool contains(const std::string& name, std::string_view part) {
  return name.find(part) != std::string::npos;
}

/// Keys and values handed on to the next token are no results to learn from.
bool isCache(const std::string& name) {
  return contains(name, "present") || contains(name, "past_") || contains(name, "cache");
}

const Operator* producerOf(const Graph& graph, TensorId t) {
  const OpId producer = graph.tensor(t).producer;
  return producer.valid() ? &graph.op(producer) : nullptr;
}

/// Walks back over what turns logits into predictions.
TensorId beforePrediction(const Graph& graph, TensorId t) {
  while (const Operator* op = producerOf(graph, t)) {
    const std::string_view name = op->def->name;
    const bool integerCast = name == "Cast" && !isFloating(graph.tensor(op->outputs[0]).type.dtype);
    if (name != "Softmax" && name != "LogSoftmax" && name != "ArgMax" && name != "Identity" &&
        name != "TopK" && !integerCast)
      break;
    t = op->inputs[0];
  }
  return t;
}

constexpr size_t kNoOutput = SIZE_MAX;

/// The output named after logits, else the last floating one of rank 2 or more that is no cache,
/// else the first floating one.
size_t predictionOf(const Graph& graph) {
  size_t chosen = kNoOutput;
  for (size_t i = 0; i < graph.outputs().size(); ++i) {
    const TensorId logits = beforePrediction(graph, graph.outputs()[i]);
    const std::string& name = graph.tensor(graph.outputs()[i]).name;
    if (!isFloating(graph.tensor(logits).type.dtype) || isCache(name)) continue;
    const bool better = chosen == kNoOutput || graph.tensor(logits).type.shape.size() >= 2;
    if (better) chosen = i;
    if (contains(name, "logits")) return i;
  }
  return chosen;
}

/// Logits with the classes last: images of one pixel behind a global pooling are rows of classes,
/// larger ones are classified pixel by pixel.
TensorId withClassesLast(Graph& graph, TensorId t) {
  const Shape shape = graph.tensor(t).type.shape;
  const bool single = shape.size() > 2 &&
                      std::all_of(shape.begin() + 2, shape.end(), [](int64_t d) { return d == 1; });
  if (single)
    return graph.output(
        graph.addOperator("Reshape", {t}, {{"shape", Shape{shape[0], shape[1]}}}, "loss.logits"));
  const Operator* op = producerOf(graph, t);
  const bool image = op && (op->def->opClass == OpClass::convolution || op->def->name == "Resize");
  if (!image || shape.size() != 4 || shape[1] == 1) return t;
  return graph.output(
      graph.addOperator("Transpose", {t}, {{"perm", Shape{0, 2, 3, 1}}}, "loss.logits"));
}

}  // namespace

void appendLoss(Graph& graph, int64_t batch, std::vector<std::string>& warnings) {
  const size_t output = predictionOf(graph);
  if (output == kNoOutput) {
    warnings.push_back("no floating-point output to learn from: planned without a loss");
    return;
  }
  const TensorId logits = beforePrediction(graph, graph.outputs()[output]);
  graph.outputs()[output] = logits;
  const TensorId prediction = withClassesLast(graph, logits);
  const Tensor result = graph.tensor(prediction);
  const Shape& shape = result.type.shape;
  const bool classes = shape.size() >= 2 && shape.back() > 1;
  TensorType target = result.type;
  if (classes) target = {DType::i64, {shape.begin(), shape.end() - 1}};
  const bool batched = !target.shape.empty() && target.shape[0] % batch == 0;
  const TensorId labels = graph.addInput(classes ? "labels" : "target", target, batched ? 0 : -1);
  const std::string def = classes ? "CrossEntropy" : "MeanSquaredError";
  const OpId loss = graph.addOperator(def, {prediction, labels}, {}, "loss");
  graph.outputs().push_back(graph.output(loss));
  warnings.push_back(
      "the loss is assumed: " + std::string(classes ? "cross-entropy" : "mean squared error") +
      " over '" + result.name + "' " + shapeText(shape));
}

}  // namespace meshplan
