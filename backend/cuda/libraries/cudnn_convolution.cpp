// SPDX-License-Identifier: Apache-2.0
#include <cudnn.h>
#include <fmt/core.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <optional>
#include <unordered_map>

#include "backend/cuda/convolution.h"
#include "backend/cuda/fastest.h"
#include "backend/cuda/matrix.h"
#include "backend/cuda/matrix_choices.h"
#include "backend/cuda/strided_sum.h"
#include "backend/dynamic_library.h"
#include "backend/gpu_libraries.h"
#include "core/error.h"

namespace meshplan {
namespace {

constexpr int64_t kLeast = 90000, kMostWorkspace = int64_t{256} << 20;
constexpr int kWorkspace = -24, kNarrow = -25;  // purposes of scratch memory

// Those of cuDNN's algorithms that give equal bits each time (cudnn_ops_v9.h).
constexpr int kForward[] = {0, 1, 2, 3, 4, 5, 6, 7};
constexpr int kInput[] = {1, 2, 3, 4, 5};
constexpr int kWeights[] = {1, 2, 5, 6};

struct CudnnFunctions {
  CudnnFunctions()
      : library(cudnnNames()),
        create(MESHPLAN_SYMBOL(library, cudnnCreate)),
        destroy(MESHPLAN_SYMBOL(library, cudnnDestroy)),
        statusText(MESHPLAN_SYMBOL(library, cudnnGetErrorString)),
        setStream(MESHPLAN_SYMBOL(library, cudnnSetStream)),
        tensorCreate(MESHPLAN_SYMBOL(library, cudnnCreateTensorDescriptor)),
        tensorDestroy(MESHPLAN_SYMBOL(library, cudnnDestroyTensorDescriptor)),
        tensorSet(MESHPLAN_SYMBOL(library, cudnnSetTensorNdDescriptor)),
        filterCreate(MESHPLAN_SYMBOL(library, cudnnCreateFilterDescriptor)),
        filterDestroy(MESHPLAN_SYMBOL(library, cudnnDestroyFilterDescriptor)),
        filterSet(MESHPLAN_SYMBOL(library, cudnnSetFilterNdDescriptor)),
        convolutionCreate(MESHPLAN_SYMBOL(library, cudnnCreateConvolutionDescriptor)),
        convolutionDestroy(MESHPLAN_SYMBOL(library, cudnnDestroyConvolutionDescriptor)),
        convolutionSet(MESHPLAN_SYMBOL(library, cudnnSetConvolutionNdDescriptor)),
        groupsSet(MESHPLAN_SYMBOL(library, cudnnSetConvolutionGroupCount)),
        mathSet(MESHPLAN_SYMBOL(library, cudnnSetConvolutionMathType)),
        forwardBytes(MESHPLAN_SYMBOL(library, cudnnGetConvolutionForwardWorkspaceSize)),
        inputBytes(MESHPLAN_SYMBOL(library, cudnnGetConvolutionBackwardDataWorkspaceSize)),
        weightsBytes(MESHPLAN_SYMBOL(library, cudnnGetConvolutionBackwardFilterWorkspaceSize)),
        forward(MESHPLAN_SYMBOL(library, cudnnConvolutionForward)),
        input(MESHPLAN_SYMBOL(library, cudnnConvolutionBackwardData)),
        weights(MESHPLAN_SYMBOL(library, cudnnConvolutionBackwardFilter)) {
    const auto found = static_cast<int64_t>(MESHPLAN_SYMBOL(library, cudnnGetVersion)());
    library.requireVersion(found, kLeast);
    version = libraryVersionText(found);
  }

