// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <vector>

#include "backend/cpu/element.h"
#include "backend/cpu/normalization.h"
#include "backend/cpu/parallel.h"
#include "backend/cpu/simd.h"

namespace meshplan {
namespace {

/// x[n,c,spatial...] as n x c dense segments, of which each statistic takes some.
struct Segments {
  int64_t batch, channels, extent;  // extent: elements of a segment
  int64_t groups, perGroup;         // statistics, and segments of each
  int64_t groupStep, step;          // from group to group and inside a group

  int64_t of(int64_t group, int64_t i) const { return group * groupStep + i * step; }
  int64_t channel(int64_t segment) const { return segment % channels; }
  int64_t count() const { return batch * channels; }
};

Segments segmentsOf(const Shape& x) {
  return {x[0], x[1], elementCount(Shape(x.begin() + 2, x.end())), 0, 0, 0, 0};
}

Segments byChannel(const Shape& x) {
  Segments s = segmentsOf(x);
  s.groups = s.channels;
  s.perGroup = s.batch;
  s.groupStep = 1;
  s.step = s.channels;
  return s;
}

Segments byGroup(const KernelCall& call, const Shape& x) {
  Segments s = segmentsOf(x);
  const bool instances = call.op->def->name == "InstanceNormalization";
  s.perGroup = instances ? 1 : call.op->attributes.getInt("group_size", s.channels);
  s.groups = s.count() / std::max<int64_t>(s.perGroup, 1);
  s.groupStep = s.perGroup;
  s.step = 1;
  return s;
}

/// Long sums are made of short ones in the element's precision.
constexpr int64_t kShort = 4096;

template <class T>
MESHPLAN_SIMD double sumOf(const T* x, int64_t n) {
  double total = 0;
  for (int64_t first = 0; first < n; first += kShort) {
    const int64_t last = std::min(n, first + kShort);
    Wide<T> sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = first; i < last; ++i) sum += static_cast<Wide<T>>(x[i]);
    total += static_cast<double>(sum);
  }
  return total;
}

template <class T>
MESHPLAN_SIMD double squaresOf(const T* x, int64_t n, Wide<T> mean) {
  double total = 0;
  for (int64_t first = 0; first < n; first += kShort) {
    const int64_t last = std::min(n, first + kShort);
    Wide<T> sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = first; i < last; ++i) {
      const Wide<T> d = static_cast<Wide<T>>(x[i]) - mean;
      sum += d * d;
    }
    total += static_cast<double>(sum);
  }
  return total;
}

/// Sums of dy and of dy (x - mean).
struct GradientSums {
  double plain = 0, centred = 0;
};

template <class T>
MESHPLAN_SIMD GradientSums gradientSums(const T* x, const T* dy, int64_t n, Wide<T> mean) {
  GradientSums total;
  for (int64_t first = 0; first < n; first += kShort) {
    const int64_t last = std::min(n, first + kShort);
    Wide<T> sum = 0, product = 0;
#pragma omp simd reduction(+ : sum, product)
    for (int64_t i = first; i < last; ++i) {
      const Wide<T> g = static_cast<Wide<T>>(dy[i]);
      sum += g;
      product += g * (static_cast<Wide<T>>(x[i]) - mean);
    }
    total.plain += static_cast<double>(sum);
    total.centred += static_cast<double>(product);
  }
  return total;
}

template <class T>
MESHPLAN_SIMD void scaleSegment(const T* x, T* y, int64_t n, Wide<T> mean, Wide<T> scale,
                                Wide<T> shift) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) y[i] = T((static_cast<Wide<T>>(x[i]) - mean) * scale + shift);
}

/// dx = a dy + b (x - mean) + c.
template <class T>
MESHPLAN_SIMD void gradientSegment(const T* x, const T* dy, T* dx, int64_t n, Wide<T> mean,
                                   Wide<T> a, Wide<T> b, Wide<T> c) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i)
    dx[i] = T(a * static_cast<Wide<T>>(dy[i]) + b * (static_cast<Wide<T>>(x[i]) - mean) + c);
}

