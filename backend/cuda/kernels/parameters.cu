// SPDX-License-Identifier: Apache-2.0
// CPU reference: backend/cpu/optimizer_update.cpp, CpuDevice::add.
#include "backend/cuda/kernels/element.h"
#include "backend/cuda/kernels/launch.h"
#include "backend/cuda/parameter_kernels.h"
#include "backend/optimizer_rules.h"
#include "core/error.h"

namespace meshplan {
namespace {

using device::Compute;
using device::kPack;
using device::Pack;
using optimizer::Rates;

template <class T>
struct Add {
  T* sum;
  const T* part;
  int64_t count;

  __device__ void operator()(int64_t i) const {
    constexpr int n = kPack<T>;
    const int64_t at = i * n;
    if (at + n > count) {
      for (int64_t k = at; k < count; ++k) sum[k] = T(Compute<T>(sum[k]) + Compute<T>(part[k]));
      return;
    }
    auto a = reinterpret_cast<Pack<T, n>*>(sum)[i];
    const auto b = reinterpret_cast<const Pack<T, n>*>(part)[i];
    for (int k = 0; k < n; ++k) a.at[k] = T(Compute<T>(a.at[k]) + Compute<T>(b.at[k]));
    reinterpret_cast<Pack<T, n>*>(sum)[i] = a;
  }
};

template <class T>
void addAs(CudaContext& context, void* sum, const void* part, int64_t count) {
  forEach(context, ceilDiv(count, kPack<T>),
          Add<T>{static_cast<T*>(sum), static_cast<const T*>(part), count});
}

/// Four weights at a time. `source` are the weights that count: the master weights, or `weights`.
template <class Rule, class W, class G, class S, class A>
struct Update {
  static constexpr int kTogether = 4;
  static constexpr bool kScaled = std::is_same_v<W, Half>;
  W* weights;
  S* source;
  const G* gradient;
  A *first, *second;
  const DeviceStepValues* values;
  int64_t count;

  __device__ A gradientOf(const G& g) const { return kScaled ? A(g) * A(values->unscale) : A(g); }

  __device__ void one(int64_t i, const Rates<A>& rates) const {
    A m{}, v{};
    if constexpr (Rule::kStates > 0) m = first[i];
    if constexpr (Rule::kStates > 1) v = second[i];
    const A w = Rule::next(A(source[i]), gradientOf(gradient[i]), m, v, rates);
    if constexpr (Rule::kStates > 0) first[i] = m;
    if constexpr (Rule::kStates > 1) second[i] = v;
    source[i] = S(w);
    if constexpr (!std::is_same_v<W, S>) weights[i] = W(w);
  }

  template <class T>
  static __device__ Pack<T, kTogether> load(const T* from, int64_t i) {
    Pack<T, kTogether> pack;
    if constexpr (sizeof(T) * kTogether <= 16)
      pack = *reinterpret_cast<const Pack<T, kTogether>*>(from + i);
    else
      for (int k = 0; k < kTogether; ++k) pack.at[k] = from[i + k];
    return pack;
  }
  template <class T>
  static __device__ void store(T* to, int64_t i, const Pack<T, kTogether>& pack) {
    if constexpr (sizeof(T) * kTogether <= 16)
      *reinterpret_cast<Pack<T, kTogether>*>(to + i) = pack;
    else
      for (int k = 0; k < kTogether; ++k) to[i + k] = pack.at[k];
  }

  __device__ void four(int64_t i, const Rates<A>& rates) const {
    Pack<A, kTogether> m{}, v{};
    if constexpr (Rule::kStates > 0) m = load(first, i);
    if constexpr (Rule::kStates > 1) v = load(second, i);
    auto s = load(source, i);
    const auto g = load(gradient, i);
    Pack<W, kTogether> rounded;
    for (int k = 0; k < kTogether; ++k) {
      const A w = Rule::next(A(s.at[k]), gradientOf(g.at[k]), m.at[k], v.at[k], rates);
      s.at[k] = S(w);
      if constexpr (!std::is_same_v<W, S>) rounded.at[k] = W(w);
    }
    if constexpr (Rule::kStates > 0) store(first, i, m);
    if constexpr (Rule::kStates > 1) store(second, i, v);
    store(source, i, s);
    if constexpr (!std::is_same_v<W, S>) store(weights, i, rounded);
  }

