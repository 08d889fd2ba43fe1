// SPDX-License-Identifier: Apache-2.0
#include "backend/cuda/cuda_device.h"

#include "backend/cuda/cuda_kernels.h"
#include "backend/cuda/cuda_transfers.h"
#include "backend/cuda/matrix.h"
#include "backend/cuda/parameter_kernels.h"
#include "backend/cuda/split_loss_kernels.h"

namespace meshplan {

void* CudaDevice::allocate(int64_t bytes, std::string_view what) {
  void* at = context_.allocate(bytes, what);
  zero(at, bytes);
  context_.check(cudaStreamSynchronize(context_.stream()), "cudaStreamSynchronize");
  return at;
}

void CudaDevice::zero(void* to, int64_t bytes) {
  if (bytes == 0) return;
  context_.check(cudaMemsetAsync(to, 0, static_cast<size_t>(bytes), context_.stream()),
                 "cudaMemsetAsync");
}

void CudaDevice::copyRows(void* to, int64_t toPitch, const void* from, int64_t fromPitch,
                          int64_t width, int64_t rows) {
  if (width == 0 || rows == 0) return;
  context_.check(
      cudaMemcpy2DAsync(to, static_cast<size_t>(toPitch), from, static_cast<size_t>(fromPitch),
                        static_cast<size_t>(width), static_cast<size_t>(rows),
                        cudaMemcpyDeviceToDevice, context_.stream()),
      "cudaMemcpy2DAsync");
}

void CudaDevice::upload(void* to, const void* hostFrom, int64_t bytes) {
  uploadBytes(context_, to, hostFrom, bytes);
}

void CudaDevice::download(void* hostTo, const void* from, int64_t bytes) {
  context_.synchronize();
  downloadBytes(context_, hostTo, from, bytes);
}

void CudaDevice::add(void* sum, const void* part, int64_t count, DType type) {
  addElements(context_, sum, part, count, type);
}

void CudaDevice::computeIn(Precision precision) {
  context_.kept<MatrixSettings>().tf32 = precision == Precision::tf32;
}

void CudaDevice::run(const KernelCall& call) {
  runCudaKernel(context_, call);
}

void CudaDevice::update(const ParameterUpdate& update) {
  updateParameters(context_, update);
}

void CudaDevice::findOverflow(const void* gradient, int64_t count, DType type) {
  meshplan::findOverflow(context_, gradient, count, type);
}

void CudaDevice::lossStatistics(const KernelCall& call, const TensorView& statistics) {
  crossEntropyStatistics(context_, call, statistics);
}

void CudaDevice::lossFinish(const KernelCall& call, const TensorView& statistics) {
  crossEntropyLoss(context_, call, statistics);
}

void CudaDevice::lossGradient(const KernelCall& call, const TensorView& statistics) {
  crossEntropyGradient(context_, call, statistics);
}

void CudaDevice::addLoss(const TensorView& value, double share) {
  addToLoss(context_, value, share);
}

}  // namespace meshplan