struct Statistics {
  double mean = 0, variance = 0;
};

template <class T>
Statistics statisticsOf(const T* x, const Segments& s, int64_t group) {
  const double count = static_cast<double>(s.perGroup * s.extent);
  Statistics result;
  for (int64_t i = 0; i < s.perGroup; ++i)
    result.mean += sumOf(x + s.of(group, i) * s.extent, s.extent);
  result.mean /= count;
  for (int64_t i = 0; i < s.perGroup; ++i)
    result.variance +=
        squaresOf(x + s.of(group, i) * s.extent, s.extent, static_cast<Wide<T>>(result.mean));
  result.variance /= count;
  return result;
}

/// Values per channel of a view that has one per channel or one per group of channels.
std::vector<double> perChannel(const KernelCall& call, const TensorView& view, int64_t channels) {
  std::vector<double> values(static_cast<size_t>(channels));
  const int64_t each = channels / std::max<int64_t>(view.type.elements(), 1);
  forElementType(*call.op, view.type.dtype, [&](auto element) {
    for (int64_t c = 0; c < channels; ++c)
      values[static_cast<size_t>(c)] = static_cast<double>(view.as<decltype(element)>()[c / each]);
  });
  return values;
}

void storePerChannel(const KernelCall& call, const TensorView* view,
                     const std::vector<double>& values) {
  if (!view) return;
  const TensorView& to = *view;
  const int64_t n = to.type.elements();
  const int64_t each = static_cast<int64_t>(values.size()) / std::max<int64_t>(n, 1);
  forElementType(*call.op, to.type.dtype, [&](auto element) {
    using E = decltype(element);
    for (int64_t i = 0; i < n; ++i) {
      double sum = 0;
      for (int64_t k = 0; k < each; ++k) sum += values[static_cast<size_t>(i * each + k)];
      to.as<E>()[i] = E(static_cast<Wide<E>>(sum));
    }
  });
}

bool usesGivenStatistics(const KernelCall& call, bool given) {
  return given && (call.op->attributes.getInt("training", 1) == 0 || !call.training);
}

struct Norm {
  Segments segments;
  double epsilon;
  std::vector<double> scale, shift;    // per channel
  std::vector<Statistics> statistics;  // per group

  double rstd(int64_t group) const {
    return 1 / std::sqrt(statistics[static_cast<size_t>(group)].variance + epsilon);
  }
};

double epsilonOf(const KernelCall& call) {
  return call.op->attributes.getFloat("epsilon", 1e-5);
}

template <class T>
void normalise(const CpuContext& context, const TensorView& x, const TensorView& y, Norm& norm,
               bool given) {
  const Segments& s = norm.segments;
  norm.statistics.resize(static_cast<size_t>(s.groups));
  parallelRanges(context, s.groups, 3 * s.perGroup * s.extent, [&](int64_t begin, int64_t end) {
    for (int64_t group = begin; group < end; ++group) {
      Statistics& own = norm.statistics[static_cast<size_t>(group)];
      if (!given) own = statisticsOf(x.as<T>(), s, group);
      for (int64_t i = 0; i < s.perGroup; ++i) {
        const int64_t segment = s.of(group, i), at = segment * s.extent;
        const auto c = static_cast<size_t>(s.channel(segment));
        scaleSegment(x.as<T>() + at, y.as<T>() + at, s.extent, static_cast<Wide<T>>(own.mean),
                     static_cast<Wide<T>>(norm.scale[c] * norm.rstd(group)),
                     static_cast<Wide<T>>(norm.shift[c]));
      }
    }
  });
}

