// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "core/error.h"
#include "core/import/onnx.pb.h"
#include "core/import/onnx_graph.h"
#include "core/import/onnx_node.h"

namespace meshplan {
namespace {

const onnx::GraphProto& bodyOf(const OnnxNode& node, std::string_view name) {
  if (const onnx::GraphProto* graph = node.getGraph(name)) return *graph;
  throw Error(ErrorKind::input, node.type + " lacks its '" + std::string(name) + "'",
              "the file is damaged; export the model again");
}

struct Cost {
  double flops = 0, bytes = 0;
  bool operator<(const Cost& o) const {
    return flops != o.flops ? flops < o.flops : bytes < o.bytes;
  }
};

/// Of all operators from `first` on.
Cost costSince(const Graph& graph, size_t first) {
  Cost cost;
  for (size_t i = first; i < graph.operatorCount(); ++i) {
    const Operator& op = graph.op(OpId(i));
    const std::vector<TensorType> in = graph.inputTypes(OpId(i)), out = graph.outputTypes(OpId(i));
    const OpContext context{op.attributes, in, out};
    cost.flops += static_cast<double>(op.repeat) * forwardFlops(*op.def, context).value;
    cost.bytes += static_cast<double>(op.repeat) * forwardBytes(*op.def, context);
  }
  return cost;
}

std::vector<Value> resultsOf(const Scope& scope, const onnx::GraphProto& graph) {
  std::vector<Value> values;
  for (const auto& output : graph.output())
    values.push_back(OnnxGraphImporter::outputOf(scope, output.name()));
  return values;
}

/// While a value lives, operators are added with the repeats of one more loop.
class RepeatGuard {
 public:
  RepeatGuard(int64_t& repeat, int64_t times) : repeat_(repeat), outer_(repeat) {
    repeat_ = checkedMul(repeat_, times);
  }
  ~RepeatGuard() { repeat_ = outer_; }
  RepeatGuard(const RepeatGuard&) = delete;
  RepeatGuard& operator=(const RepeatGuard&) = delete;

 private:
  int64_t& repeat_;
  int64_t outer_;
};

}  // namespace

/// Both branches are added; what the cheaper one made is left without a reader and falls away.
std::vector<Value> OnnxGraphImporter::importIf(OnnxNode& node) {
  const SmallTensor* condition = builder_.known(node.input(0));
  std::vector<Value> kept;
  Cost best{-1, 0};
  std::string name;
  for (const std::string branch : {"then_branch", "else_branch"}) {
    const bool wanted = branch == "then_branch";
    if (condition && condition->size() == 1 && (condition->integer(0) != 0) != wanted) continue;
    const onnx::GraphProto& graph = bodyOf(node, branch);
    const size_t first = builder_.graph.operatorCount();
    Scope scope = childOf(node);
    importGraph(graph, scope);
    const Cost cost = costSince(builder_.graph, first);
    if (!(best < cost)) continue;
    best = cost;
    kept = resultsOf(scope, graph);
    name = branch;
  }
  if (!condition)
    builder_.warnOnce("node " + node.name + ": planned with its " + name + ", the dearer one");
  return kept;
}

int64_t OnnxGraphImporter::tripCountOf(OnnxNode& node) {
  const SmallTensor* known = node.has(0) ? builder_.known(node.input(0)) : nullptr;
  const int64_t count = known && known->size() == 1 ? known->integer(0) : INT64_MAX;
  if (count >= 0 && count < INT32_MAX) return count;
  if (builder_.request.tripCount) return *builder_.request.tripCount;
  throw Error(ErrorKind::input, "the number of iterations is computed from data",
              "say how many to plan: --trip-count N");
}

/// A value that iterations change: what was known of it holds only for the first one.
Value OnnxGraphImporter::inBody(const Value& initial) {
  if (!initial.isConstant()) return initial;
  return builder_.constant(builder_.info(initial).name, initial.type, std::nullopt, false);
}

/// What one iteration yields, once per iteration.
std::vector<Value> OnnxGraphImporter::stacked(OnnxNode& node, const Value& value, int64_t count) {
  const std::vector<Value> row = node.add("Unsqueeze", {value}, {{"axes", Shape{0}}});
  Shape shape = row[0].type.shape;
  shape[0] = count;
  return node.add("Expand", row, {{"shape", shape}});
}

std::vector<Value> OnnxGraphImporter::importLoop(OnnxNode& node) {
  const onnx::GraphProto& body = bodyOf(node, "body");
  const int64_t count = std::max<int64_t>(1, tripCountOf(node));
  Scope scope = childOf(node);
  const auto bind = [&](int i, const Value& value) {
    scope.values.emplace(body.input(i).name(), value);
  };
  const int carried = std::max(0, body.input_size() - 2);
  if (body.input_size() > 0)
    bind(0, builder_.constant("iteration", {DType::i64, {}}, std::nullopt, false));
  if (body.input_size() > 1)
    bind(1, builder_.constant("condition", {DType::boolean, {}}, std::nullopt, false));
  for (int i = 0; i < carried; ++i) bind(i + 2, inBody(node.input(static_cast<size_t>(i) + 2)));
  std::vector<Value> results;
  {
    const RepeatGuard guard(builder_.repeat, count);
    importGraph(body, scope);
    results = resultsOf(scope, body);
  }
  if (results.size() < static_cast<size_t>(carried) + 1)
    throw Error(ErrorKind::input, "the body of the loop yields too little",
                "export the model again");
  results.erase(results.begin());
  for (size_t i = static_cast<size_t>(carried); i < results.size(); ++i)
    results[i] = stacked(node, results[i], count)[0];
  return results;
}

std::vector<Value> OnnxGraphImporter::importScan(OnnxNode& node) {
  const onnx::GraphProto& body = bodyOf(node, "body");
  const auto scanned = static_cast<size_t>(std::max<int64_t>(0, node.getInt("num_scan_inputs", 0)));
  const size_t skip = node.opset() < 9 ? 1 : 0,
               total = node.inputs.size() - std::min(skip, node.inputs.size());
  if (scanned == 0 || scanned > total || static_cast<size_t>(body.input_size()) != total)
    throw Error(ErrorKind::input, "the inputs of Scan do not fit its body",
                "export the model again");
  const std::vector<int64_t> axes = node.getInts("scan_input_axes");
  Scope scope = childOf(node);
  int64_t count = 1;
  for (size_t i = 0; i < total; ++i) {
    Value value = inBody(node.input(i + skip));
    if (i >= total - scanned) {
      const size_t k = i - (total - scanned);
      const int64_t axis = k < axes.size() ? axes[k] : 0;
      const auto rank = static_cast<int64_t>(value.type.shape.size());
      if (rank == 0 || axis < -rank || axis >= rank)
        throw Error(ErrorKind::input, "Scan runs along a missing dimension",
                    "export the model again");
      count = value.type.shape[static_cast<size_t>(axis < 0 ? axis + rank : axis)];
      const Value first = builder_.constant(smallScalar(DType::i64, 0));
      value = node.add("Gather", {value, first}, {{"axis", axis}})[0];
    }
    scope.values.emplace(body.input(static_cast<int>(i)).name(), value);
  }
  std::vector<Value> results;
  {
    const RepeatGuard guard(builder_.repeat, std::max<int64_t>(count, 1));
    importGraph(body, scope);
    results = resultsOf(scope, body);
  }
  for (size_t i = total - scanned; i < results.size(); ++i)
    results[i] = stacked(node, results[i], count)[0];
  return results;
}

}  // namespace meshplan