  DynamicLibrary library;
  decltype(&cudnnCreate) create;
  decltype(&cudnnDestroy) destroy;
  decltype(&cudnnGetErrorString) statusText;
  decltype(&cudnnSetStream) setStream;
  decltype(&cudnnCreateTensorDescriptor) tensorCreate;
  decltype(&cudnnDestroyTensorDescriptor) tensorDestroy;
  decltype(&cudnnSetTensorNdDescriptor) tensorSet;
  decltype(&cudnnCreateFilterDescriptor) filterCreate;
  decltype(&cudnnDestroyFilterDescriptor) filterDestroy;
  decltype(&cudnnSetFilterNdDescriptor) filterSet;
  decltype(&cudnnCreateConvolutionDescriptor) convolutionCreate;
  decltype(&cudnnDestroyConvolutionDescriptor) convolutionDestroy;
  decltype(&cudnnSetConvolutionNdDescriptor) convolutionSet;
  decltype(&cudnnSetConvolutionGroupCount) groupsSet;
  decltype(&cudnnSetConvolutionMathType) mathSet;
  decltype(&cudnnGetConvolutionForwardWorkspaceSize) forwardBytes;
  decltype(&cudnnGetConvolutionBackwardDataWorkspaceSize) inputBytes;
  decltype(&cudnnGetConvolutionBackwardFilterWorkspaceSize) weightsBytes;
  decltype(&cudnnConvolutionForward) forward;
  decltype(&cudnnConvolutionBackwardData) input;
  decltype(&cudnnConvolutionBackwardFilter) weights;
  std::string version;  // "9.19.0"
};

template <class T>
using Descriptor = std::unique_ptr<std::remove_pointer_t<T>, cudnnStatus_t (*)(T)>;

struct CompiledConvolution {
  Descriptor<cudnnTensorDescriptor_t> x, y;
  Descriptor<cudnnFilterDescriptor_t> w;
  Descriptor<cudnnConvolutionDescriptor_t> convolution;
  int algorithm = 0;
  size_t workspace = 0;
};

cudnnDataType_t dataType(DType type) {
  return type == DType::f64    ? CUDNN_DATA_DOUBLE
         : type == DType::bf16 ? CUDNN_DATA_BFLOAT16
         : type == DType::f16  ? CUDNN_DATA_HALF
                               : CUDNN_DATA_FLOAT;
}

std::vector<int> ints(const Shape& shape, int fill, size_t least) {
  std::vector<int> result;
  for (int64_t v : shape) result.push_back(static_cast<int>(v));
  result.resize(std::max(least, result.size()), fill);
  return result;
}

std::vector<int> denseStrides(const std::vector<int>& shape) {
  std::vector<int> strides(shape.size(), 1);
  for (size_t d = shape.size(); d-- > 1;) strides[d - 1] = strides[d] * shape[d];
  return strides;
}

/// cuDNN pads both sides alike, and counts in 32 bits.
bool fits(const ConvolutionGeometry& g, const ConvolutionData& d) {
  constexpr int64_t kMost = (int64_t{1} << 31) - 1;
  if (g.in.size() > 3 || d.x.type.elements() > kMost || d.y.type.elements() > kMost) return false;
  if (d.x.type.elements() == 0 || d.y.type.elements() == 0 || d.w.type.elements() == 0)
    return false;
  for (size_t i = 0; i < g.in.size(); ++i) {
    const int64_t room = g.in[i] + 2 * g.before[i] - g.dilations[i] * (g.kernel[i] - 1) - 1;
    if (g.before[i] < 0 || room < 0 || room / g.strides[i] + 1 != g.out[i]) return false;
  }
  return true;
}

class Cudnn {
 public:
  explicit Cudnn(CudaContext& context)
      : context_(context),
        settings_(context.kept<MatrixSettings>()),
        choices_(context.kept<MatrixChoices>()) {
    check(dnn_.create(&handle_), "cudnnCreate");
  }
  ~Cudnn() { dnn_.destroy(handle_); }
  Cudnn(const Cudnn&) = delete;
  Cudnn& operator=(const Cudnn&) = delete;

  std::string name() const { return "cuDNN " + dnn_.version; }

