// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>

#include "backend/cpu/blocks.h"
#include "backend/cpu/lines.h"
#include "backend/cpu/movement_tables.h"
#include "backend/cpu/parallel.h"
#include "backend/cpu/strided.h"

namespace meshplan {
namespace {

/// What one result along a dimension is made of; places may lie outside of the source.
struct Tap {
  int64_t place;
  double weight;
};
using Taps = std::vector<std::vector<Tap>>;  // per result; none: it lies outside of the source

/// The settings of ONNX's Resize (onnx.ai/onnx/operators/onnx__Resize.html).
struct ResizeRule {
  explicit ResizeRule(const Attributes& a)
      : mode(a.getString("mode", "nearest")),
        coordinates(a.getString("coordinate_transformation_mode", "half_pixel")),
        nearest(a.getString("nearest_mode", "round_prefer_floor")),
        cubic(a.getFloat("cubic_coeff_a", -0.75)),
        excludesOutside(a.getInt("exclude_outside", 0) != 0),
        antialias(a.getInt("antialias", 0) != 0) {}

  /// A scale says how long the result would be before rounding.
  double source(int64_t at, double scale, int64_t in, int64_t out) const {
    const double x = static_cast<double>(at), n = static_cast<double>(in);
    if (coordinates == "asymmetric") return x / scale;
    if (coordinates == "align_corners") return out == 1 ? 0 : x * (n - 1) / (scale * n - 1);
    if (coordinates == "pytorch_half_pixel") return out > 1 ? (x + 0.5) / scale - 0.5 : 0;
    if (coordinates == "tf_half_pixel_for_nn") return (x + 0.5) / scale;
    if (coordinates == "half_pixel_symmetric") {
      const double adjustment = static_cast<double>(out) / (scale * n);
      return n / 2 * (1 - adjustment) + (x + 0.5) / scale - 0.5;
    }
    if (coordinates != "half_pixel")
      rejectInputs("coordinate_transformation_mode '" + coordinates + "' is not supported");
    return (x + 0.5) / scale - 0.5;
  }

  int64_t nearestTo(double x) const {
    if (nearest == "floor") return static_cast<int64_t>(std::floor(x));
    if (nearest == "ceil") return static_cast<int64_t>(std::ceil(x));
    if (nearest == "round_prefer_ceil") return static_cast<int64_t>(std::floor(x + 0.5));
    return static_cast<int64_t>(std::ceil(x - 0.5));
  }

  /// The weight of a source at a distance: a triangle, or Keys' cubic (1981, equation 15).
  double weight(double distance) const {
    const double d = std::abs(distance);
    if (mode == "linear") return d < 1 ? 1 - d : 0;
    if (d < 1) return ((cubic + 2) * d - (cubic + 3)) * d * d + 1;
    return d < 2 ? ((cubic * d - 5 * cubic) * d + 8 * cubic) * d - 4 * cubic : 0;
  }

  std::vector<Tap> taps(double x, double scale, int64_t in) const {
    if (mode == "nearest") return {{std::clamp<int64_t>(nearestTo(x), 0, in - 1), 1}};
    if (mode != "linear" && mode != "cubic") rejectInputs("resize mode '" + mode + "' is unknown");
    const double widening = antialias && scale < 1 ? 1 / scale : 1;
    const double reach = (mode == "linear" ? 1 : 2) * widening;
    std::vector<Tap> taps;
    double total = 0;
    for (auto i = static_cast<int64_t>(std::ceil(x - reach)); i <= std::floor(x + reach); ++i) {
      const double w = weight((static_cast<double>(i) - x) / widening);
      if (w == 0 || (excludesOutside && (i < 0 || i >= in))) continue;
      taps.push_back({std::clamp<int64_t>(i, 0, in - 1), w});
      total += w;
    }
    for (Tap& t : taps) t.weight /= total;
    return taps;
  }