/// The gradient of one statistic's segments; their sums go to `sums`, by segment.
template <class T>
void gradientOfGroup(const Norm& norm, int64_t group, bool given, const T* x, const T* dy, T* dx,
                     GradientSums* sums) {
  const Segments& s = norm.segments;
  const double mean = norm.statistics[static_cast<size_t>(group)].mean, rstd = norm.rstd(group);
  const double count = static_cast<double>(s.perGroup * s.extent);
  GradientSums scaled;
  for (int64_t i = 0; i < s.perGroup; ++i) {
    const int64_t segment = s.of(group, i), at = segment * s.extent;
    const GradientSums own = gradientSums(x + at, dy + at, s.extent, static_cast<Wide<T>>(mean));
    sums[segment] = own;
    const double scale = norm.scale[static_cast<size_t>(s.channel(segment))];
    scaled.plain += scale * own.plain;
    scaled.centred += scale * own.centred;
  }
  if (!dx) return;
  const double b = given ? 0 : -rstd * rstd * rstd * scaled.centred / count;
  const double c = given ? 0 : -rstd * scaled.plain / count;
  for (int64_t i = 0; i < s.perGroup; ++i) {
    const int64_t segment = s.of(group, i), at = segment * s.extent;
    const double a = norm.scale[static_cast<size_t>(s.channel(segment))] * rstd;
    gradientSegment(x + at, dy + at, dx + at, s.extent, static_cast<Wide<T>>(mean),
                    static_cast<Wide<T>>(a), static_cast<Wide<T>>(b), static_cast<Wide<T>>(c));
  }
}

template <class T>
std::vector<GradientSums> gradients(const CpuContext& context, const KernelCall& call, Norm& norm,
                                    bool given) {
  const Segments& s = norm.segments;
  const T* const x = call.forwardInput(0)->as<T>();
  const T* const dy = call.outputGradient(0)->as<T>();
  const TensorView* dx = call.inputGradient(0);
  norm.statistics.resize(static_cast<size_t>(s.groups));
  std::vector<GradientSums> sums(static_cast<size_t>(s.count()));
  parallelRanges(context, s.groups, 4 * s.perGroup * s.extent, [&](int64_t begin, int64_t end) {
    for (int64_t group = begin; group < end; ++group) {
      if (!given) norm.statistics[static_cast<size_t>(group)] = statisticsOf(x, s, group);
      gradientOfGroup(norm, group, given, x, dy, dx ? dx->as<T>() : nullptr, sums.data());
    }
  });
  return sums;
}

void storeScaleGradients(const KernelCall& call, const Norm& norm,
                         const std::vector<GradientSums>& sums) {
  const Segments& s = norm.segments;
  std::vector<double> scales(static_cast<size_t>(s.channels)), shifts(scales.size());
  for (int64_t group = 0; group < s.groups; ++group)
    for (int64_t i = 0; i < s.perGroup; ++i) {
      const int64_t segment = s.of(group, i);
      const auto c = static_cast<size_t>(s.channel(segment));
      scales[c] += norm.rstd(group) * sums[static_cast<size_t>(segment)].centred;
      shifts[c] += sums[static_cast<size_t>(segment)].plain;
    }
  storePerChannel(call, call.inputGradient(1), scales);
  storePerChannel(call, call.inputGradient(2), shifts);
}

/// Gradients of the running statistics: nothing in training.
void storeStatisticsGradients(const KernelCall& call, const Norm& norm, bool given,
                              const std::vector<GradientSums>& sums) {
  const Segments& s = norm.segments;
  std::vector<double> means(static_cast<size_t>(s.channels)), variances(means.size());
  for (int64_t segment = 0; given && segment < s.count(); ++segment) {
    const auto c = static_cast<size_t>(s.channel(segment));
    const double rstd = norm.rstd(s.channel(segment));
    means[c] -= norm.scale[c] * rstd * sums[static_cast<size_t>(segment)].plain;
    variances[c] -=
        norm.scale[c] * rstd * rstd * rstd / 2 * sums[static_cast<size_t>(segment)].centred;
  }
  storePerChannel(call, call.inputGradient(3), means);
  storePerChannel(call, call.inputGradient(4), variances);
}

