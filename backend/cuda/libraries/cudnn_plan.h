// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cudnn.h>

#include <memory>
#include <string>
#include <vector>

#include "backend/cuda/cuda_context.h"
#include "backend/dynamic_library.h"

namespace meshplan {

/// What we call of cuDNN's backend API, opened at run time. Throws Error(runtime) when there is
/// none, or one older than 9.0.
struct CudnnFunctions {
  CudnnFunctions();

  DynamicLibrary library;
  decltype(&cudnnCreate) create;
  decltype(&cudnnDestroy) destroy;
  decltype(&cudnnSetStream) setStream;
  decltype(&cudnnGetErrorString) errorString;
  decltype(&cudnnBackendCreateDescriptor) descriptorCreate;
  decltype(&cudnnBackendDestroyDescriptor) descriptorDestroy;
  decltype(&cudnnBackendSetAttribute) descriptorSet;
  decltype(&cudnnBackendGetAttribute) descriptorGet;
  decltype(&cudnnBackendFinalize) descriptorFinalize;
  decltype(&cudnnBackendExecute) execute;
  std::string version;  // "9.19.0"

  /// Throws Error(runtime) naming the call.
  void check(cudnnStatus_t status, const char* call) const;
};

/// A descriptor of the backend API, destroyed with this.
class CudnnDescriptor {
 public:
  CudnnDescriptor(const CudnnFunctions& cudnn, cudnnBackendDescriptorType_t type);

  cudnnBackendDescriptor_t get() const { return descriptor_.get(); }

  template <class T>
  void set(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type,
           const std::vector<T>& values) {
    cudnn_.check(
        cudnn_.descriptorSet(get(), name, type, static_cast<int64_t>(values.size()), values.data()),
        "cudnnBackendSetAttribute");
  }
  template <class T>
  void set(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, T value) {
    cudnn_.check(cudnn_.descriptorSet(get(), name, type, 1, &value), "cudnnBackendSetAttribute");
  }
  void set(cudnnBackendAttributeName_t name, const CudnnDescriptor& other) {
    set(name, CUDNN_TYPE_BACKEND_DESCRIPTOR, other.get());
  }
  void finalize() { cudnn_.check(cudnn_.descriptorFinalize(get()), "cudnnBackendFinalize"); }

 private:
  const CudnnFunctions& cudnn_;
  std::unique_ptr<void, cudnnStatus_t (*)(cudnnBackendDescriptor_t)> descriptor_;
};

/// Operations on tensors of rank 4 that cuDNN fuses; compiled once, executed often. Values inside
/// the graph are never in memory. Errors are Error(runtime) with cuDNN's own words.
class CudnnGraph {
 public:
  using Extents = std::vector<int64_t>;
  /// A tensor of the graph.
  struct Tensor {
    size_t index;
  };

  explicit CudnnGraph(const CudnnFunctions& cudnn) : cudnn_(cudnn) {}

  /// In memory; `position` among the pointers given to execute.
  Tensor stored(cudnnDataType_t type, const Extents& extents, const Extents& strides,
                size_t position);
  /// A number.
  Tensor constant(float value);

  Tensor product(Tensor a, Tensor b, cudnnDataType_t type = CUDNN_DATA_FLOAT);
  void product(Tensor a, Tensor b, Tensor c);
  Tensor pointwise(cudnnPointwiseMode_t mode, Tensor x, cudnnDataType_t type = CUDNN_DATA_FLOAT);
  Tensor pointwise(cudnnPointwiseMode_t mode, Tensor x, Tensor b,
                   cudnnDataType_t type = CUDNN_DATA_FLOAT);
  void pointwise(cudnnPointwiseMode_t mode, Tensor x, Tensor b, Tensor y);
  /// x where the row is not below the column in number, else `otherwise`.
  Tensor lowerTriangle(Tensor x, Tensor otherwise);
  /// Over the last dimension.
  Tensor reduce(cudnnReduceTensorOp_t op, Tensor x);
  /// Over what y lacks.
  void reduce(cudnnReduceTensorOp_t op, Tensor x, Tensor y);
  /// The last two dimensions exchanged.
  Tensor transposed(Tensor x, cudnnDataType_t type);

  /// The deterministic plans that cuDNN proposes, the likely fastest first, `most` at most. Throws
  /// when there is none.
  void compile(cudnnHandle_t handle, size_t most);
  size_t plans() const { return plans_.size(); }
  int64_t workspaceBytes(size_t plan) const { return plans_[plan].workspace; }
  void execute(cudnnHandle_t handle, size_t plan, const std::vector<void*>& pointers,
               void* workspace);
  /// Only this one stays.
  void keep(size_t plan);

 private:
  struct Node {
    CudnnDescriptor descriptor;
    cudnnDataType_t type;
    Extents extents, strides;
  };
  struct Plan {
    CudnnDescriptor descriptor;
    int64_t workspace;
  };
  struct Pointwise {
    cudnnPointwiseMode_t mode;
    cudnnDataType_t compute = CUDNN_DATA_FLOAT;
    int64_t axis = -1;
  };

  Tensor add(cudnnDataType_t type, const Extents& extents, const Extents& strides, bool isVirtual,
             bool byValue);
  Tensor inside(cudnnDataType_t type, const Extents& extents);
  void operate(Pointwise operation, Tensor x, const Tensor* b, const Tensor* select, Tensor y);
  bool isDeterministic(const CudnnDescriptor& configuration) const;
  void addPlan(cudnnHandle_t handle, const CudnnDescriptor& configuration);
  const CudnnDescriptor& of(Tensor t) const { return nodes_[t.index].descriptor; }

  const CudnnFunctions& cudnn_;
  std::vector<Node> nodes_;
  std::vector<CudnnDescriptor> helpers_, operations_;
  std::vector<int64_t> storedIds_;  // by position
  std::vector<std::pair<int64_t, std::unique_ptr<float>>> constants_;
  std::vector<Plan> plans_;
};

}  // namespace meshplan
