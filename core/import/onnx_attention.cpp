// SPDX-License-Identifier: Apache-2.0
#include "core/import/onnx_attention.h"

#include <algorithm>
#include <numeric>

namespace meshplan {
namespace {

constexpr int kMaxVisits = 64;  // operators looked at between the two products

bool isOneOf(std::string_view name, std::initializer_list<std::string_view> names) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

/// What the walk from the softmax back to the scores passed.
struct Passed {
  std::vector<TensorId> masks;
  double dropout = 0;
};

/// Walks back over operators that keep the shape until one of the wanted def; side inputs are
/// masks.
class BackWalk {
 public:
  BackWalk(const Matcher& matcher, std::string_view wanted) : m_(matcher), wanted_(wanted) {}

  const Operator* find(TensorId t, Passed& passed) {
    const Operator* op = m_.producer(t);
    if (!op || ++visits_ > kMaxVisits) return nullptr;
    if (op->def->name == wanted_) return op;
    if (!isOneOf(op->def->name, {"Scale", "Add", "Sub", "Mul", "Div", "Where", "Dropout", "Max",
                                 "Min", "Clip", "Tanh", "Identity", "Reshape"}))
      return nullptr;
    for (size_t i = op->def->name == "Where" ? 1 : 0; i < op->inputs.size(); ++i) {
      const TensorId next = op->inputs[i];
      if (!continues(*op, next)) continue;
      Passed inner = passed;
      note(*op, i, inner);
      const Operator* found = find(next, inner);
      if (!found) continue;
      passed = inner;
      return found;
    }
    return nullptr;
  }

 private:
  /// Scores keep their shape, or, between windows and batches, at least their queries and keys.
  bool continues(const Operator& op, TensorId input) const {
    const Shape &from = m_.shape(input), &to = m_.shape(op.outputs[0]);
    if (op.def->name != "Reshape") return from == to && !m_.isConstant(input);
    return from.size() > 2 && to.size() > 2 && from.back() == to.back() &&
           from[from.size() - 2] == to[to.size() - 2];
  }
  void note(const Operator& op, size_t followed, Passed& passed) const {
    if (op.def->name == "Dropout") passed.dropout = op.attributes.getFloat("ratio", 0);
    const bool masks = op.def->name == "Add" || op.def->name == "Where" || op.def->name == "Sub";
    for (size_t i = 0; i < op.inputs.size(); ++i)
      if (masks && i != followed && !isGuard(op.inputs[i])) passed.masks.push_back(op.inputs[i]);
  }
  /// Tests for rows without any visible key.
  bool isGuard(TensorId t) const {
    return m_.made(t, "IsNaN") || m_.shape(t).empty() ||
           (m_.isConstant(t) && m_.tensor(t).type.elements() == 1);
  }

  const Matcher& m_;
  std::string_view wanted_;
  int visits_ = 0;
};

/// Before scaling.
TensorId unscaled(const Matcher& m, TensorId t) {
  while (const Operator* op = m.made(t, "Scale")) t = op->inputs[0];
  return m.strip(t);
}

/// Keys or values x[b,g,t,d] before each head was repeated for its group of query heads by
/// Expand(Unsqueeze(x)); an invalid id when `wide` is no such repetition to `heads` heads.
TensorId unrepeated(const Matcher& m, TensorId wide, int64_t heads) {
  const Operator* expand = m.made(wide, "Expand");
  const Operator* unsqueeze = expand ? m.producer(expand->inputs[0]) : nullptr;
  if (!unsqueeze || unsqueeze->def->opClass != OpClass::view) return {};
  const Shape &x = m.shape(unsqueeze->inputs[0]), &to = m.shape(expand->outputs[0]);
  const bool fits = x.size() == 4 && to.size() == 5 && to[0] == x[0] && to[1] == x[1] &&
                    m.shape(expand->inputs[0]) == Shape{x[0], x[1], 1, x[2], x[3]} &&
                    x[1] * to[2] == heads;
  return fits ? unsqueeze->inputs[0] : TensorId();
}

std::vector<int64_t> swappedLast(std::vector<int64_t> perm) {
  std::swap(perm[perm.size() - 1], perm[perm.size() - 2]);
  return perm;
}

bool isSorted(const std::vector<int64_t>& perm) {
  return std::is_sorted(perm.begin(), perm.end());
}

class AttentionMatch {
 public:
  AttentionMatch(const Matcher& matcher, const Operator& product)
      : m_(matcher), rank_(matcher.shape(product.outputs[0]).size()) {}

  std::optional<Replacement> run(const Operator& product,
                                 const std::function<bool(TensorId)>& causal,
                                 const std::string& implementation) {
    Passed passed;
    const Operator* softmax = BackWalk(m_, "Softmax").find(product.inputs[0], passed);
    if (!softmax || !overKeys(*softmax)) return std::nullopt;
    passed.masks.clear();
    const Operator* scores = BackWalk(m_, "MatMul").find(softmax->inputs[0], passed);
    if (!scores) return std::nullopt;
    const TensorId q = unscaled(m_, scores->inputs[0]);
    const TensorId v = m_.strip(product.inputs[1]);
    if (!fits(q, scores->inputs[1], v)) return std::nullopt;
    Attributes attributes{{"implementation", implementation}};
    if (passed.dropout > 0) attributes.set("dropout", passed.dropout);
    std::vector<StepInput> inputs{heads(q), q, heads(v)};
    ungroup(inputs, scores->inputs[1], v);
    if (inputs[1].tensor == q) inputs[1] = heads(keys(unscaled(m_, scores->inputs[1])));
    bool isCausal = false;
    if (!addMask(passed.masks, causal, inputs, isCausal)) return std::nullopt;
    if (isCausal) attributes.set("causal", int64_t{1});
    const int attention = add({"Attention", inputs, attributes});
    if (rank_ == 3) add({"Squeeze", {StepInput::ofStep(attention)}, {{"axes", Shape{1}}}});
    return result_;
  }

