// SPDX-License-Identifier: Apache-2.0
// CPU reference: backend/cpu/channel_norm.cpp.
// Bound by bandwidth: forward reads x three times (twice from the caches where a segment of one
// sample and channel fits them) and writes once; backward reads x four times and dy twice. Sums are
// of segments first, then over those of a statistic or a channel, so that their order is fixed.
#include "backend/cuda/cuda_kernels.h"
#include "backend/cuda/kernels/any_floats.h"
#include "backend/cuda/kernels/rows.h"

namespace meshplan {
namespace {

using device::AnyFloats;
using device::AnyFloatTarget;
using device::blockSum;
using device::Compute;
using device::kPack;
using device::kWarp;
using device::Plus;
using device::warpReduce;

/// x[n,c,spatial...] as n x c dense segments of `extent` elements; `perGroup` of them share a
/// statistic: those of a channel, or neighbouring ones.
struct Segments {
  int64_t count, channels, extent, groups, perGroup;
  bool byChannel;

  __device__ int64_t group(int64_t segment) const {
    return byChannel ? segment % channels : segment / perGroup;
  }
  __device__ int64_t segment(int64_t group, int64_t i) const {
    return byChannel ? group + i * channels : group * perGroup + i;
  }
};

/// Two sums of a segment: mean and squared deviations, or of dy and dy (x - mean).
struct Pair {
  double first, second;
};

/// Short segments are of a warp, long ones of a block.
constexpr int64_t kLong = 2048;

__device__ int64_t ownSegment(bool ofBlock) {
  return ofBlock ? int64_t{blockIdx.x} : (int64_t{blockIdx.x} * blockDim.x + threadIdx.x) / kWarp;
}

/// Calls f(index, Width<N>) for the thread's part of a segment.
template <int N, class F>
__device__ void forSegment(const Segments& s, bool ofBlock, F f) {
  const int64_t step = int64_t{ofBlock ? blockDim.x : kWarp} * N;
  const int64_t first = int64_t{ofBlock ? threadIdx.x : threadIdx.x % kWarp} * N;
  for (int64_t at = first; at < s.extent; at += step) f(at);
}
template <class A>
__device__ A segmentSum(bool ofBlock, A value) {
  return ofBlock ? blockSum(value) : warpReduce(value, Plus{});
}
__device__ bool tellsOfSegment(bool ofBlock) {
  return ofBlock ? threadIdx.x == 0 : threadIdx.x % kWarp == 0;
}

template <class T, int N>
__global__ void __launch_bounds__(kThreadsPerBlock)
    momentsKernel(Segments s, bool ofBlock, const T* __restrict__ x, Pair* moments) {
  using A = Compute<T>;
  const int64_t segment = ownSegment(ofBlock);
  if (segment >= s.count) return;
  const T* from = x + segment * s.extent;
  A mean = 0, squares = 0;
  forSegment<N>(s, ofBlock, [&](int64_t at) {
    const auto v = device::load<T, N>(from + at);
    for (int k = 0; k < N; ++k) mean += v.at[k];
  });
  mean = segmentSum(ofBlock, mean) / static_cast<A>(s.extent);
  forSegment<N>(s, ofBlock, [&](int64_t at) {
    const auto v = device::load<T, N>(from + at);
    for (int k = 0; k < N; ++k) squares += (v.at[k] - mean) * (v.at[k] - mean);
  });
  squares = segmentSum(ofBlock, squares);
  if (tellsOfSegment(ofBlock)) moments[segment] = {double(mean), double(squares)};
}

/// What a statistic's elements are normalised with: mean and 1 / sqrt(variance + epsilon).
template <class A>
struct GroupMoments {
  A mean, rstd;
};

/// Statistics that follow those of the batch, if there are any.
struct Running {
  AnyFloats mean, variance;
  AnyFloatTarget nextMean, nextVariance;
  double keep;
};

/// One warp per statistic joins the moments of its segments, which are equally long (Chan, Golub
/// and LeVeque, Updating formulae and a pairwise algorithm for computing sample variances, 1979).
template <class A>
__global__ void __launch_bounds__(kThreadsPerBlock)
    joinMomentsKernel(Segments s, const Pair* moments, double epsilon, GroupMoments<A>* joined,
                      Running running) {
  const int64_t group = ownSegment(false);
  if (group >= s.groups) return;
  const int64_t lane = threadIdx.x % kWarp;
  double mean = 0, squares = 0;
  for (int64_t i = lane; i < s.perGroup; i += kWarp) mean += moments[s.segment(group, i)].first;
  mean = warpReduce(mean, Plus{}) / static_cast<double>(s.perGroup);
  for (int64_t i = lane; i < s.perGroup; i += kWarp) {
    const Pair m = moments[s.segment(group, i)];
    squares += m.second + static_cast<double>(s.extent) * (m.first - mean) * (m.first - mean);
  }
  const double count = static_cast<double>(s.perGroup * s.extent);
  const double variance = warpReduce(squares, Plus{}) / count;
  if (lane != 0) return;
  joined[group] = {A(mean), A(1 / sqrt(variance + epsilon))};
  if (!running.nextMean.wanted()) return;
  const double unbiased = count > 1 ? count / (count - 1) : 1, keep = running.keep;
  running.nextMean.set(group, keep * running.mean.get<double>(group) + (1 - keep) * mean);
  running.nextVariance.set(
      group, keep * running.variance.get<double>(group) + (1 - keep) * variance * unbiased);
}

/// The moments of a statistic as they are given.
template <class A>
struct GivenMoments {
  AnyFloats mean, variance;
  double epsilon;
  GroupMoments<A>* moments;