  __device__ void operator()(int64_t i) const {
    if (kScaled && values->overflow != 0) return;
    const Rates<A> rates(values->rates);
    const int64_t at = i * kTogether;
    if (at + kTogether <= count) return four(at, rates);
    for (int64_t k = at; k < count; ++k) one(k, rates);
  }
};

template <class Rule, class W, class G, class S, class A>
void run(CudaContext& context, const ParameterUpdate& u, S* source) {
  using Rule4 = Update<Rule, W, G, S, A>;
  forEach(context, ceilDiv(u.count, Rule4::kTogether),
          Rule4{static_cast<W*>(u.weights), source, static_cast<const G*>(u.gradient),
                static_cast<A*>(u.states[0]), static_cast<A*>(u.states[1]), context.stepValues(),
                u.count});
}

template <class W, class G, class S, class A>
void chooseRule(CudaContext& context, const ParameterUpdate& u, S* source) {
  switch (context.optimizer()) {
    case OptimizerKind::sgd:
      return run<optimizer::Sgd, W, G, S, A>(context, u, source);
    case OptimizerKind::momentum:
      return run<optimizer::Momentum, W, G, S, A>(context, u, source);
    case OptimizerKind::adam:
      return run<optimizer::Adam, W, G, S, A>(context, u, source);
    case OptimizerKind::adamw:
      return run<optimizer::AdamW, W, G, S, A>(context, u, source);
  }
}

/// Master weights beside weights of their own type would be the same numbers twice: they are only
/// copied.
template <class W, class G>
void chooseMaster(CudaContext& context, const ParameterUpdate& u) {
  using A = Compute<W>;
  if constexpr (!std::is_same_v<W, A>) {
    if (u.master) return chooseRule<W, G, A, A>(context, u, static_cast<A*>(u.master));
  }
  chooseRule<W, G, W, A>(context, u, static_cast<W*>(u.weights));
  if (std::is_same_v<W, A> && u.master)
    context.check(cudaMemcpyAsync(u.master, u.weights, sizeof(A) * static_cast<size_t>(u.count),
                                  cudaMemcpyDeviceToDevice, context.stream()),
                  "cudaMemcpyAsync");
}

Error notUpdated(DType w, DType g) {
  return Error(ErrorKind::runtime,
               "the GPU does not update " + std::string(dtypeName(w)) + " weights with " +
                   std::string(dtypeName(g)) + " gradients",
               "use fp32, bf16, fp16 or fp64");
}

template <class T>
struct FindOverflow {
  const T* gradient;
  int64_t count;
  DeviceStepValues* values;

  // Infinity or NaN less itself is NaN.
  static __device__ bool isFinite(T x) { return Compute<T>(x) - Compute<T>(x) == 0; }

  __device__ void operator()(int64_t i) const {
    constexpr int n = kPack<T>;
    const int64_t at = i * n;
    bool finite = true;
    if (at + n > count) {
      for (int64_t k = at; k < count; ++k) finite = finite && isFinite(gradient[k]);
    } else {
      const auto pack = reinterpret_cast<const Pack<T, n>*>(gradient)[i];
      for (int k = 0; k < n; ++k) finite = finite && isFinite(pack.at[k]);
    }
    if (!finite) values->overflow = 1;
  }
};

template <class T>
void findOverflowIn(CudaContext& context, const void* gradient, int64_t count) {
  forEach(context, ceilDiv(count, kPack<T>),
          FindOverflow<T>{static_cast<const T*>(gradient), count, context.stepValues()});
}

struct AddLoss {
  const void* loss;
  bool wide;
  double share;
  DeviceStepValues* values;

  __device__ void operator()(int64_t) const {
    values->loss +=
        share * (wide ? *static_cast<const double*>(loss) : *static_cast<const float*>(loss));
  }
};

}  // namespace

void addElements(CudaContext& context, void* sum, const void* part, int64_t count, DType type) {
  if (type == DType::f64) return addAs<double>(context, sum, part, count);
  if (type == DType::f32) return addAs<float>(context, sum, part, count);
  if (type == DType::bf16) return addAs<BFloat16>(context, sum, part, count);
  if (type == DType::f16) return addAs<Half>(context, sum, part, count);
  throw Error(ErrorKind::runtime,
              "the GPU does not add elements of " + std::string(dtypeName(type)));
}

void updateParameters(CudaContext& context, const ParameterUpdate& u) {
  const DType w = u.weightsType, g = u.gradientType;
  if (w == DType::f64 && g == DType::f64) return chooseMaster<double, double>(context, u);
  if (w == DType::f32 && g == DType::f32) return chooseMaster<float, float>(context, u);
  if (w == DType::f32 && g == DType::bf16) return chooseMaster<float, BFloat16>(context, u);
  if (w == DType::bf16 && g == DType::f32) return chooseMaster<BFloat16, float>(context, u);
  if (w == DType::bf16 && g == DType::bf16) return chooseMaster<BFloat16, BFloat16>(context, u);
  if (w == DType::f16 && g == DType::f32) return chooseMaster<Half, float>(context, u);
  if (w == DType::f16 && g == DType::f16) return chooseMaster<Half, Half>(context, u);
  throw notUpdated(w, g);
}

void findOverflow(CudaContext& context, const void* gradient, int64_t count, DType type) {
  if (type == DType::f32) return findOverflowIn<float>(context, gradient, count);
  if (type == DType::f16) return findOverflowIn<Half>(context, gradient, count);
  throw Error(ErrorKind::runtime,
              "the GPU does not scale gradients of " + std::string(dtypeName(type)),
              "use --gradient-dtype fp32 or fp16");
}

void addToLoss(CudaContext& context, const TensorView& loss, double share) {
  forEach(context, 1,
          AddLoss{loss.data, loss.type.dtype == DType::f64, share, context.stepValues()});
}

}  // namespace meshplan