 private:
  int add(Step step) {
    result_.steps.push_back(std::move(step));
    return static_cast<int>(result_.steps.size()) - 1;
  }

  bool overKeys(const Operator& softmax) const {
    const auto rank = static_cast<int64_t>(m_.shape(softmax.outputs[0]).size());
    const int64_t axis = softmax.attributes.getInt("axis", -1);
    return axis == -1 || axis == rank - 1;
  }

  bool fits(TensorId q, TensorId keysTransposed, TensorId v) const {
    const Shape &a = m_.shape(q), &b = m_.shape(keysTransposed), &c = m_.shape(v);
    if ((rank_ != 3 && rank_ != 4) || a.size() != rank_ || b.size() != rank_ || c.size() != rank_)
      return false;
    if (a[0] != b[0] || a[0] != c[0] || a[rank_ - 1] != b[rank_ - 2]) return false;
    if (b[rank_ - 1] != c[rank_ - 2]) return false;
    return rank_ == 3 || (b[1] == c[1] && a[1] % b[1] == 0);
  }

  /// k[…,t,d] behind its transposed form; a transposition is added where none can be undone.
  /// Exporters may transpose with batch and heads merged: Reshape(Transpose(k[b·h,t,d])).
  StepInput keys(TensorId transposed) {
    const Shape want = swappedLast(m_.shape(transposed));
    const Operator* outer = m_.made(transposed, "Reshape");
    const Operator* transpose = m_.made(outer ? outer->inputs[0] : transposed, "Transpose");
    if (!transpose) return swapped(transposed);
    const std::vector<int64_t> perm = swappedLast(transpose->attributes.getInts("perm"));
    const TensorId source = unscaled(m_, transpose->inputs[0]);
    if (!outer && isSorted(perm)) return source;
    if (!outer) return StepInput::ofStep(add({"Transpose", {source}, {{"perm", perm}}}));
    const Shape& merged = m_.shape(source);
    const bool batches = isSorted(perm) && want.size() == 4 && merged.size() == 3 &&
                         merged[1] == want[2] && merged[2] == want[3];
    return batches ? reshaped(source, want) : swapped(transposed);
  }

  StepInput swapped(TensorId t) {
    std::vector<int64_t> perm(rank_);
    std::iota(perm.begin(), perm.end(), 0);
    return StepInput::ofStep(add({"Transpose", {t}, {{"perm", swappedLast(perm)}}}));
  }

  /// The same elements in another shape, from before earlier reshapes.
  StepInput reshaped(TensorId t, const Shape& shape) {
    while (const Operator* before = m_.made(t, "Reshape")) t = before->inputs[0];
    if (m_.shape(t) == shape) return t;
    return StepInput::ofStep(add({"Reshape", {t}, {{"shape", shape}}}));
  }

  /// A head of its own for tensors that come without one.
  StepInput heads(StepInput x) {
    if (rank_ == 4) return x;
    return StepInput::ofStep(add({"Unsqueeze", {x}, {{"axes", Shape{1}}}}));
  }

  /// Keys and values with one head per group, where both were repeated alike.
  void ungroup(std::vector<StepInput>& inputs, TensorId keysTransposed, TensorId v) const {
    if (rank_ != 4) return;
    const int64_t heads = m_.shape(v)[1];
    const TensorId k = narrow(keysTransposed, heads), narrowV = narrow(v, heads);
    if (!k.valid() || !narrowV.valid() || m_.shape(k)[1] != m_.shape(narrowV)[1]) return;
    inputs[1] = k;
    inputs[2] = narrowV;
  }

  TensorId narrow(TensorId t, int64_t heads) const {
    while (const Operator* op = m_.producer(t)) {
      const std::string_view name = op->def->name;
      if (name != "Reshape" && name != "Scale" && name != "Transpose") break;
      if (name == "Transpose" && !isSorted(swappedLast(op->attributes.getInts("perm")))) break;
      t = op->inputs[0];
    }
    return unrepeated(m_, m_.strip(t), heads);
  }

  /// False when a mask is computed for another arrangement of the scores.
  bool addMask(const std::vector<TensorId>& masks, const std::function<bool(TensorId)>& causal,
               std::vector<StepInput>& inputs, bool& isCausal) {
    std::optional<StepInput> mask;
    for (TensorId t : masks) {
      isCausal = isCausal || causal(t) || causal(m_.strip(t));
      if (causal(t) || causal(m_.strip(t)) || (m_.isConstant(t) && !m_.isParameter(t))) continue;
      if (m_.shape(t).size() > rank_) return false;
      StepInput next = t;
      if (rank_ == 3 && m_.shape(t).size() == 3) next = heads(t);
      if (mask && isFloating(m_.tensor(t).type.dtype))
        next = StepInput::ofStep(add({"Add", {*mask, next}, {}}));
      mask = next;
    }
    if (mask) inputs.push_back(*mask);
    return true;
  }

  const Matcher& m_;
  size_t rank_;
  Replacement result_;
};

}  // namespace

std::optional<Replacement> matchAttention(const Matcher& matcher, OpId id,
                                          const std::function<bool(TensorId)>& causal,
                                          const std::string& implementation) {
  const Operator& product = matcher.graph().op(id);
  if (product.def->name != "MatMul") return std::nullopt;
  return AttentionMatch(matcher, product).run(product, causal, implementation);
}

}  // namespace meshplan