  __device__ void operator()(int64_t channel) const {
    moments[channel] = {mean.get<A>(channel), A(1 / sqrt(variance.get<double>(channel) + epsilon))};
  }
};

template <class T, int N>
struct Normalise {
  Segments s;
  const GroupMoments<Compute<T>>* moments;
  AnyFloats scale, shift;
  const T* x;
  T* y;

  __device__ void operator()(int64_t i) const {
    using A = Compute<T>;
    const int64_t segment = i / (s.extent / N), channel = segment % s.channels;
    const auto [mean, rstd] = moments[s.group(segment)];
    const A factor = scale.get<A>(channel) * rstd, offset = shift.get<A>(channel);
    auto v = device::load<T, N>(x + i * N);
    for (int k = 0; k < N; ++k) v.at[k] = (v.at[k] - mean) * factor + offset;
    device::store<T, N>(y + i * N, v);
  }
};

template <class T, int N>
__global__ void __launch_bounds__(kThreadsPerBlock)
    gradientSumsKernel(Segments s, bool ofBlock, const GroupMoments<Compute<T>>* moments,
                       const T* __restrict__ x, const T* __restrict__ dy, Pair* sums) {
  using A = Compute<T>;
  const int64_t segment = ownSegment(ofBlock);
  if (segment >= s.count) return;
  const A mean = moments[s.group(segment)].mean;
  const int64_t first = segment * s.extent;
  A plain = 0, centred = 0;
  forSegment<N>(s, ofBlock, [&](int64_t at) {
    const auto v = device::load<T, N>(x + first + at), g = device::load<T, N>(dy + first + at);
    for (int k = 0; k < N; ++k) {
      plain += g.at[k];
      centred += g.at[k] * (v.at[k] - mean);
    }
  });
  plain = segmentSum(ofBlock, plain);
  centred = segmentSum(ofBlock, centred);
  if (tellsOfSegment(ofBlock)) sums[segment] = {double(plain), double(centred)};
}

/// dx = scale rstd dy + slope (x - mean) + offset.
template <class A>
struct Line {
  A slope, offset;
};

template <class A>
__global__ void __launch_bounds__(kThreadsPerBlock)
    joinGradientsKernel(Segments s, const Pair* sums, const GroupMoments<A>* moments,
                        AnyFloats scale, Line<A>* lines) {
  const int64_t group = ownSegment(false);
  if (group >= s.groups) return;
  const int64_t lane = threadIdx.x % kWarp;
  double plain = 0, centred = 0;
  for (int64_t i = lane; i < s.perGroup; i += kWarp) {
    const int64_t segment = s.segment(group, i);
    const double factor = scale.get<double>(segment % s.channels);
    plain += factor * sums[segment].first;
    centred += factor * sums[segment].second;
  }
  plain = warpReduce(plain, Plus{});
  centred = warpReduce(centred, Plus{});
  const double count = static_cast<double>(s.perGroup * s.extent), rstd = moments[group].rstd;
  if (lane == 0)
    lines[group] = {A(-rstd * rstd * rstd * centred / count), A(-rstd * plain / count)};
}

template <class T, int N>
struct InputGradient {
  Segments s;
  const GroupMoments<Compute<T>>* moments;
  const Line<Compute<T>>* lines;
  AnyFloats scale;
  const T *x, *dy;
  T* dx;