  bool convolve(const ConvolutionGeometry& g, ConvolutionPass pass, const ConvolutionData& data) {
    if (!fits(g, data) ||
        (pass != ConvolutionPass::weights && data.w.type.dtype != data.x.type.dtype))
      return false;
    check(dnn_.setStream(handle_, context_.stream()), "cudnnSetStream");
    ConvolutionData d = data;
    // Gradients of weights come in the dtype of x.
    const bool converts = d.w.type.dtype != d.x.type.dtype;
    if (converts) {
      d.w.type.dtype = d.x.type.dtype;
      d.w.data = context_.scratch(d.w.type.bytes().value, kNarrow);
      d.accumulate = false;
    }
    const std::string key = keyOf(g, pass, d);
    auto at = compiled_.find(key);
    if (at == compiled_.end()) at = compiled_.emplace(key, compile(g, pass, d, key)).first;
    if (!at->second) return false;
    if (d.bias) fillChannels(context_, *d.bias, d.y);
    const CompiledConvolution& c = *at->second;
    check(run(c, pass, d, c.algorithm, c.workspace, written(pass, d).data), "cudnnConvolution");
    if (converts)
      convertElements(context_, d.w.data, d.w.type.dtype, data.w.data, data.w.type.dtype,
                      d.w.type.elements(), data.accumulate);
    return true;
  }

 private:
  void check(cudnnStatus_t status, const char* call) const {
    if (status != CUDNN_STATUS_SUCCESS)
      context_.check(static_cast<int>(status), call, dnn_.statusText(status));
  }

  static const TensorView& written(ConvolutionPass pass, const ConvolutionData& d) {
    return pass == ConvolutionPass::output ? d.y : pass == ConvolutionPass::input ? d.x : d.w;
  }
  static bool adds(const ConvolutionData& d) { return d.bias || d.accumulate; }

  std::string keyOf(const ConvolutionGeometry& g, ConvolutionPass pass,
                    const ConvolutionData& d) const {
    return fmt::format(
        "{} sm_{} convolution pass {} {} tf32 {} adds {} groups {} x {} w {} strides "
        "{} dilations {} before {} y {}",
        name(), context_.capability(), static_cast<int>(pass), dtypeName(d.x.type.dtype),
        settings_.tf32, adds(d), g.groups, shapeText(d.x.type.shape), shapeText(d.w.type.shape),
        shapeText(g.strides), shapeText(g.dilations), shapeText(g.before),
        shapeText(d.y.type.shape));
  }

  template <class T>
  Descriptor<T> made(cudnnStatus_t (*create)(T*), cudnnStatus_t (*destroy)(T)) const {
    T descriptor = nullptr;
    check(create(&descriptor), "cudnnCreate a descriptor");
    return Descriptor<T>(descriptor, destroy);
  }

  Descriptor<cudnnTensorDescriptor_t> tensor(const TensorType& type) const {
    auto d = made(dnn_.tensorCreate, dnn_.tensorDestroy);
    const std::vector<int> shape = ints(type.shape, 1, 4), strides = denseStrides(shape);
    check(dnn_.tensorSet(d.get(), dataType(type.dtype), static_cast<int>(shape.size()),
                         shape.data(), strides.data()),
          "cudnnSetTensorNdDescriptor");
    return d;
  }

  Descriptor<cudnnFilterDescriptor_t> filter(const TensorType& type) const {
    auto d = made(dnn_.filterCreate, dnn_.filterDestroy);
    const std::vector<int> shape = ints(type.shape, 1, 4);
    check(dnn_.filterSet(d.get(), dataType(type.dtype), CUDNN_TENSOR_NCHW,
                         static_cast<int>(shape.size()), shape.data()),
          "cudnnSetFilterNdDescriptor");
    return d;
  }

