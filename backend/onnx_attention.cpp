// SPDX-License-Identifier: Apache-2.0
#include "backend/onnx_attention.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "core/operators/support.h"

namespace meshplan {
namespace {

using Inputs = std::vector<const HostTensor*>;
using Extents = std::array<int64_t, 4>;

constexpr double kExcluded = -INFINITY;

const HostTensor* optional(const Inputs& inputs, size_t i) {
  return i < inputs.size() ? inputs[i] : nullptr;
}

/// A tensor as [batch, heads, steps, features], from that or from [batch, steps, heads * features].
struct Heads {
  Extents shape{};
  std::vector<double> values;

  Heads(const HostTensor& tensor, int64_t heads) {
    const Shape& s = tensor.shape();
    values = toDoubles(tensor);
    if (s.size() == 4) {
      shape = {s[0], s[1], s[2], s[3]};
      return;
    }
    if (s.size() != 3 || heads < 1 || s[2] % heads != 0)
      rejectInputs("queries, keys and values must be [b,h,s,d], or [b,s,h*d] with their heads");
    shape = {s[0], heads, s[1], s[2] / heads};
    exchange(s[1], heads, s[2] / heads);
  }

  /// [b, first, second, inner] becomes [b, second, first, inner].
  void exchange(int64_t first, int64_t second, int64_t inner) {
    std::vector<double> other(values.size());
    const int64_t batch = std::max<int64_t>(first * second * inner, 1);
    for (size_t i = 0; i < values.size(); ++i) {
      const auto flat = static_cast<int64_t>(i);
      const int64_t b = flat / batch, f = flat / (second * inner) % first,
                    s = flat / inner % second;
      other[static_cast<size_t>(((b * second + s) * first + f) * inner + flat % inner)] = values[i];
    }
    values.swap(other);
  }

  const double* at(int64_t b, int64_t h, int64_t s) const {
    return values.data() + ((b * shape[1] + h) * shape[2] + s) * shape[3];
  }
};

/// Past steps before the present ones.
void prepend(Heads& now, const HostTensor* past) {
  if (!past) return;
  const Heads before(*past, now.shape[1]);
  const Extents &p = before.shape, &n = now.shape;
  if (p[0] != n[0] || p[1] != n[1] || p[3] != n[3])
    rejectInputs("past keys and values do not fit the present ones");
  std::vector<double> all;
  for (int64_t r = 0; r < n[0] * n[1]; ++r) {
    const auto append = [&](const Heads& from) {
      const int64_t row = from.shape[2] * from.shape[3];
      all.insert(all.end(), from.values.begin() + r * row, from.values.begin() + (r + 1) * row);
    };
    append(before);
    append(now);
  }
  now.values = std::move(all);
  now.shape[2] += p[2];
}

class AttentionRun {
 public:
  AttentionRun(const OnnxNode& node, const Inputs& inputs)
      : q_(*inputs.at(0), node.getInt("q_num_heads", 1)),
        k_(*inputs.at(1), node.getInt("kv_num_heads", 1)),
        v_(*inputs.at(2), node.getInt("kv_num_heads", 1)),
        dtype_(inputs[0]->type().dtype),
        flat_(inputs[0]->shape().size() == 3),
        causal_(node.getInt("is_causal", 0) != 0),
        left_(node.getInt("left_window_size", -1)),
        right_(node.getInt("right_window_size", -1)),
        mode_(node.getInt("qk_matmul_output_mode", 0)),
        softcap_(node.getFloat("softcap", 0)) {
    scale_ = node.getFloat("scale", 1 / std::sqrt(static_cast<double>(q_.shape[3])));
    past_ = optional(inputs, 4) ? optional(inputs, 4)->shape().at(2) : 0;
    prepend(k_, optional(inputs, 4));
    prepend(v_, optional(inputs, 5));
    if (const HostTensor* mask = optional(inputs, 3)) readMask(*mask);
    if (const HostTensor* lengths = optional(inputs, 6)) lengths_ = toDoubles(*lengths);
    check();
  }

  std::vector<HostTensor> run() {
    const int64_t rows = q_.shape[0] * q_.shape[1] * q_.shape[2];
    y_.resize(static_cast<size_t>(rows * v_.shape[3]));
    scores_.resize(static_cast<size_t>(rows * k_.shape[2]));
#pragma omp parallel for
    for (int64_t r = 0; r < rows; ++r) row(r);
    return {output(), tensor(k_.shape, k_.values), tensor(v_.shape, v_.values),
            tensor({q_.shape[0], q_.shape[1], q_.shape[2], k_.shape[2]}, scores_)};
  }

