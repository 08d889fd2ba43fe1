// SPDX-License-Identifier: Apache-2.0
#include "backend/cpu/cpu_device.h"

#include <omp.h>

#include <cstring>

#include "backend/cpu/cross_entropy.h"
#include "backend/cpu/optimizer_update.h"
#include "backend/cpu/parallel.h"
#include "core/error.h"

namespace meshplan {
namespace {

template <class T>
void addTo(const CpuContext& context, void* sum, const void* part, int64_t count) {
  T* to = static_cast<T*>(sum);
  const T* from = static_cast<const T*>(part);
  parallelRanges(context, count, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) to[i] += from[i];
  });
}

}  // namespace

CpuDevice::CpuDevice(int threads) : context_(threads) {
  omp_set_num_threads(threads);
}

void* CpuDevice::allocate(int64_t bytes, std::string_view) {
  memory_.emplace_back(TensorType{DType::u8, {bytes}});
  return memory_.back().view().data;
}

void CpuDevice::zero(void* to, int64_t bytes) {
  std::memset(to, 0, static_cast<size_t>(bytes));
}

void CpuDevice::copyRows(void* to, int64_t toPitch, const void* from, int64_t fromPitch,
                         int64_t width, int64_t rows) {
  auto* target = static_cast<std::byte*>(to);
  const auto* source = static_cast<const std::byte*>(from);
  for (int64_t r = 0; r < rows; ++r)
    std::memcpy(target + r * toPitch, source + r * fromPitch, static_cast<size_t>(width));
}

void CpuDevice::upload(void* to, const void* hostFrom, int64_t bytes) {
  std::memcpy(to, hostFrom, static_cast<size_t>(bytes));
}

void CpuDevice::download(void* hostTo, const void* from, int64_t bytes) {
  std::memcpy(hostTo, from, static_cast<size_t>(bytes));
}

void CpuDevice::add(void* sum, const void* part, int64_t count, DType type) {
  if (type == DType::f64) return addTo<double>(context_, sum, part, count);
  if (type == DType::f32) return addTo<float>(context_, sum, part, count);
  throw Error(ErrorKind::runtime,
              "gradients cannot be accumulated in " + std::string(dtypeName(type)),
              "use --gradient-dtype fp32");
}

void CpuDevice::computeIn(Precision precision) {
  if (precision == Precision::fp16)
    throw Error(ErrorKind::usage, "the processor does not train in fp16",
                "use --precision bf16, or a GPU");
}

void CpuDevice::run(const KernelCall& call) {
  runCpuKernel(context_, call);
}

void CpuDevice::update(const ParameterUpdate& update) {
  updateParameters(context_, settings_, update);
}

void CpuDevice::findOverflow(const void*, int64_t, DType) {
  throw Error(ErrorKind::internal, "the processor does not scale losses");
}

void CpuDevice::lossStatistics(const KernelCall& call, const TensorView& statistics) {
  crossEntropyStatistics(context_, call, statistics);
}

void CpuDevice::lossFinish(const KernelCall& call, const TensorView& statistics) {
  crossEntropyLoss(context_, call, statistics);
}

void CpuDevice::lossGradient(const KernelCall& call, const TensorView& statistics) {
  crossEntropyGradient(context_, call, statistics);
}

void CpuDevice::beginStep(const StepValues& values) {
  settings_ = values.optimizer;
  loss_ = 0;
}

void CpuDevice::addLoss(const TensorView& value, double share) {
  loss_ += share * (value.type.dtype == DType::f64 ? *value.as<double>() : *value.as<float>());
}

}  // namespace meshplan