  Descriptor<cudnnConvolutionDescriptor_t> convolution(const ConvolutionGeometry& g,
                                                       DType type) const {
    auto d = made(dnn_.convolutionCreate, dnn_.convolutionDestroy);
    const std::vector<int> before = ints(g.before, 0, 2), strides = ints(g.strides, 1, 2),
                           dilations = ints(g.dilations, 1, 2);
    check(dnn_.convolutionSet(d.get(), static_cast<int>(before.size()), before.data(),
                              strides.data(), dilations.data(), CUDNN_CROSS_CORRELATION,
                              type == DType::f64 ? CUDNN_DATA_DOUBLE : CUDNN_DATA_FLOAT),
          "cudnnSetConvolutionNdDescriptor");
    check(dnn_.groupsSet(d.get(), static_cast<int>(g.groups)), "cudnnSetConvolutionGroupCount");
    // The default multiplies fp32 in tf32.
    const bool exact = type == DType::f32 && !settings_.tf32;
    check(dnn_.mathSet(d.get(), exact ? CUDNN_FMA_MATH : CUDNN_TENSOR_OP_MATH),
          "cudnnSetConvolutionMathType");
    return d;
  }

  /// Empty when this algorithm does not do this convolution.
  std::optional<size_t> workspaceOf(const CompiledConvolution& c, ConvolutionPass pass,
                                    int algorithm) const {
    size_t bytes = 0;
    cudnnStatus_t status;
    if (pass == ConvolutionPass::output)
      status = dnn_.forwardBytes(handle_, c.x.get(), c.w.get(), c.convolution.get(), c.y.get(),
                                 static_cast<cudnnConvolutionFwdAlgo_t>(algorithm), &bytes);
    else if (pass == ConvolutionPass::input)
      status = dnn_.inputBytes(handle_, c.w.get(), c.y.get(), c.convolution.get(), c.x.get(),
                               static_cast<cudnnConvolutionBwdDataAlgo_t>(algorithm), &bytes);
    else
      status = dnn_.weightsBytes(handle_, c.x.get(), c.y.get(), c.convolution.get(), c.w.get(),
                                 static_cast<cudnnConvolutionBwdFilterAlgo_t>(algorithm), &bytes);
    if (status != CUDNN_STATUS_SUCCESS || bytes > static_cast<size_t>(kMostWorkspace))
      return std::nullopt;
    return bytes;
  }

  struct Candidate {
    int algorithm;
    size_t workspace;
  };

  std::optional<CompiledConvolution> compile(const ConvolutionGeometry& g, ConvolutionPass pass,
                                             const ConvolutionData& d, const std::string& key) {
    CompiledConvolution c{tensor(d.x.type), tensor(d.y.type), filter(d.w.type),
                          convolution(g, d.x.type.dtype)};
    std::vector<Candidate> candidates;
    const auto consider = [&](std::span<const int> algorithms) {
      for (const int a : algorithms)
        if (const auto bytes = workspaceOf(c, pass, a)) candidates.push_back({a, *bytes});
    };
    if (const MatrixChoice* known = choices_.find(key); known && known->algorithm.size() == 4) {
      int algorithm = 0;
      std::memcpy(&algorithm, known->algorithm.data(), sizeof algorithm);
      consider({&algorithm, 1});
    }
    const bool isKnown = !candidates.empty();
    if (!isKnown)
      consider(pass == ConvolutionPass::output  ? std::span<const int>(kForward)
               : pass == ConvolutionPass::input ? std::span<const int>(kInput)
                                                : std::span<const int>(kWeights));
    if (candidates.empty()) return std::nullopt;
    size_t best = 0;
    if (!isKnown && settings_.timesCandidates && !context_.captures()) {
      const auto fastest = timed(c, pass, d, candidates, key);
      if (!fastest) return std::nullopt;
      best = *fastest;
    }
    c.algorithm = candidates[best].algorithm;
    c.workspace = candidates[best].workspace;
    return c;
  }