  __device__ void operator()(int64_t i) const {
    using A = Compute<T>;
    const int64_t segment = i / (s.extent / N), group = s.group(segment);
    const auto [mean, rstd] = moments[group];
    const auto [slope, offset] = lines[group];
    const A factor = scale.get<A>(segment % s.channels) * rstd;
    const auto v = device::load<T, N>(x + i * N);
    auto g = device::load<T, N>(dy + i * N);
    for (int k = 0; k < N; ++k) g.at[k] = factor * g.at[k] + slope * (v.at[k] - mean) + offset;
    device::store<T, N>(dx + i * N, g);
  }
};

/// One warp per channel.
template <class A>
__global__ void __launch_bounds__(kThreadsPerBlock)
    scaleGradientsKernel(Segments s, const Pair* sums, const GroupMoments<A>* moments,
                         AnyFloatTarget dScale, AnyFloatTarget dShift) {
  const int64_t channel = ownSegment(false);
  if (channel >= s.channels) return;
  const int64_t lane = threadIdx.x % kWarp;
  double scale = 0, shift = 0;
  for (int64_t segment = channel + lane * s.channels; segment < s.count;
       segment += kWarp * s.channels) {
    scale += double(moments[s.group(segment)].rstd) * sums[segment].second;
    shift += sums[segment].first;
  }
  scale = warpReduce(scale, Plus{});
  shift = warpReduce(shift, Plus{});
  if (lane != 0) return;
  dScale.set(channel, scale);
  dShift.set(channel, shift);
}

Segments segmentsOf(const KernelCall& call, const Shape& x) {
  Segments s = {x[0] * x[1], x[1], elementCount(Shape(x.begin() + 2, x.end())), 0, 0, false};
  s.byChannel = call.op->def->name == "BatchNormalization";
  if (s.byChannel)
    s.perGroup = x[0];
  else if (call.op->def->name == "InstanceNormalization")
    s.perGroup = 1;
  else
    s.perGroup = call.op->attributes.getInt("group_size", s.channels);
  s.groups = s.byChannel ? s.channels : s.count / std::max<int64_t>(s.perGroup, 1);
  return s;
}

/// Memory of one call.
template <class A>
struct Workspace {
  Pair* segments;
  GroupMoments<A>* groups;
  Line<A>* lines;

