// SPDX-License-Identifier: Apache-2.0
#include "backend/cuda/libraries/cudnn_plan.h"

#include <algorithm>

#include "backend/gpu_libraries.h"
#include "core/error.h"

namespace meshplan {
namespace {

constexpr int64_t kMostConfigurations = 16;

CudnnGraph::Extents denseStrides(const CudnnGraph::Extents& extents) {
  CudnnGraph::Extents strides(extents.size(), 1);
  for (size_t i = extents.size() - 1; i-- > 0;) strides[i] = strides[i + 1] * extents[i + 1];
  return strides;
}

}  // namespace

CudnnFunctions::CudnnFunctions()
    : library(cudnnNames()),
      create(MESHPLAN_SYMBOL(library, cudnnCreate)),
      destroy(MESHPLAN_SYMBOL(library, cudnnDestroy)),
      setStream(MESHPLAN_SYMBOL(library, cudnnSetStream)),
      errorString(MESHPLAN_SYMBOL(library, cudnnGetErrorString)),
      descriptorCreate(MESHPLAN_SYMBOL(library, cudnnBackendCreateDescriptor)),
      descriptorDestroy(MESHPLAN_SYMBOL(library, cudnnBackendDestroyDescriptor)),
      descriptorSet(MESHPLAN_SYMBOL(library, cudnnBackendSetAttribute)),
      descriptorGet(MESHPLAN_SYMBOL(library, cudnnBackendGetAttribute)),
      descriptorFinalize(MESHPLAN_SYMBOL(library, cudnnBackendFinalize)),
      execute(MESHPLAN_SYMBOL(library, cudnnBackendExecute)) {
  const auto found = static_cast<int64_t>(MESHPLAN_SYMBOL(library, cudnnGetVersion)());
  library.requireVersion(found, 90000);
  version = libraryVersionText(found);
}

void CudnnFunctions::check(cudnnStatus_t status, const char* call) const {
  if (status == CUDNN_STATUS_SUCCESS) return;
  throw Error(ErrorKind::runtime,
              std::string(call) + " of cuDNN " + version + " failed: " + errorString(status));
}

CudnnDescriptor::CudnnDescriptor(const CudnnFunctions& cudnn, cudnnBackendDescriptorType_t type)
    : cudnn_(cudnn), descriptor_(nullptr, cudnn.descriptorDestroy) {
  cudnnBackendDescriptor_t made = nullptr;
  cudnn.check(cudnn.descriptorCreate(type, &made), "cudnnBackendCreateDescriptor");
  descriptor_.reset(made);
}

CudnnGraph::Tensor CudnnGraph::add(cudnnDataType_t type, const Extents& extents,
                                   const Extents& strides, bool isVirtual, bool byValue) {
  CudnnDescriptor d(cudnn_, CUDNN_BACKEND_TENSOR_DESCRIPTOR);
  d.set(CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, static_cast<int64_t>(nodes_.size() + 1));
  d.set(CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, type);
  d.set(CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, extents);
  d.set(CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, strides);
  d.set(CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, CUDNN_TYPE_INT64, int64_t{16});
  d.set(CUDNN_ATTR_TENSOR_IS_VIRTUAL, CUDNN_TYPE_BOOLEAN, isVirtual);
  d.set(CUDNN_ATTR_TENSOR_IS_BY_VALUE, CUDNN_TYPE_BOOLEAN, byValue);
  d.finalize();
  nodes_.push_back({std::move(d), type, extents, strides});
  return {nodes_.size() - 1};
}

CudnnGraph::Tensor CudnnGraph::stored(cudnnDataType_t type, const Extents& extents,
                                      const Extents& strides, size_t position) {
  const Tensor t = add(type, extents, strides, false, false);
  storedIds_.resize(std::max(storedIds_.size(), position + 1));
  storedIds_[position] = static_cast<int64_t>(t.index + 1);
  return t;
}

CudnnGraph::Tensor CudnnGraph::constant(float value) {
  const Tensor t = add(CUDNN_DATA_FLOAT, {1, 1, 1, 1}, {1, 1, 1, 1}, false, true);
  constants_.emplace_back(static_cast<int64_t>(t.index + 1), std::make_unique<float>(value));
  return t;
}

CudnnGraph::Tensor CudnnGraph::inside(cudnnDataType_t type, const Extents& extents) {
  return add(type, extents, denseStrides(extents), true, false);
}

CudnnGraph::Tensor CudnnGraph::product(Tensor a, Tensor b, cudnnDataType_t type) {
  Extents extents = nodes_[a.index].extents;
  extents[3] = nodes_[b.index].extents[3];
  const Tensor c = inside(type, extents);
  product(a, b, c);
  return c;
}

void CudnnGraph::product(Tensor a, Tensor b, Tensor c) {
  CudnnDescriptor rule(cudnn_, CUDNN_BACKEND_MATMUL_DESCRIPTOR);
  rule.set(CUDNN_ATTR_MATMUL_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, CUDNN_DATA_FLOAT);
  rule.finalize();
  CudnnDescriptor d(cudnn_, CUDNN_BACKEND_OPERATION_MATMUL_DESCRIPTOR);
  d.set(CUDNN_ATTR_OPERATION_MATMUL_ADESC, of(a));
  d.set(CUDNN_ATTR_OPERATION_MATMUL_BDESC, of(b));
  d.set(CUDNN_ATTR_OPERATION_MATMUL_CDESC, of(c));
  d.set(CUDNN_ATTR_OPERATION_MATMUL_DESC, rule);
  d.finalize();
  helpers_.push_back(std::move(rule));
  operations_.push_back(std::move(d));
}

void CudnnGraph::operate(Pointwise operation, Tensor x, const Tensor* b, const Tensor* select,
                         Tensor y) {
  CudnnDescriptor rule(cudnn_, CUDNN_BACKEND_POINTWISE_DESCRIPTOR);
  rule.set(CUDNN_ATTR_POINTWISE_MODE, CUDNN_TYPE_POINTWISE_MODE, operation.mode);
  rule.set(CUDNN_ATTR_POINTWISE_MATH_PREC, CUDNN_TYPE_DATA_TYPE, operation.compute);
  if (operation.axis >= 0) rule.set(CUDNN_ATTR_POINTWISE_AXIS, CUDNN_TYPE_INT64, operation.axis);
  rule.finalize();
  CudnnDescriptor d(cudnn_, CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR);
  d.set(CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, rule);
  d.set(CUDNN_ATTR_OPERATION_POINTWISE_XDESC, of(x));
  if (b) d.set(CUDNN_ATTR_OPERATION_POINTWISE_BDESC, of(*b));
  if (select) d.set(CUDNN_ATTR_OPERATION_POINTWISE_TDESC, of(*select));
  d.set(CUDNN_ATTR_OPERATION_POINTWISE_YDESC, of(y));
  d.finalize();
  helpers_.push_back(std::move(rule));
  operations_.push_back(std::move(d));
}

CudnnGraph::Tensor CudnnGraph::pointwise(cudnnPointwiseMode_t mode, Tensor x,
                                         cudnnDataType_t type) {
  const Tensor y = inside(type, nodes_[x.index].extents);
  operate({mode}, x, nullptr, nullptr, y);
  return y;
}

CudnnGraph::Tensor CudnnGraph::pointwise(cudnnPointwiseMode_t mode, Tensor x, Tensor b,
                                         cudnnDataType_t type) {
  const Tensor y = inside(type, nodes_[x.index].extents);
  operate({mode}, x, &b, nullptr, y);
  return y;
}

void CudnnGraph::pointwise(cudnnPointwiseMode_t mode, Tensor x, Tensor b, Tensor y) {
  operate({mode}, x, &b, nullptr, y);
}

CudnnGraph::Tensor CudnnGraph::lowerTriangle(Tensor x, Tensor otherwise) {
  const Extents extents = nodes_[x.index].extents;
  const Tensor row = inside(CUDNN_DATA_INT32, extents), column = inside(CUDNN_DATA_INT32, extents);
  operate({CUDNN_POINTWISE_GEN_INDEX, CUDNN_DATA_FLOAT, 2}, x, nullptr, nullptr, row);
  operate({CUDNN_POINTWISE_GEN_INDEX, CUDNN_DATA_FLOAT, 3}, x, nullptr, nullptr, column);
  const Tensor stays = inside(CUDNN_DATA_BOOLEAN, extents);
  operate({CUDNN_POINTWISE_CMP_GE, CUDNN_DATA_BOOLEAN}, row, &column, nullptr, stays);
  const Tensor y = inside(CUDNN_DATA_FLOAT, extents);
  operate({CUDNN_POINTWISE_BINARY_SELECT}, x, &otherwise, &stays, y);
  return y;
}

CudnnGraph::Tensor CudnnGraph::reduce(cudnnReduceTensorOp_t op, Tensor x) {
  Extents extents = nodes_[x.index].extents;
  extents[3] = 1;
  const Tensor y = inside(CUDNN_DATA_FLOAT, extents);
  reduce(op, x, y);
  return y;
}

void CudnnGraph::reduce(cudnnReduceTensorOp_t op, Tensor x, Tensor y) {
  CudnnDescriptor rule(cudnn_, CUDNN_BACKEND_REDUCTION_DESCRIPTOR);
  rule.set(CUDNN_ATTR_REDUCTION_OPERATOR, CUDNN_TYPE_REDUCTION_OPERATOR_TYPE, op);
  rule.set(CUDNN_ATTR_REDUCTION_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, CUDNN_DATA_FLOAT);
  rule.finalize();
  CudnnDescriptor d(cudnn_, CUDNN_BACKEND_OPERATION_REDUCTION_DESCRIPTOR);
  d.set(CUDNN_ATTR_OPERATION_REDUCTION_DESC, rule);
  d.set(CUDNN_ATTR_OPERATION_REDUCTION_XDESC, of(x));
  d.set(CUDNN_ATTR_OPERATION_REDUCTION_YDESC, of(y));
  d.finalize();
  helpers_.push_back(std::move(rule));
  operations_.push_back(std::move(d));
}

CudnnGraph::Tensor CudnnGraph::transposed(Tensor x, cudnnDataType_t type) {
  Extents extents = nodes_[x.index].extents, strides = nodes_[x.index].strides;
  std::swap(extents[2], extents[3]);
  std::swap(strides[2], strides[3]);
  const Tensor y = add(type, extents, strides, true, false);
  CudnnDescriptor d(cudnn_, CUDNN_BACKEND_OPERATION_RESHAPE_DESCRIPTOR);
  d.set(CUDNN_ATTR_OPERATION_RESHAPE_XDESC, of(x));
  d.set(CUDNN_ATTR_OPERATION_RESHAPE_YDESC, of(y));
  d.finalize();
  operations_.push_back(std::move(d));
  return y;
}

bool CudnnGraph::isDeterministic(const CudnnDescriptor& configuration) const {
  const CudnnDescriptor engine(cudnn_, CUDNN_BACKEND_ENGINE_DESCRIPTOR);
  cudnnBackendDescriptor_t at = engine.get();
  cudnnBackendNumericalNote_t notes[CUDNN_NUMERICAL_NOTE_TYPE_COUNT];
  int64_t count = 0;
  if (cudnn_.descriptorGet(configuration.get(), CUDNN_ATTR_ENGINECFG_ENGINE,
                           CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &count, &at) != CUDNN_STATUS_SUCCESS ||
      cudnn_.descriptorGet(at, CUDNN_ATTR_ENGINE_NUMERICAL_NOTE, CUDNN_TYPE_NUMERICAL_NOTE,
                           CUDNN_NUMERICAL_NOTE_TYPE_COUNT, &count, notes) != CUDNN_STATUS_SUCCESS)
    return false;
  return std::find(notes, notes + count, CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC) == notes + count;
}

/// Configurations that this device or version cannot do are passed over.
void CudnnGraph::addPlan(cudnnHandle_t handle, const CudnnDescriptor& configuration) {
  CudnnDescriptor plan(cudnn_, CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR);
  plan.set(CUDNN_ATTR_EXECUTION_PLAN_HANDLE, CUDNN_TYPE_HANDLE, handle);
  plan.set(CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, configuration);
  if (cudnn_.descriptorFinalize(plan.get()) != CUDNN_STATUS_SUCCESS) return;
  int64_t bytes = 0, count = 0;
  cudnn_.check(cudnn_.descriptorGet(plan.get(), CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE,
                                    CUDNN_TYPE_INT64, 1, &count, &bytes),
               "cudnnBackendGetAttribute");
  plans_.push_back({std::move(plan), bytes});
}

void CudnnGraph::compile(cudnnHandle_t handle, size_t most) {
  std::vector<cudnnBackendDescriptor_t> operations;
  for (const CudnnDescriptor& d : operations_) operations.push_back(d.get());
  CudnnDescriptor graph(cudnn_, CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
  graph.set(CUDNN_ATTR_OPERATIONGRAPH_HANDLE, CUDNN_TYPE_HANDLE, handle);
  graph.set(CUDNN_ATTR_OPERATIONGRAPH_OPS, CUDNN_TYPE_BACKEND_DESCRIPTOR, operations);
  graph.finalize();
  CudnnDescriptor heuristic(cudnn_, CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR);
  heuristic.set(CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, graph);
  heuristic.set(CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, CUDNN_HEUR_MODE_A);
  heuristic.finalize();
  std::vector<CudnnDescriptor> configurations;
  std::vector<cudnnBackendDescriptor_t> results;
  for (int64_t i = 0; i < kMostConfigurations; ++i) {
    configurations.emplace_back(cudnn_, CUDNN_BACKEND_ENGINECFG_DESCRIPTOR);
    results.push_back(configurations.back().get());
  }
  int64_t found = 0;
  cudnn_.check(cudnn_.descriptorGet(heuristic.get(), CUDNN_ATTR_ENGINEHEUR_RESULTS,
                                    CUDNN_TYPE_BACKEND_DESCRIPTOR, kMostConfigurations, &found,
                                    results.data()),
               "cudnnBackendGetAttribute");
  for (int64_t i = 0; i < std::min(found, kMostConfigurations) && plans_.size() < most; ++i) {
    const CudnnDescriptor& configuration = configurations[static_cast<size_t>(i)];
    if (isDeterministic(configuration)) addPlan(handle, configuration);
  }
  if (plans_.empty())
    throw Error(ErrorKind::runtime, "cuDNN " + cudnn_.version + " has no deterministic plan");
}

void CudnnGraph::execute(cudnnHandle_t handle, size_t plan, const std::vector<void*>& pointers,
                         void* workspace) {
  std::vector<int64_t> ids = storedIds_;
  std::vector<void*> data = pointers;
  for (const auto& [id, value] : constants_) {
    ids.push_back(id);
    data.push_back(value.get());
  }
  CudnnDescriptor pack(cudnn_, CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR);
  pack.set(CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64, ids);
  pack.set(CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, data);
  pack.set(CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, workspace);
  pack.finalize();
  cudnn_.check(cudnn_.execute(handle, plans_[plan].descriptor.get(), pack.get()),
               "cudnnBackendExecute");
}

void CudnnGraph::keep(size_t plan) {
  std::vector<Plan> kept;
  kept.push_back(std::move(plans_[plan]));
  plans_ = std::move(kept);
}

}  // namespace meshplan