  std::optional<size_t> timed(const CompiledConvolution& c, ConvolutionPass pass,
                              const ConvolutionData& d, const std::vector<Candidate>& candidates,
                              const std::string& key) {
    const TensorView& to = written(pass, d);
    const TemporaryMemory beside(adds(d) ? to.type.bytes().value : 0);
    if (adds(d) && !beside.data()) return 0;
    void* const at = adds(d) ? beside.data() : to.data;
    size_t most = 0;
    for (const Candidate& candidate : candidates) most = std::max(most, candidate.workspace);
    context_.scratch(static_cast<int64_t>(most), kWorkspace);
    const auto fastest = fastestOf(context_, candidates.size(), [&](size_t i) {
      return run(c, pass, d, candidates[i].algorithm, candidates[i].workspace, at) ==
             CUDNN_STATUS_SUCCESS;
    });
    if (!fastest) return std::nullopt;
    MatrixChoice choice{key, std::vector<std::byte>(4), fastest->seconds};
    std::memcpy(choice.algorithm.data(), &candidates[fastest->index].algorithm, 4);
    choices_.addTimed(std::move(choice));
    return fastest->index;
  }

  cudnnStatus_t run(const CompiledConvolution& c, ConvolutionPass pass, const ConvolutionData& d,
                    int algorithm, size_t bytes, void* to) {
    // In the type of the sums: double under fp64, float otherwise.
    const double wide[] = {1, adds(d) ? 1.0 : 0.0};
    const float narrow[] = {1, adds(d) ? 1.0f : 0.0f};
    const bool isWide = d.x.type.dtype == DType::f64;
    const void* const alpha = isWide ? static_cast<const void*>(&wide[0]) : &narrow[0];
    const void* const beta = isWide ? static_cast<const void*>(&wide[1]) : &narrow[1];
    void* const workspace =
        bytes == 0 ? nullptr : context_.scratch(static_cast<int64_t>(bytes), kWorkspace);
    if (pass == ConvolutionPass::output)
      return dnn_.forward(handle_, alpha, c.x.get(), d.x.data, c.w.get(), d.w.data,
                          c.convolution.get(), static_cast<cudnnConvolutionFwdAlgo_t>(algorithm),
                          workspace, bytes, beta, c.y.get(), to);
    if (pass == ConvolutionPass::input)
      return dnn_.input(handle_, alpha, c.w.get(), d.w.data, c.y.get(), d.y.data,
                        c.convolution.get(), static_cast<cudnnConvolutionBwdDataAlgo_t>(algorithm),
                        workspace, bytes, beta, c.x.get(), to);
    return dnn_.weights(handle_, alpha, c.x.get(), d.x.data, c.y.get(), d.y.data,
                        c.convolution.get(),
                        static_cast<cudnnConvolutionBwdFilterAlgo_t>(algorithm), workspace, bytes,
                        beta, c.w.get(), to);
  }

  CudaContext& context_;
  const MatrixSettings& settings_;
  MatrixChoices& choices_;
  CudnnFunctions dnn_;
  cudnnHandle_t handle_ = nullptr;
  std::unordered_map<std::string, std::optional<CompiledConvolution>> compiled_;
};

/// cuDNN is optional: without it convolutions are products with patches.
struct OptionalCudnn {
  explicit OptionalCudnn(CudaContext& context) {
    try {
      cudnn = std::make_unique<Cudnn>(context);
    } catch (const Error& error) {
      problem = error.what();
    }
  }
  std::unique_ptr<Cudnn> cudnn;
  std::string problem;
};

}  // namespace

bool convolveInLibrary(CudaContext& context, const ConvolutionGeometry& geometry,
                       ConvolutionPass pass, const ConvolutionData& data) {
  const auto& optional = context.kept<OptionalCudnn>();
  return optional.cudnn && optional.cudnn->convolve(geometry, pass, data);
}

std::string convolutionLibrary(CudaContext& context) {
  const auto& optional = context.kept<OptionalCudnn>();
  return optional.cudnn ? optional.cudnn->name() : optional.problem;
}

}  // namespace meshplan
