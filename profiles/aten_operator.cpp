// SPDX-License-Identifier: Apache-2.0
#include "profiles/aten_operator.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <nlohmann/json.hpp>

#include "core/units.h"

namespace meshplan {
namespace {

using Forms = std::vector<OperatorForm>;
using Ints = std::vector<int64_t>;
using enum OperatorForm::Role;

/// Why a call has no counterpart.
struct Refusal {
  const char* reason;
};

/// The arguments of a call by their places; refuses what is missing.
class Arguments {
 public:
  explicit Arguments(const AtenCall& call) : call_(call) {}

  bool valued() const { return call_.valued; }
  bool isTensor(size_t i) const {
    if (i >= call_.arguments.size()) return false;
    const AtenCall::Argument& a = call_.arguments[i];
    if (a.listed) return false;
    if (!call_.typed) return !a.shape.empty();
    return !a.type.empty() && a.type != "Scalar" && a.type != "ScalarList" && a.value.empty();
  }
  const Shape& shape(size_t i) const {
    if (!isTensor(i)) throw Refusal{"a tensor among its arguments is not recorded"};
    const Shape& shape = call_.arguments[i].shape;
    if (std::any_of(shape.begin(), shape.end(), [](int64_t d) { return d < 1; }))
      throw Refusal{"it works on an empty tensor"};
    return shape;
  }
  std::string text(size_t i) const {
    if (!call_.valued) throw Refusal{"its arguments other than tensors are not recorded"};
    return i < call_.arguments.size() ? call_.arguments[i].value : std::string();
  }
  bool flag(size_t i) const { return text(i) == "True"; }
  int64_t integer(size_t i) const {
    const std::string value = text(i);
    int64_t result = 0;
    if (std::from_chars(value.data(), value.data() + value.size(), result).ec != std::errc())
      throw Refusal{"a number among its arguments is not recorded"};
    return result;
  }
  double real(size_t i) const {
    const std::string value = text(i);
    double result = 0;
    if (std::from_chars(value.data(), value.data() + value.size(), result).ec != std::errc())
      throw Refusal{"a number among its arguments is not recorded"};
    return result;
  }
  /// A list of numbers; one number stands for all `dims`.
  Ints integers(size_t i, size_t dims, int64_t otherwise) const {
    const auto list = nlohmann::json::parse(text(i), nullptr, false);
    Ints values;
    for (const auto& v : list.is_array() ? list : nlohmann::json::array({list}))
      if (v.is_number_integer()) values.push_back(v.get<int64_t>());
    if (values.empty() && (text(i) == "[]" || text(i).empty())) values = {otherwise};
    if (values.size() == 1) values.resize(dims, values[0]);
    if (values.size() != dims) throw Refusal{"a list among its arguments is not recorded"};
    return values;
  }