 private:
  void readMask(const HostTensor& mask) {
    mask_ = toDoubles(mask);
    maskShape_ = mask.shape();
    if (maskShape_.empty() || maskShape_.size() > 4) rejectInputs("the mask has not 1 to 4 dims");
    if (mask.type().dtype == DType::boolean)
      for (double& m : mask_) m = m != 0 ? 0 : kExcluded;
    const Extents whole{q_.shape[0], q_.shape[1], q_.shape[2], k_.shape[2]};
    for (size_t i = 1; i < maskShape_.size(); ++i) {
      const int64_t extent = maskShape_[maskShape_.size() - 1 - i];
      if (extent != 1 && extent != whole[3 - i]) rejectInputs("the mask does not fit the scores");
    }
    if (maskShape_.back() > whole[3]) rejectInputs("the mask does not fit the scores");
  }

  void check() const {
    const Extents &q = q_.shape, &k = k_.shape, &v = v_.shape;
    if (q[0] != k[0] || q[0] != v[0] || k[1] != v[1] || k[2] != v[2] || q[3] != k[3] || k[1] < 1 ||
        q[1] % k[1] != 0)
      rejectInputs("queries, keys and values do not fit each other");
    if (!lengths_.empty() && static_cast<int64_t>(lengths_.size()) != q[0])
      rejectInputs("there is not one length per sample");
  }

  /// A mask that ends before the keys do excludes the rest.
  double maskAt(const Extents& at) const {
    if (mask_.empty()) return 0;
    if (at[3] >= maskShape_.back()) return kExcluded;
    int64_t offset = 0;
    for (size_t i = 0; i < maskShape_.size(); ++i) {
      const int64_t index = at[4 - maskShape_.size() + i];
      offset = offset * maskShape_[i] + (maskShape_[i] == 1 ? 0 : index);
    }
    return mask_[static_cast<size_t>(offset)];
  }

  double biasAt(const Extents& at) const {
    double position = static_cast<double>(at[2] + past_);
    const auto key = static_cast<double>(at[3]);
    if (!lengths_.empty()) {
      const double length = lengths_[static_cast<size_t>(at[0])];
      if (key >= length) return kExcluded;
      position = static_cast<double>(at[2]) + length - static_cast<double>(q_.shape[2]);
    }
    if (causal_ && key > position) return kExcluded;
    if (left_ >= 0 && key < position - static_cast<double>(left_)) return kExcluded;
    if (right_ >= 0 && key > position + static_cast<double>(right_)) return kExcluded;
    return maskAt(at);
  }

  void row(int64_t r) {
    const int64_t i = r % q_.shape[2], h = r / q_.shape[2] % q_.shape[1],
                  b = r / q_.shape[2] / q_.shape[1], keys = k_.shape[2];
    const int64_t kv = h / (q_.shape[1] / k_.shape[1]);
    std::vector<double> p(static_cast<size_t>(keys));
    double* shown = scores_.data() + r * keys;
    double largest = kExcluded, sum = 0;
    for (int64_t j = 0; j < keys; ++j) {
      double score = dot(q_.at(b, h, i), k_.at(b, kv, j), q_.shape[3]) * scale_;
      if (mode_ == 0) shown[j] = score;
      if (softcap_ > 0) score = softcap_ * std::tanh(score / softcap_);
      if (mode_ == 1) shown[j] = score;
      const double bias = biasAt({b, h, i, j});
      score = bias == kExcluded ? kExcluded : score + bias;
      if (mode_ == 2) shown[j] = score;
      p[static_cast<size_t>(j)] = score;
      largest = std::max(largest, score);
    }
    for (double& x : p) sum += x = x == kExcluded ? 0 : std::exp(x - largest);
    double* y = y_.data() + r * v_.shape[3];
    for (int64_t j = 0; j < keys; ++j) {
      const double weight = sum > 0 ? p[static_cast<size_t>(j)] / sum : 0;
      if (mode_ == 3) shown[j] = weight;
      if (weight == 0) continue;
      const double* v = v_.at(b, kv, j);
      for (int64_t d = 0; d < v_.shape[3]; ++d) y[d] += weight * v[d];
    }
  }