  std::string mode, coordinates, nearest;
  double cubic;
  bool excludesOutside, antialias;
};

/// `roi` holds the first and the last place of each dimension's region, relative to its extent.
Taps croppedTaps(const ResizeRule& rule, const std::vector<double>& roi, size_t dim, int64_t in,
                 int64_t out) {
  const double last = static_cast<double>(in) - 1, begin = roi.at(dim) * last,
               end = roi.at(roi.size() / 2 + dim) * last;
  const double step = out > 1 ? (end - begin) / (static_cast<double>(out) - 1) : 0;
  const double scale = static_cast<double>(out) / static_cast<double>(in);
  Taps taps;
  for (int64_t i = 0; i < out; ++i) {
    const double x = out > 1 ? begin + static_cast<double>(i) * step : (begin + end) / 2;
    taps.push_back(x < 0 || x > last ? std::vector<Tap>() : rule.taps(x, scale, in));
  }
  return taps;
}

Taps tapsOf(const Attributes& attributes, size_t dim, int64_t in, int64_t out) {
  const ResizeRule rule(attributes);
  if (const Attribute* roi = attributes.find("roi"))
    return croppedTaps(rule, std::get<std::vector<double>>(*roi), dim, in, out);
  double scale = static_cast<double>(out) / static_cast<double>(in);
  if (const Attribute* scales = attributes.has("sizes") ? nullptr : attributes.find("scales"))
    scale = std::get<std::vector<double>>(*scales).at(dim);
  Taps taps;
  for (int64_t i = 0; i < out; ++i)
    taps.push_back(rule.taps(rule.source(i, scale, in, out), scale, in));
  return taps;
}

/// One dimension after another: from[outer, in, inner] to[outer, out, inner], or, for gradients,
/// the other way round, adding.
template <class A>
std::vector<A> resample(const std::vector<A>& from, const Taps& taps, int64_t outer, int64_t in,
                        int64_t inner, bool transposed) {
  const auto out = static_cast<int64_t>(taps.size());
  std::vector<A> to(static_cast<size_t>(outer * (transposed ? in : out) * inner));
  for (int64_t o = 0; o < outer; ++o)
    for (int64_t i = 0; i < out; ++i)
      for (const Tap& tap : taps[static_cast<size_t>(i)]) {
        const int64_t small = (o * in + tap.place) * inner, large = (o * out + i) * inner;
        const A* source = from.data() + (transposed ? large : small);
        A* target = to.data() + (transposed ? small : large);
        const A weight = static_cast<A>(tap.weight);
        for (int64_t k = 0; k < inner; ++k) target[k] += weight * source[k];
      }
  return to;
}

/// Results of which one coordinate or more lies outside of the source get `value`.
template <class A>
void extrapolate(std::vector<A>& values, const Attributes& attributes, const Shape& x,
                 const Shape& y, double value) {
  for (size_t d = 0, inner = values.size(); d < x.size(); ++d) {
    inner /= static_cast<size_t>(y[d]);
    const Taps taps = tapsOf(attributes, d, x[d], y[d]);
    for (size_t i = 0; i < values.size(); ++i)
      if (taps[i / inner % taps.size()].empty()) values[i] = static_cast<A>(value);
  }
}

template <class A>
void resize(const Attributes& attributes, const TensorView& from, const TensorView& to,
            const Shape& x, const Shape& y, bool transposed) {
  std::vector<A> values(static_cast<size_t>(from.type.elements()));
  const A* loaded = loadBlock(from, 0, from.type.elements(), values.data());
  if (loaded != values.data()) std::copy_n(loaded, values.size(), values.data());
  Shape shape = from.type.shape;
  for (size_t k = 0; k < shape.size(); ++k) {
    const size_t d = transposed ? shape.size() - 1 - k : k;
    if (x[d] == y[d] && !attributes.has("roi")) continue;
    int64_t outer = 1, inner = 1;
    for (size_t i = 0; i < d; ++i) outer *= shape[i];
    for (size_t i = d + 1; i < shape.size(); ++i) inner *= shape[i];
    values = resample(values, tapsOf(attributes, d, x[d], y[d]), outer, x[d], inner, transposed);
    shape[d] = transposed ? x[d] : y[d];
  }
  const double outside = attributes.getFloat("extrapolation_value", 0);
  if (!transposed && attributes.has("roi") && outside != 0)
    extrapolate(values, attributes, x, y, outside);
  storeBlock(to, 0, to.type.elements(), values.data());
}

void resizeForward(CpuContext&, const KernelCall& call) {
  const TensorView &x = call.inputs[0], &y = call.outputs[0];
  withComputeType(call, [&](auto number) {
    resize<decltype(number)>(call.op->attributes, x, y, x.type.shape, y.type.shape, false);
  });
}

void resizeBackward(CpuContext&, const KernelCall& call) {
  const TensorView &dy = *call.outputGradient(0), &dx = *call.inputGradient(0);
  withFloatType(call, [&](auto number) {
    resize<decltype(number)>(call.op->attributes, dy, dx, dx.type.shape, dy.type.shape, true);
  });
}

constexpr CpuKernels kKernels[] = {{"Resize", resizeForward, resizeBackward}};

}  // namespace

std::span<const CpuKernels> resizeKernels() {
  return kKernels;
}

}  // namespace meshplan