  Workspace(CudaContext& context, const Segments& s) {
    const int64_t group = int64_t{sizeof(GroupMoments<A>)} + int64_t{sizeof(Line<A>)};
    segments =
        static_cast<Pair*>(context.scratch(s.count * int64_t{sizeof(Pair)} + s.groups * group));
    groups = reinterpret_cast<GroupMoments<A>*>(segments + s.count);
    lines = reinterpret_cast<Line<A>*>(groups + s.groups);
  }
};

constexpr int64_t kWarpsPerBlock = kThreadsPerBlock / kWarp;

template <class... Parameters, class... Arguments>
void launchWarps(CudaContext& context, int64_t warps, void (*kernel)(Parameters...),
                 Arguments&&... arguments) {
  launch(context, ceilDiv(warps, kWarpsPerBlock), kThreadsPerBlock, 0, kernel,
         std::forward<Arguments>(arguments)...);
}
int64_t segmentBlocks(const Segments& s) {
  return s.extent >= kLong ? s.count : ceilDiv(s.count, kWarpsPerBlock);
}

double epsilonOf(const KernelCall& call) {
  return call.op->attributes.getFloat("epsilon", 1e-5);
}

/// Calls f(element, Width<N>): whole packs where segments are made of them.
template <class F>
void withSegments(const KernelCall& call, const TensorView& x, const Segments& s, F f) {
  device::withElement(*call.op, x.type.dtype, [&](auto element) {
    constexpr int kWide = kPack<decltype(element)>;
    if (s.extent % kWide == 0) return f(element, device::Width<kWide>{});
    f(element, device::Width<1>{});
  });
}

Running noRunning(const TensorView& any) {
  return {AnyFloats(any), AnyFloats(any), AnyFloatTarget(nullptr), AnyFloatTarget(nullptr), 0};
}
Running runningOf(const KernelCall& call) {
  const TensorView &mean = call.inputs[3], &variance = call.inputs[4];
  return {AnyFloats(mean), AnyFloats(variance), AnyFloatTarget(&mean), AnyFloatTarget(&variance),
          call.op->attributes.getFloat("momentum", 0.9)};
}

template <class T, int N>
void findMoments(CudaContext& context, const KernelCall& call, const Segments& s,
                 const Workspace<Compute<T>>& w, const TensorView& x, const Running& running) {
  launch(context, segmentBlocks(s), kThreadsPerBlock, 0, momentsKernel<T, N>, s, s.extent >= kLong,
         x.as<T>(), w.segments);
  launchWarps(context, s.groups, joinMomentsKernel<Compute<T>>, s, w.segments, epsilonOf(call),
              w.groups, running);
}

bool usesGiven(const KernelCall& call, bool given) {
  return given && (call.op->attributes.getInt("training", 1) == 0 || !call.training);
}

template <class T, int N>
void forwardAs(CudaContext& context, const KernelCall& call, const Segments& s) {
  const TensorView& x = call.inputs[0];
  const bool hasRunning = call.inputs.size() == 5;
  const Workspace<Compute<T>> w(context, s);
  if (usesGiven(call, hasRunning))
    forEach(context, s.channels,
            GivenMoments<Compute<T>>{AnyFloats(call.inputs[3]), AnyFloats(call.inputs[4]),
                                     epsilonOf(call), w.groups});
  else
    findMoments<T, N>(context, call, s, w, x, hasRunning ? runningOf(call) : noRunning(x));
  forEach(context, x.type.elements() / N,
          Normalise<T, N>{s, w.groups, AnyFloats(call.inputs[1]), AnyFloats(call.inputs[2]),
                          x.as<T>(), static_cast<T*>(call.outputs[0].data)});
}

void forward(CudaContext& context, const KernelCall& call) {
  const TensorView& x = call.inputs[0];
  if (x.type.elements() == 0) return;
  const Segments s = segmentsOf(call, x.type.shape);
  withSegments(call, x, s, [&](auto element, auto width) {
    forwardAs<decltype(element), decltype(width)::value>(context, call, s);
  });
}

void clear(CudaContext& context, const TensorView* view) {
  if (view)
    context.check(cudaMemsetAsync(view->data, 0, static_cast<size_t>(view->type.bytes().value),
                                  context.stream()),
                  "cudaMemsetAsync");
}

template <class T, int N>
void backwardAs(CudaContext& context, const KernelCall& call, const Segments& s) {
  using A = Compute<T>;
  const TensorView &x = *call.forwardInput(0), &dy = *call.outputGradient(0);
  const AnyFloats scale(*call.forwardInput(1));
  const Workspace<A> w(context, s);
  findMoments<T, N>(context, call, s, w, x, noRunning(x));
  launch(context, segmentBlocks(s), kThreadsPerBlock, 0, gradientSumsKernel<T, N>, s,
         s.extent >= kLong, w.groups, x.as<T>(), dy.as<T>(), w.segments);
  const AnyFloatTarget dScale(call.inputGradient(1)), dShift(call.inputGradient(2));
  if (dScale.wanted() || dShift.wanted())
    launchWarps(context, s.channels, scaleGradientsKernel<A>, s, w.segments, w.groups, dScale,
                dShift);
  const TensorView* dx = call.inputGradient(0);
  if (!dx) return;
  launchWarps(context, s.groups, joinGradientsKernel<A>, s, w.segments, w.groups, scale, w.lines);
  forEach(context, x.type.elements() / N,
          InputGradient<T, N>{s, w.groups, w.lines, scale, x.as<T>(), dy.as<T>(),
                              static_cast<T*>(dx->data)});
}

void backward(CudaContext& context, const KernelCall& call) {
  const TensorView& x = *call.forwardInput(0);
  const Segments s = segmentsOf(call, x.type.shape);
  clear(context, call.inputGradient(3));
  clear(context, call.inputGradient(4));
  if (x.type.elements() == 0) {
    clear(context, call.inputGradient(1));
    return clear(context, call.inputGradient(2));
  }
  withSegments(call, x, s, [&](auto element, auto width) {
    backwardAs<decltype(element), decltype(width)::value>(context, call, s);
  });
}

/// A number for every channel; backward, statistics of the batch.
bool takes(const KernelCall& call) {
  const TensorView& x = call.isGradient() ? *call.outputGradient(0) : call.inputs[0];
  const auto fits = [&](const TensorView* v) {
    return !v || v->type.elements() == x.type.shape[1];
  };
  if (!call.isGradient()) return fits(&call.inputs[1]) && fits(&call.inputs[2]);
  return fits(call.forwardInput(1)) && fits(call.inputGradient(1)) && fits(call.inputGradient(2)) &&
         !usesGiven(call, call.forwardInput(3) && call.forwardInput(4));
}

constexpr CudaKernels kKernels[] = {
    {"BatchNormalization", forward, backward, false, takes},
    {"InstanceNormalization", forward, backward, false, takes},
    {"GroupNormalization", forward, backward, false, takes},
};

}  // namespace

std::span<const CudaKernels> cudaChannelNormKernels() {
  return kKernels;
}

}  // namespace meshplan