  static double dot(const double* a, const double* b, int64_t n) {
    double sum = 0;
    for (int64_t i = 0; i < n; ++i) sum += a[i] * b[i];
    return sum;
  }

  HostTensor tensor(const Extents& shape, const std::vector<double>& values) const {
    return fromDoubles({dtype_, Shape(shape.begin(), shape.end())}, values);
  }

  HostTensor output() const {
    const Extents shape{q_.shape[0], q_.shape[1], q_.shape[2], v_.shape[3]};
    HostTensor y = tensor(shape, y_);
    if (!flat_) return y;
    Heads turned(y, 0);
    turned.exchange(shape[1], shape[2], shape[3]);
    return fromDoubles({dtype_, {shape[0], shape[2], shape[1] * shape[3]}}, turned.values);
  }

  Heads q_, k_, v_;
  DType dtype_;
  bool flat_, causal_;
  int64_t left_, right_, mode_, past_ = 0;
  double softcap_, scale_ = 1;
  std::vector<double> mask_, lengths_, y_, scores_;
  Shape maskShape_;
};

}  // namespace

bool isRareAttention(const OnnxNode& node) {
  if (node.type != "Attention" || node.domain() == "com.microsoft") return false;
  const bool causal = node.getInt("is_causal", 0) != 0;
  return node.getFloat("softcap", 0) != 0 || node.has(6) || node.outputUsed(3) ||
         (causal && (node.has(4) || node.has(3))) || node.getInt("left_window_size", -1) >= 0 ||
         node.getInt("right_window_size", -1) >= 0 ||
         (node.has(3) && (node.rank(3) < 2 || node.input(3).type.dtype == DType::boolean ||
                          node.shape(3).back() == 1));
}

std::vector<HostTensor> runOnnxAttention(const OnnxNode& node, const Inputs& inputs) {
  for (size_t i = 0; i < 3; ++i) node.input(i);  // throws when it is left out
  if (node.has(4) != node.has(5)) rejectInputs("past keys and past values come together");
  return AttentionRun(node, inputs).run();
}

HostTensor runOnnxRotaryEmbedding(const OnnxNode& node, const Inputs& inputs) {
  for (size_t i = 0; i < 3; ++i) node.input(i);
  Heads x(*inputs[0], node.getInt("num_heads", 0));
  const Extents shape = x.shape;
  const HostTensor* ids = optional(inputs, 3);
  const std::vector<double> cosines = toDoubles(*inputs[1]), sines = toDoubles(*inputs[2]),
                            positions = ids ? toDoubles(*ids) : std::vector<double>();
  const bool interleaved = node.getInt("interleaved", 0) != 0;
  const int64_t rotated = node.getInt("rotary_embedding_dim", 0);
  const int64_t half = (rotated > 0 ? rotated : shape[3]) / 2, steps = shape[0] * shape[2];
  const int64_t rows = half > 0 ? static_cast<int64_t>(cosines.size()) / half : 0;
  if (2 * half > shape[3] || inputs[1]->shape() != inputs[2]->shape() ||
      inputs[1]->shape().back() != half || (ids && ids->elements() != steps) ||
      (!ids && rows != steps))
    rejectInputs("the caches of cosines and sines do not fit");
  for (int64_t r = 0; r < steps * shape[1]; ++r) {
    const int64_t b = r / shape[2] / shape[1], step = b * shape[2] + r % shape[2];
    const double row = ids ? positions[static_cast<size_t>(step)] : static_cast<double>(step);
    if (row < 0 || row >= static_cast<double>(rows))
      rejectInputs("a position is beyond the caches");
    double* values = x.values.data() + r * shape[3];
    for (int64_t d = 0; d < half; ++d) {
      const auto angle = static_cast<size_t>(static_cast<int64_t>(row) * half + d);
      double &real = values[interleaved ? 2 * d : d],
             &imaginary = values[interleaved ? 2 * d + 1 : half + d];
      const double a = real, i = imaginary;
      real = cosines[angle] * a - sines[angle] * i;
      imaginary = sines[angle] * a + cosines[angle] * i;
    }
  }
  if (inputs[0]->shape().size() == 3) x.exchange(shape[1], shape[2], shape[3]);
  return fromDoubles(inputs[0]->type(), x.values);
}

}  // namespace meshplan