 private:
  const AtenCall& call_;
};

Shape transposed(const Shape& w) {
  if (w.size() != 2) throw Refusal{"its weight is no matrix"};
  return {w[1], w[0]};
}

/// The products that a graph may call x[...,k] w[k,n] (+ b[n]).
Forms products(const Shape& x, const Shape& w, const Shape* bias) {
  Forms forms{{"Linear", {}, {{x}, {w, parameter}}}};
  if (bias) forms[0].inputs.push_back({*bias, parameter});
  if (!bias) forms.push_back({"MatMul", {}, {{x}, {w, parameter}}});
  if (x.size() == 2) {
    forms.push_back(forms[0]);
    forms.back().def = "Gemm";
  }
  return forms;
}

Forms mm(const Arguments& a) {
  return products(a.shape(0), a.shape(1), nullptr);
}

Forms addmm(const Arguments& a) {
  if (a.shape(0).size() != 1) throw Refusal{"it adds more than a bias"};
  return products(a.shape(1), a.shape(2), &a.shape(0));
}

/// A tied embedding is a weight [n,k] in graphs too.
Forms linear(const Arguments& a) {
  const Shape w = transposed(a.shape(1));
  Forms forms = products(a.shape(0), w, a.isTensor(2) ? &a.shape(2) : nullptr);
  if (!a.isTensor(2))
    forms.push_back(
        {"Linear", {{"transposed", int64_t{1}}}, {{a.shape(0)}, {a.shape(1), parameter}}});
  return forms;
}

Forms matmul(const Arguments& a) {
  if (a.shape(1).size() == 2 && a.shape(0).size() > 1) return mm(a);
  return {{"MatMul", {}, {{a.shape(0)}, {a.shape(1)}}}};
}

/// As our own networks and as PyTorch's exporter write it.
Forms convolutionOf(const Arguments& a, const Ints& strides, const Ints& padding,
                    const Ints& dilations, int64_t group) {
  Ints pads = padding;
  pads.insert(pads.end(), padding.begin(), padding.end());
  std::vector<OperatorForm::Input> inputs{{a.shape(0)}, {a.shape(1), parameter}};
  if (a.isTensor(2)) inputs.push_back({a.shape(2), parameter});
  const Ints kernel(a.shape(1).begin() + 2, a.shape(1).end());
  Forms forms{{"Conv",
               {{"dilations", dilations},
                {"group", group},
                {"kernel_shape", kernel},
                {"pads", pads},
                {"strides", strides}},
               inputs}};
  if (std::all_of(dilations.begin(), dilations.end(), [](int64_t d) { return d == 1; }))
    forms.push_back({"Conv", {{"strides", strides}, {"pads", pads}}, inputs});
  return forms;
}

size_t spatialDims(const Arguments& a) {
  const size_t rank = a.shape(0).size();
  if (rank < 3 || a.shape(1).size() != rank) throw Refusal{"it is no convolution over images"};
  return rank - 2;
}

Forms convNd(const Arguments& a) {
  const size_t n = spatialDims(a);
  return convolutionOf(a, a.integers(3, n, 1), a.integers(4, n, 0), a.integers(5, n, 1),
                       a.integer(6));
}

Forms convolution(const Arguments& a) {
  const size_t n = spatialDims(a);
  if (a.flag(6)) throw Refusal{"it is a transposed convolution"};
  return convolutionOf(a, a.integers(3, n, 1), a.integers(4, n, 0), a.integers(5, n, 1),
                       a.integer(8));
}

Forms layerNorm(const Arguments& a) {
  const Shape &x = a.shape(0), &scale = a.shape(2);
  std::vector<OperatorForm::Input> inputs{{x}, {scale, parameter}};
  if (a.isTensor(3)) inputs.push_back({a.shape(3), parameter});
  const auto axis = -static_cast<int64_t>(scale.size());
  Forms forms;
  if (axis == -1) forms.push_back({"LayerNormalization", {}, inputs});
  if (a.valued() || forms.empty())
    forms.push_back({"LayerNormalization", {{"axis", axis}, {"epsilon", a.real(4)}}, inputs});
  return forms;
}

Forms rmsNorm(const Arguments& a) {
  return {{"RMSNormalization", {}, {{a.shape(0)}, {a.shape(2), parameter}}}};
}

Forms groupNorm(const Arguments& a) {
  const int64_t groups = a.integer(1), channels = a.shape(0).size() > 1 ? a.shape(0)[1] : 0;
  if (groups < 1 || channels % groups != 0) throw Refusal{"its groups do not divide its channels"};
  return {{"GroupNormalization",
           {{"group_size", channels / groups}, {"epsilon", a.real(4)}},
           {{a.shape(0)}, {a.shape(2), parameter}, {a.shape(3), parameter}}}};
}

Forms batchNorm(const Arguments& a) {
  if (!a.flag(5)) throw Refusal{"it takes given statistics"};
  std::vector<OperatorForm::Input> inputs{
      {a.shape(0)}, {a.shape(1), parameter}, {a.shape(2), parameter}};
  Forms forms{{"BatchNormalization", {{"training", int64_t{1}}}, inputs}};
  for (size_t i : {3u, 4u})
    if (a.isTensor(i)) inputs.push_back({a.shape(i), parameter});
  forms.push_back(
      {"BatchNormalization", {{"epsilon", a.real(7)}, {"training", int64_t{1}}}, inputs});
  return forms;
}

Forms alongAxis(std::string_view def, const Arguments& a) {
  const auto rank = static_cast<int64_t>(a.shape(0).size());
  const int64_t axis = a.integer(1);
  const int64_t fromEnd = axis < 0 ? axis : axis - rank;
  return {{def, {{"axis", fromEnd}}, {{a.shape(0)}}},
          {def, {{"axis", fromEnd + rank}}, {{a.shape(0)}}}};
}

Forms softmax(const Arguments& a) {
  return alongAxis("Softmax", a);
}
Forms logSoftmax(const Arguments& a) {
  return alongAxis("LogSoftmax", a);
}

Forms gelu(const Arguments& a) {
  if (a.text(1) != "tanh") return {{"Gelu", {}, {{a.shape(0)}}}};
  return {{"Gelu", {{"approximate", std::string("tanh")}}, {{a.shape(0)}}}};
}

template <const char* Def>
Forms unary(const Arguments& a) {
  return {{Def, {}, {{a.shape(0)}}}};
}

template <const char* Def>
Forms binary(const Arguments& a) {
  if (!a.isTensor(1) || a.shape(1).empty()) throw Refusal{"an operand is a number"};
  return {{Def, {}, {{a.shape(0)}, {a.shape(1)}}}};
}

Forms embedding(const Arguments& a) {
  return {{"Embedding", {}, {{a.shape(1), whole}, {a.shape(0), parameter}}}};
}

Forms dropout(const Arguments& a) {
  if (!a.flag(2)) throw Refusal{"it drops nothing"};
  return {{"Dropout", {{"ratio", a.real(1)}}, {{a.shape(0)}}}};
}

Forms crossEntropy(const Arguments& a) {
  return {{"CrossEntropy", {}, {{a.shape(0)}, {a.shape(1), whole}}}};
}

Forms squaredError(const Arguments& a) {
  return {{"MeanSquaredError", {}, {{a.shape(0)}, {a.shape(1)}}}};
}

Forms maxPool(const Arguments& a) {
  const size_t rank = a.shape(0).size();
  if (rank < 3) throw Refusal{"it is no pooling over images"};
  const Ints kernel = a.integers(1, rank - 2, 1);
  const Ints strides = a.text(2) == "[]" ? kernel : a.integers(2, rank - 2, 1);
  Ints pads = a.integers(3, rank - 2, 0);
  const Ints dilations = a.integers(4, rank - 2, 1);
  pads.insert(pads.end(), pads.begin(), pads.begin() + static_cast<ptrdiff_t>(rank) - 2);
  Forms forms{{"MaxPool",
               {{"ceil_mode", int64_t{a.flag(5)}},
                {"dilations", dilations},
                {"kernel_shape", kernel},
                {"pads", pads},
                {"strides", strides}},
               {{a.shape(0)}}}};
  if (!a.flag(5) && dilations == Ints(rank - 2, 1))
    forms.push_back({"MaxPool",
                     {{"kernel_shape", kernel}, {"strides", strides}, {"pads", pads}},
                     {{a.shape(0)}}});
  return forms;
}

Forms averageToOne(const Arguments& a) {
  const size_t rank = a.shape(0).size();
  if (rank < 3 || a.integers(1, rank - 2, 0) != Ints(rank - 2, 1))
    throw Refusal{"it does not average over whole images"};
  return {{"GlobalAveragePool", {}, {{a.shape(0)}}}};
}

/// Arguments: query, key, value, mask, dropout, causal (without a mask where `masked` is false).
Forms attentionOf(const Arguments& a, bool masked, const char* implementation) {
  const size_t after = masked ? 4 : 3;
  Attributes attributes{{"implementation", std::string(implementation)}};
  if (a.flag(after + 1)) attributes.set("causal", int64_t{1});
  if (const double ratio = a.real(after); ratio > 0) attributes.set("dropout", ratio);
  std::vector<OperatorForm::Input> inputs{{a.shape(0)}, {a.shape(1)}, {a.shape(2)}};
  if (masked && a.isTensor(3)) throw Refusal{"whether its mask trains is not recorded"};
  return {{"Attention", attributes, inputs}};
}

Forms attention(const Arguments& a) {
  return attentionOf(a, true, "flash");
}
Forms flashAttention(const Arguments& a) {
  return attentionOf(a, false, "flash");
}

constexpr char kRelu[] = "Relu";
constexpr char kSilu[] = "Silu";
constexpr char kSigmoid[] = "Sigmoid";
constexpr char kTanh[] = "Tanh";
constexpr char kErf[] = "Erf";
constexpr char kExp[] = "Exp";
constexpr char kLog[] = "Log";
constexpr char kSqrt[] = "Sqrt";
constexpr char kNeg[] = "Neg";
constexpr char kAbs[] = "Abs";
constexpr char kReciprocal[] = "Reciprocal";
constexpr char kMish[] = "Mish";
constexpr char kHardSwish[] = "HardSwish";
constexpr char kAdd[] = "Add";
constexpr char kSub[] = "Sub";
constexpr char kMul[] = "Mul";
constexpr char kDiv[] = "Div";

const std::map<std::string_view, Forms (*)(const Arguments&), std::less<>>& makers() {
  static const std::map<std::string_view, Forms (*)(const Arguments&), std::less<>> table{
      {"mm", mm},
      {"addmm", addmm},
      {"linear", linear},
      {"matmul", matmul},
      {"bmm", matmul},
      {"conv1d", convNd},
      {"conv2d", convNd},
      {"conv3d", convNd},
      {"convolution", convolution},
      {"_convolution", convolution},
      {"layer_norm", layerNorm},
      {"native_layer_norm", layerNorm},
      {"rms_norm", rmsNorm},
      {"_fused_rms_norm", rmsNorm},
      {"group_norm", groupNorm},
      {"batch_norm", batchNorm},
      {"softmax", softmax},
      {"_softmax", softmax},
      {"log_softmax", logSoftmax},
      {"_log_softmax", logSoftmax},
      {"gelu", gelu},
      {"relu", unary<kRelu>},
      {"silu", unary<kSilu>},
      {"sigmoid", unary<kSigmoid>},
      {"tanh", unary<kTanh>},
      {"erf", unary<kErf>},
      {"exp", unary<kExp>},
      {"log", unary<kLog>},
      {"sqrt", unary<kSqrt>},
      {"neg", unary<kNeg>},
      {"abs", unary<kAbs>},
      {"reciprocal", unary<kReciprocal>},
      {"mish", unary<kMish>},
      {"hardswish", unary<kHardSwish>},
      {"add", binary<kAdd>},
      {"sub", binary<kSub>},
      {"mul", binary<kMul>},
      {"div", binary<kDiv>},
      {"embedding", embedding},
      {"dropout", dropout},
      {"native_dropout", dropout},
      {"cross_entropy_loss", crossEntropy},
      {"mse_loss", squaredError},
      {"max_pool2d", maxPool},
      {"adaptive_avg_pool2d", averageToOne},
      {"scaled_dot_product_attention", attention},
      {"_scaled_dot_product_flash_attention", flashAttention},
      {"_scaled_dot_product_flash_attention_for_cpu", flashAttention}};
  return table;
}

/// "aten::relu_" works as "aten::relu", in place.
auto findMaker(std::string_view name) {
  if (!name.starts_with("aten::")) return makers().end();
  name.remove_prefix(6);
  if (name.size() > 1 && name.ends_with('_') && !name.ends_with("__")) name.remove_suffix(1);
  return makers().find(name);
}

std::optional<DType> floatingType(std::string_view type) {
  if (type == "float" || type == "Float") return DType::f32;
  if (type == "double" || type == "Double") return DType::f64;
  if (type == "c10::Half" || type == "Half") return DType::f16;
  if (type == "c10::BFloat16" || type == "BFloat16") return DType::bf16;
  return std::nullopt;
}

/// The one dtype of the floating tensors.
DType storedType(const AtenCall& call, const AtenHints& hints) {
  std::optional<DType> found;
  for (size_t i = 0; i < call.arguments.size(); ++i) {
    if (!Arguments(call).isTensor(i)) continue;
    const auto type = floatingType(call.arguments[i].type);
    if (type && found && *type != *found) throw Refusal{"its tensors are of several dtypes"};
    if (type) found = type;
  }
  if (found) return *found;
  if (!call.typed && hints.compute) return *hints.compute;
  throw Refusal{"the dtype of its tensors is not recorded"};
}

bool isMatrixWork(const OperatorForm& form) {
  const OpClass c = operatorDef(form.def).opClass;
  return c == OpClass::contraction || c == OpClass::convolution || c == OpClass::attention;
}

std::vector<Precision> precisionsOf(const OperatorForm& form, DType stored, bool tf32) {
  if (stored == DType::f64) return {Precision::fp64};
  const bool loss = operatorDef(form.def).opClass == OpClass::loss;
  if (loss && stored != DType::f32) throw Refusal{"plans compute losses in fp32"};
  if (loss) return {Precision::fp32, Precision::tf32, Precision::bf16, Precision::fp16};
  if (stored == DType::bf16) return {Precision::bf16};
  if (stored == DType::f16) return {Precision::fp16};
  if (isMatrixWork(form)) return {tf32 ? Precision::tf32 : Precision::fp32};
  return {Precision::fp32, Precision::tf32};
}

}  // namespace

AtenForms atenForms(const AtenCall& call, const AtenHints& hints) {
  const auto maker = findMaker(call.name);
  if (maker == makers().end()) return {{}, {}, "graphs have no such operator"};
  try {
    AtenForms made;
    made.forms = maker->second(Arguments(call));
    if (hints.mathAttention && made.forms[0].def == "Attention")
      made.forms[0].attributes.set("implementation", std::string("math"));
    made.precisions = precisionsOf(made.forms[0], storedType(call, hints), hints.tf32);
    return made;
  } catch (const Refusal& refusal) {
    return {{}, {}, refusal.reason};
  }
}

bool isAtenOperator(std::string_view name) {
  return findMaker(name) != makers().end();
}

std::optional<int64_t> productElements(const AtenCall& call) {
  const size_t first = call.name == "aten::addmm" || call.name == "aten::baddbmm" ? 1 : 0;
  const bool product = first == 1 || call.name == "aten::mm" || call.name == "aten::bmm" ||
                       call.name == "aten::matmul";
  if (!product || call.arguments.size() < first + 2) return std::nullopt;
  const Shape &a = call.arguments[first].shape, &b = call.arguments[first + 1].shape;
  if (a.size() < 2 || b.size() < 2) return std::nullopt;
  int64_t elements = b.back();
  for (size_t i = 0; i + 1 < a.size(); ++i) {
    if (a[i] < 0 || b.back() < 0) return std::nullopt;
    elements = checkedMul(elements, a[i]);
  }
  return elements;
}

}  // namespace meshplan
