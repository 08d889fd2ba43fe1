// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "core/error.h"
#include "core/import/onnx.pb.h"
#include "core/import/onnx_translate.h"
#include "core/operators/support.h"

namespace meshplan {
namespace {

bool isWeightMatrix(const Value& v) {
  return v.isConstant() && isFloating(v.type.dtype) && v.type.shape.size() == 2;
}

std::vector<Value> matMul(OnnxNode& node) {
  const Value &a = node.input(0), &b = node.input(1);
  if (isWeightMatrix(b) && !a.isConstant() && node.rank(0) >= 2)
    return addLinear(node, a, b, false, nullptr);
  return realise(node, {"MatMul", {a, b}, {}});
}

std::vector<Value> gemm(OnnxNode& node) {
  const Value &a = node.input(0), &b = node.input(1);
  const bool transB = node.getInt("transB", 0) != 0, hasC = node.has(2);
  const bool plain = node.getInt("transA", 0) == 0 && node.getFloat("alpha", 1) == 1 &&
                     (!hasC || node.getFloat("beta", 1) == 1);
  const bool fits = isWeightMatrix(b) && !a.isConstant() && node.rank(0) == 2 &&
                    (!hasC || (node.input(2).isConstant() &&
                               node.input(2).type.elements() == node.shape(1)[transB ? 0 : 1]));
  if (plain && fits) return addLinear(node, a, b, transB, hasC ? &node.inputs[2] : nullptr);
  return realise(node, {"Gemm", node.present(), node.plainAttributes()});
}

/// An Einsum of two operands of rank 4 that is one product per pair of shared dimensions.
struct EinsumProduct {
  std::string left, right, result;
  std::string batch;
  char m = 0, n = 0, k = 0;
  bool fits = false;
};

EinsumProduct parseProduct(std::string equation) {
  equation.erase(std::remove(equation.begin(), equation.end(), ' '), equation.end());
  EinsumProduct p;
  const size_t comma = equation.find(','), arrow = equation.find("->");
  if (equation.size() != 15 || comma != 4 || arrow != 9) return p;
  p.left = equation.substr(0, 4);
  p.right = equation.substr(5, 4);
  p.result = equation.substr(11);
  const auto in = [](const std::string& s, char c) { return s.find(c) != std::string::npos; };
  for (char c : p.result) {
    if (in(p.left, c) && in(p.right, c)) p.batch += c;
    if (in(p.left, c) && !in(p.right, c)) p.m = c;
    if (!in(p.left, c) && in(p.right, c)) p.n = c;
  }
  for (char c : p.left)
    if (in(p.right, c) && !in(p.result, c)) p.k = c;
  p.fits = p.batch.size() == 2 && p.m && p.n && p.k;
  return p;
}

/// The dimensions called `from` in the order `to`.
Value permuted(OnnxNode& node, const Value& x, const std::string& from, const std::string& to) {
  if (from == to) return x;
  std::vector<int64_t> perm;
  for (char c : to) perm.push_back(static_cast<int64_t>(from.find(c)));
  return node.add("Transpose", {x}, {{"perm", perm}})[0];
}

/// Products of activations, as attention written with Einsum, become a MatMul between
/// transpositions.
std::vector<Value> einsum(OnnxNode& node) {
  const bool pair =
      node.inputs.size() == 2 && !node.input(0).isConstant() && !node.input(1).isConstant();
  EinsumProduct p = parseProduct(pair ? node.getString("equation", "") : "");
  if (!p.fits) return realise(node, {"Einsum", node.present(), node.plainAttributes()});
  const bool swap = p.result.find(p.n) < p.result.find(p.m);
  Value a = node.input(swap ? 1 : 0), b = node.input(swap ? 0 : 1);
  if (swap) {
    std::swap(p.left, p.right);
    std::swap(p.m, p.n);
  }
  a = permuted(node, a, p.left, p.batch + p.m + p.k);
  b = permuted(node, b, p.right, p.batch + p.k + p.n);
  return {permuted(node, node.add("MatMul", {a, b})[0], p.batch + p.m + p.n, p.result)};
}

Canonical maxPool(OnnxNode& node) {
  Attributes attributes = node.plainAttributes();
  if (node.outputUsed(1)) attributes.set("outputs", int64_t{2});
  if (node.builder.inference && node.outputUsed(1) && node.getInt("storage_order", 0) != 0)
    throw Unplannable{"indices in column-major order are not computed"};
  return {"MaxPool", {node.input(0)}, attributes};
}

Canonical convolution(OnnxNode& node) {
  Attributes attributes = node.plainAttributes();
  return {operatorDef(node.type).name, node.present(), attributes};
}

/// Training computes the statistics of the batch; the file's running ones are not read.
/// The running statistics behind the batch: old * momentum + new * (1 - momentum).
Value running(OnnxNode& node, const Value& old, const Value& now) {
  const double momentum = node.getFloat("momentum", 0.9);
  const Value a = node.add("Scale", {old}, {{"factor", momentum}})[0];
  return node.add("Add", {a, node.add("Scale", {now}, {{"factor", 1 - momentum}})[0]})[0];
}

/// Inference with the statistics of the batch, as training_mode asks for.
std::vector<Value> batchNormOfBatch(OnnxNode& node, const Attributes& attributes) {
  const Value& x = node.input(0);
  std::vector<int64_t> axes{0};
  for (int64_t i = 2; i < node.rank(0); ++i) axes.push_back(i);
  const auto average = [&](const Value& v, bool keep) {
    return node.add("ReduceMean", {v}, {{"axes", axes}, {"keepdims", int64_t{keep}}})[0];
  };
  const Value off = node.add("Sub", {x, average(x, true)})[0];
  const Value mean = average(x, false);
  const Value variance = average(node.add("Mul", {off, off})[0], false);
  const Value y = node.add("BatchNormalization", {x, node.input(1), node.input(2), mean, variance},
                           attributes)[0];
  return {y, running(node, node.input(3), mean), running(node, node.input(4), variance)};
}

std::vector<Value> batchNorm(OnnxNode& node) {
  std::vector<Value> inputs = node.present();
  if (inputs.size() > 5) inputs.resize(5);
  const Attributes attributes{{"epsilon", node.getFloat("epsilon", 1e-5)},
                              {"training", int64_t{!node.builder.inference}}};
  if (node.builder.inference && node.getInt("training_mode", 0) != 0)
    return batchNormOfBatch(node, attributes);
  return realise(node, {"BatchNormalization", inputs, attributes});
}

/// The mean and the inverse of the standard deviation, which nothing but inference reads.
std::vector<Value> statistics(OnnxNode& node, double epsilon) {
  std::vector<int64_t> axes;
  const auto first = static_cast<int64_t>(
      dimensionIndex(node.getInt("axis", -1), static_cast<size_t>(node.rank(0))));
  for (int64_t i = first; i < node.rank(0); ++i) axes.push_back(i);
  const Attributes over{{"axes", axes}, {"keepdims", int64_t{1}}};
  const Value& x = node.input(0);
  const Value mean = node.add("ReduceMean", {x}, over)[0];
  const Value off = node.add("Sub", {x, mean})[0];
  const Value variance = node.add("ReduceMean", {node.add("Mul", {off, off})[0]}, over)[0];
  const Value guard = node.builder.constant(smallScalar(x.type.dtype, epsilon));
  const Value deviation = node.add("Sqrt", {node.add("Add", {variance, guard})[0]})[0];
  return {mean, node.add("Reciprocal", {deviation})[0]};
}

std::vector<Value> layerNorm(OnnxNode& node) {
  const double epsilon = node.getFloat("epsilon", 1e-5);
  std::vector<Value> outputs =
      realise(node, {node.type == "LayerNormalization" ? "LayerNormalization" : "RMSNormalization",
                     node.present(),
                     {{"axis", node.getInt("axis", -1)}, {"epsilon", epsilon}}});
  if (node.type == "LayerNormalization" && (node.outputUsed(1) || node.outputUsed(2)))
    for (const Value& v : statistics(node, epsilon)) outputs.push_back(v);
  return outputs;
}

Canonical groupNorm(OnnxNode& node) {
  const int64_t groups = node.getInt("num_groups", 1);
  const int64_t channels = node.rank(0) > 1 ? node.shape(0)[1] : 0;
  if (groups < 1 || channels % groups != 0)
    rejectInputs(std::to_string(channels) + " channels do not divide into " +
                 std::to_string(groups) + " groups");
  return {"GroupNormalization",
          node.present(),
          {{"group_size", channels / groups}, {"epsilon", node.getFloat("epsilon", 1e-5)}}};
}

Canonical softmax(OnnxNode& node) {
  const bool early = node.opset() < 13;
  Attributes attributes{{"axis", node.getInt("axis", early ? 1 : -1)}};
  if (early) attributes.set("coerced", int64_t{1});
  return {operatorDef(node.type).name, {node.input(0)}, attributes};
}

Canonical clip(OnnxNode& node) {
  Attributes attributes = node.plainAttributes();
  for (size_t i : {1u, 2u})
    if (node.has(i) && node.builder.known(node.input(i)) && node.known(i).size() == 1)
      attributes.set(i == 1 ? "min" : "max", node.known(i).number(0));
  if (attributes.has("min") && attributes.has("max"))  // the largest holds if they cross
    attributes.set("min", std::min(attributes.getFloat("min", 0), attributes.getFloat("max", 0)));
  return {"Clip", {node.input(0)}, attributes};
}

/// Before opset 7 the second operand stood for consecutive dimensions of the first from `axis` on.
Value aligned(OnnxNode& node, const Value& a, const Value& b) {
  const auto rank = static_cast<int64_t>(b.type.shape.size());
  if (node.opset() >= 7 || !node.hasAttribute("axis")) return b;
  const auto axis =
      static_cast<int64_t>(dimensionIndex(node.getInt("axis", 0), a.type.shape.size()));
  Shape shape = b.type.shape;
  for (int64_t i = axis + rank; i < node.rank(0); ++i) shape.push_back(1);
  if (shape == b.type.shape) return b;
  return realise(node, {"Reshape", {b}, {{"shape", shape}}})[0];
}

std::vector<Value> binary(OnnxNode& node) {
  const Value &a = node.input(0), &b = node.input(1);
  Attributes attributes = node.opset() < 7 ? Attributes() : node.plainAttributes();
  return realise(node, {operatorDef(node.type).name, {a, aligned(node, a, b)}, attributes});
}

/// Before opset 7 slopes were one per channel.
std::vector<Value> pRelu(OnnxNode& node) {
  const Value &x = node.input(0), &slope = node.input(1);
  const bool perChannel = node.opset() < 7 && node.rank(1) == 1 && slope.type.elements() > 1;
  if (!perChannel) return realise(node, {"PRelu", {x, slope}, {}});
  Shape shape = slope.type.shape;
  for (int64_t i = 2; i < node.rank(0); ++i) shape.push_back(1);
  return realise(node,
                 {"PRelu", {x, realise(node, {"Reshape", {slope}, {{"shape", shape}}})[0]}, {}});
}

/// Multiplying or dividing by a known number keeps sums apart that are not complete yet, unlike a
/// product of two tensors.
std::vector<Value> scaleOr(OnnxNode& node) {
  const Value &a = node.input(0), &b = node.input(1);
  const bool divides = node.type == "Div";
  const auto number = [&](const Value& v) -> const SmallTensor* {
    const SmallTensor* known = node.builder.inference ? nullptr : node.builder.known(v);
    return known && known->size() == 1 && known->floating() && !node.builder.trained(v) ? known
                                                                                        : nullptr;
  };
  const auto scaled = [&](const Value& x, const Value& by, double factor) {
    return !x.isConstant() && by.type.shape.size() <= x.type.shape.size() &&
                   isFloating(x.type.dtype)
               ? std::optional(node.add("Scale", {x}, {{"factor", factor}}))
               : std::nullopt;
  };
  if (const SmallTensor* f = number(b))
    if (auto result = scaled(a, b, divides ? 1 / f->number(0) : f->number(0))) return *result;
  if (const SmallTensor* f = divides ? nullptr : number(a))
    if (auto result = scaled(b, a, f->number(0))) return *result;
  return binary(node);
}

/// Inference keeps everything.
std::vector<Value> undropped(OnnxNode& node) {
  const bool trains = node.has(2) && node.builder.known(node.input(2)) && node.knownInt(2) != 0;
  const bool none = node.has(1) && node.builder.known(node.input(1)) && node.known(1).size() == 1 &&
                    node.known(1).number(0) == 0;
  if (trains && !none) throw Unplannable{"dropping at random is no inference"};
  if (!node.outputUsed(1)) return {node.input(0)};
  const Value kept = node.builder.constant(smallScalar(DType::boolean, 1));
  return {node.input(0), node.add("Expand", {kept}, {{"shape", node.shape(0)}})[0]};
}

/// Exports are made for inference; a training step drops with the ratio that the node keeps.
std::vector<Value> dropout(OnnxNode& node) {
  if (node.builder.inference) return undropped(node);
  double ratio = node.getFloat("ratio", 0.5);
  if (node.has(1) && node.builder.known(node.input(1)) && node.known(1).size() == 1)
    ratio = node.known(1).number(0);
  const bool used = ratio > 0 && ratio < 1 && !node.input(0).isConstant();
  if (!used) return {node.input(0), node.input(0)};
  return node.add("Dropout", {node.input(0)}, {{"ratio", ratio}});
}

/// What training leaves out of a recurrent layer, inference must not.
void refuseRareRecurrence(const OnnxNode& node) {
  if (!node.builder.inference) return;
  for (const char* name : {"activations", "activation_alpha", "activation_beta", "clip"})
    if (node.hasAttribute(name)) throw Unplannable{std::string(name) + " are not read"};
  if (node.getInt("input_forget", 0) != 0) throw Unplannable{"coupled gates are not read"};
  if (node.has(7)) throw Unplannable{"peepholes are not read"};
  if (node.has(4) && node.builder.known(node.input(4))) {
    const std::vector<int64_t> lengths = node.knownInts(4);
    const int64_t steps = node.shape(0).at(node.getInt("layout", 0) != 0 ? 1 : 0);
    for (int64_t length : lengths)
      if (length != steps) throw Unplannable{"lengths of sequences are not read"};
  }
}

/// Sizes follow from the weights; lengths of sequences and peepholes are not read.
std::vector<Value> recurrent(OnnxNode& node) {
  refuseRareRecurrence(node);
  const bool batchFirst = node.getInt("layout", 0) != 0;
  const auto swap = [&](const Value& v, std::vector<int64_t> perm) {
    return batchFirst ? node.add("Transpose", {v}, {{"perm", std::move(perm)}})[0] : v;
  };
  std::vector<Value> inputs{swap(node.input(0), {1, 0, 2}), node.input(1), node.input(2)};
  if (node.has(3)) inputs.push_back(node.input(3));
  for (size_t i : {5u, 6u})
    if (node.has(i)) inputs.push_back(swap(node.input(i), {1, 0, 2}));
  Attributes attributes{{"direction", node.getString("direction", "forward")},
                        {"has_bias", int64_t{node.has(3)}},
                        {"has_initial", int64_t{node.has(5)}}};
  if (node.getInt("linear_before_reset", 0) != 0) attributes.set("linear_before_reset", int64_t{1});
  std::vector<Value> outputs = node.add(operatorDef(node.type).name, inputs, attributes);
  outputs[0] = swap(outputs[0], {2, 0, 1, 3});
  for (size_t i = 1; i < outputs.size(); ++i)
    if (node.outputUsed(i)) outputs[i] = swap(outputs[i], {1, 0, 2});
  return outputs;
}

void refuseQuantised(const OnnxNode& node) {
  if (node.builder.inference) throw Unplannable{"quantised numbers are not computed"};
}

/// Training runs in floating point: quantisation is left out, quantised weights become their
/// floating type.
std::vector<Value> dequantize(OnnxNode& node) {
  refuseQuantised(node);
  const Value& x = node.input(0);
  if (isFloating(x.type.dtype)) return {x};
  const DType dtype = node.has(1) ? node.input(1).type.dtype : DType::f32;
  if (x.isConstant()) return {node.builder.view(x, {dtype, x.type.shape}, false)};
  return node.add("Cast", {x}, {{"to", std::string(dtypeName(dtype))}});
}

std::vector<Value> quantize(OnnxNode& node) {
  refuseQuantised(node);
  node.builder.warnOnce("QuantizeLinear is left out: training is planned in floating point");
  return {node.input(0)};
}

constexpr Translation kRows[] = {{"MatMul", nullptr, matMul},
                                 {"Gemm", nullptr, gemm},
                                 {"Einsum", nullptr, einsum},
                                 {"Conv", convolution},
                                 {"ConvTranspose", convolution},
                                 {"MaxPool", maxPool},
                                 {"BatchNormalization", nullptr, batchNorm},
                                 {"LayerNormalization", nullptr, layerNorm},
                                 {"RMSNormalization", nullptr, layerNorm},
                                 {"SimplifiedLayerNormalization", nullptr, layerNorm},
                                 {"GroupNormalization", groupNorm},
                                 {"Softmax", softmax},
                                 {"LogSoftmax", softmax},
                                 {"Hardmax", softmax},
                                 {"Clip", clip},
                                 {"Add", nullptr, binary},
                                 {"Sub", nullptr, binary},
                                 {"Pow", nullptr, binary},
                                 {"And", nullptr, binary},
                                 {"Or", nullptr, binary},
                                 {"Xor", nullptr, binary},
                                 {"Equal", nullptr, binary},
                                 {"Less", nullptr, binary},
                                 {"Greater", nullptr, binary},
                                 {"PRelu", nullptr, pRelu},
                                 {"Mul", nullptr, scaleOr},
                                 {"Div", nullptr, scaleOr},
                                 {"Dropout", nullptr, dropout},
                                 {"LSTM", nullptr, recurrent},
                                 {"GRU", nullptr, recurrent},
                                 {"RNN", nullptr, recurrent},
                                 {"QuantizeLinear", nullptr, quantize},
                                 {"DequantizeLinear", nullptr, dequantize}};

}  // namespace

std::vector<Value> addLinear(OnnxNode& node, const Value& x, const Value& w, bool transposed,
                             const Value* bias) {
  OnnxBuilder& builder = node.builder;
  Value weight = w;
  if (!builder.tensorAsIs(w, Role::weight)) {
    const Value other = builder.view(w, {w.type.dtype, {w.type.shape[1], w.type.shape[0]}}, false);
    if (builder.tensorAsIs(other, Role::weight)) {
      weight = other;
      transposed = !transposed;
    }
  }
  Attributes attributes;
  if (transposed) attributes.set("transposed", int64_t{1});
  std::vector<Value> inputs{x, weight};
  if (bias)
    inputs.push_back(bias->type.shape.size() == 1
                         ? *bias
                         : builder.view(*bias, {bias->type.dtype, {bias->type.elements()}}));
  return node.add("Linear", inputs, attributes);
}

std::span<const Translation> layerTranslations() {
  return kRows;
}

}  // namespace meshplan
