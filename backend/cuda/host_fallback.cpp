// SPDX-License-Identifier: Apache-2.0
#include "backend/cuda/host_fallback.h"

#include "backend/cuda/cuda_transfers.h"
#include "backend/host_tensor.h"
#include "core/error.h"

namespace meshplan {
namespace {

constexpr int kThreads = 1;

struct HostContext {
  explicit HostContext(CudaContext&) : context(kThreads) {}
  CpuContext context;
};

HostTensor onHost(CudaContext& context, const TensorView& view) {
  HostTensor tensor(view.type);
  downloadBytes(context, tensor.bytes().data(), view.data, view.type.bytes().value);
  return view.type.dtype == DType::f16 ? converted(tensor, DType::f32) : tensor;
}

HostTensor emptyOnHost(const TensorView& view) {
  TensorType type = view.type;
  if (type.dtype == DType::f16) type.dtype = DType::f32;
  return HostTensor(type);
}

std::vector<TensorView> viewsOf(const std::vector<HostTensor>& tensors) {
  std::vector<TensorView> views;
  for (const HostTensor& t : tensors) views.push_back(t.view());
  return views;
}

}  // namespace

void runOnHost(CudaContext& context, const KernelCall& call,
               const std::function<void(CpuContext&, const KernelCall&)>& kernel) {
  if (context.captures()) throw Error(ErrorKind::internal, "an operator of the host is captured");
  context.ranOnHost(call.op->def->name);
  std::vector<HostTensor> inputs, outputs;
  for (const TensorView& v : call.inputs) inputs.push_back(onHost(context, v));
  for (size_t o = 0; o < call.outputs.size(); ++o)
    outputs.push_back(call.accumulates(o) ? onHost(context, call.outputs[o])
                                          : emptyOnHost(call.outputs[o]));
  const auto in = viewsOf(inputs), out = viewsOf(outputs);
  KernelCall copy = call;
  copy.inputs = in;
  copy.outputs = out;
  kernel(context.kept<HostContext>().context, copy);
  for (size_t o = 0; o < outputs.size(); ++o) {
    const TensorView& to = call.outputs[o];
    const HostTensor& from =
        to.type.dtype == DType::f16 ? outputs[o] = converted(outputs[o], DType::f16) : outputs[o];
    uploadBytes(context, to.data, from.bytes().data(), to.type.bytes().value);
  }
}

}  // namespace meshplan