std::vector<Statistics> givenStatistics(const KernelCall& call, const TensorView& mean,
                                        const TensorView& variance, int64_t channels) {
  const std::vector<double> means = perChannel(call, mean, channels);
  const std::vector<double> variances = perChannel(call, variance, channels);
  std::vector<Statistics> result;
  for (size_t c = 0; c < means.size(); ++c) result.push_back({means[c], variances[c]});
  return result;
}

void moveRunningStatistics(const KernelCall& call, const Norm& norm) {
  const double keep = call.op->attributes.getFloat("momentum", 0.9);
  const double count = static_cast<double>(norm.segments.perGroup * norm.segments.extent);
  const double unbiased = count > 1 ? count / (count - 1) : 1;
  const auto move = [&](const TensorView& running, auto value) {
    forElementType(*call.op, running.type.dtype, [&](auto element) {
      using E = decltype(element);
      for (size_t c = 0; c < norm.statistics.size(); ++c) {
        E& e = running.as<E>()[c];
        const double next = keep * static_cast<double>(e) + (1 - keep) * value(norm.statistics[c]);
        e = E(static_cast<Wide<E>>(next));
      }
    });
  };
  move(call.inputs[3], [](const Statistics& s) { return s.mean; });
  move(call.inputs[4], [&](const Statistics& s) { return s.variance * unbiased; });
}

void runForward(CpuContext& context, const KernelCall& call, Norm& norm, bool given) {
  norm.scale = perChannel(call, call.inputs[1], norm.segments.channels);
  norm.shift = perChannel(call, call.inputs[2], norm.segments.channels);
  forElementType(*call.op, call.inputs[0].type.dtype, [&](auto element) {
    normalise<decltype(element)>(context, call.inputs[0], call.outputs[0], norm, given);
  });
}

std::vector<GradientSums> runBackward(CpuContext& context, const KernelCall& call, Norm& norm,
                                      bool given) {
  norm.scale = perChannel(call, *call.forwardInput(1), norm.segments.channels);
  std::vector<GradientSums> sums;
  forElementType(*call.op, call.outputGradient(0)->type.dtype, [&](auto element) {
    sums = gradients<decltype(element)>(context, call, norm, given);
  });
  storeScaleGradients(call, norm, sums);
  return sums;
}

}  // namespace

void batchNorm(CpuContext& context, const KernelCall& call) {
  const bool running = call.inputs.size() == 5, given = usesGivenStatistics(call, running);
  Norm norm{byChannel(call.inputs[0].type.shape), epsilonOf(call), {}, {}, {}};
  if (given)
    norm.statistics = givenStatistics(call, call.inputs[3], call.inputs[4], norm.segments.channels);
  runForward(context, call, norm, given);
  if (running && !given) moveRunningStatistics(call, norm);
}

void batchNormGradient(CpuContext& context, const KernelCall& call) {
  const bool given = usesGivenStatistics(call, call.forwardInput(3) && call.forwardInput(4));
  Norm norm{byChannel(call.outputGradient(0)->type.shape), epsilonOf(call), {}, {}, {}};
  if (given)
    norm.statistics =
        givenStatistics(call, *call.forwardInput(3), *call.forwardInput(4), norm.segments.channels);
  const std::vector<GradientSums> sums = runBackward(context, call, norm, given);
  storeStatisticsGradients(call, norm, given, sums);
}

void groupNorm(CpuContext& context, const KernelCall& call) {
  Norm norm{byGroup(call, call.inputs[0].type.shape), epsilonOf(call), {}, {}, {}};
  runForward(context, call, norm, false);
}

void groupNormGradient(CpuContext& context, const KernelCall& call) {
  Norm norm{byGroup(call, call.outputGradient(0)->type.shape), epsilonOf(call), {}, {}, {}};
  runBackward(context, call, norm, false);
}

}  // namespace meshplan
