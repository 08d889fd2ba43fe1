// SPDX-License-Identifier: Apache-2.0
#include "core/training.h"

#include <algorithm>
#include <array>
#include <string>

#include "core/error.h"

namespace meshplan {
namespace {

constexpr std::array<std::string_view, 5> kPrecisions{"fp32", "tf32", "bf16", "fp16", "fp64"};
constexpr std::array<std::string_view, 4> kOptimizers{"sgd", "momentum", "adam", "adamw"};
constexpr std::array<std::string_view, 4> kRuntimes{"pytorch", "megatron", "megatron-core",
                                                    "native"};
constexpr std::array<std::string_view, 3> kGradients{"fp32", "bf16", "fp16"};
constexpr std::array kGradientTypes{DType::f32, DType::bf16, DType::f16};

template <class T, size_t N>
T parse(const std::array<std::string_view, N>& names, std::string_view name,
        std::string_view what) {
  std::string known;
  for (size_t i = 0; i < names.size(); ++i) {
    if (names[i] == name) return static_cast<T>(i);
    known += (known.empty() ? "" : ", ") + std::string(names[i]);
  }
  throw Error(ErrorKind::usage, "unknown " + std::string(what) + " '" + std::string(name) + "'",
              "one of " + known);
}

}  // namespace

bool isMixed(Precision p) {
  return p == Precision::bf16 || p == Precision::fp16;
}

DType stateDType(Precision p) {
  return p == Precision::fp64 ? DType::f64 : DType::f32;
}

DType storageDType(Precision p) {
  switch (p) {
    case Precision::bf16:
      return DType::bf16;
    case Precision::fp16:
      return DType::f16;
    case Precision::fp64:
      return DType::f64;
    default:
      return DType::f32;
  }
}

DType computeDType(Precision p) {
  return p == Precision::tf32 ? DType::tf32 : storageDType(p);
}

int optimizerStates(OptimizerKind k) {
  return k == OptimizerKind::sgd ? 0 : k == OptimizerKind::momentum ? 1 : 2;
}

std::string_view precisionName(Precision p) {
  return kPrecisions[static_cast<size_t>(p)];
}
std::string_view optimizerName(OptimizerKind k) {
  return kOptimizers[static_cast<size_t>(k)];
}
std::string_view runtimeName(RuntimeKind k) {
  return kRuntimes[static_cast<size_t>(k)];
}

Precision parsePrecision(std::string_view name) {
  return parse<Precision>(kPrecisions, name, "precision");
}

OptimizerKind parseOptimizer(std::string_view name) {
  return parse<OptimizerKind>(kOptimizers, name, "optimizer");
}

RuntimeKind parseRuntime(std::string_view name) {
  return parse<RuntimeKind>(kRuntimes, name, "runtime");
}

DType parseGradientDType(std::string_view name) {
  return kGradientTypes[parse<size_t>(kGradients, name, "gradient dtype")];
}

std::string_view gradientName(DType t) {
  const auto at = std::find(kGradientTypes.begin(), kGradientTypes.end(), t);
  return at == kGradientTypes.end() ? dtypeName(t)
                                    : kGradients[static_cast<size_t>(at - kGradientTypes.begin())];
}

}  // namespace meshplan
