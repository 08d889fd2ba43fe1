// SPDX-License-Identifier: Apache-2.0
#include <cudnn.h>
#include <fmt/core.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <optional>
#include <span>
#include <unordered_map>

#include "backend/cuda/channels_last.h"
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
constexpr int64_t kMostMoved = int64_t{1} << 30;  // of operands with their channels last
// Purposes of scratch memory.
constexpr int kWorkspace = -24, kNarrow = -25, kLastX = -27, kLastW = -28, kLastY = -29;

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
  bool channelsLast = false;  // with operands that are moved there and back
  int algorithm = 0;
  size_t workspace = 0;
};

constexpr int kChannelsLast = 0x100;  // beside the algorithm in a choice that is kept

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

std::vector<int> denseStrides(const std::vector<int>& shape, bool channelsLast) {
  std::vector<int> strides(shape.size(), 1);
  const size_t last = channelsLast ? 2 : 1;  // the outermost dimension but the batch
  if (channelsLast) strides.back() = shape[1];
  for (size_t d = shape.size(); d-- > last;) strides[d - 1] = strides[d] * shape[d];
  if (channelsLast) {
    strides[0] = strides[1];
    strides[1] = 1;
  }
  return strides;
}

/// Images in 16 bits, whose tensor cores read channels.
bool mayHaveChannelsLast(const ConvolutionGeometry& g, const ConvolutionData& d) {
  const int64_t bytes = d.x.type.bytes().value + d.w.type.bytes().value + d.y.type.bytes().value;
  return g.in.size() == 2 && g.groups == 1 && dtypeBytes(d.x.type.dtype) == 2 && !d.bias &&
         !d.accumulate && bytes <= kMostMoved;
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
    check(run(c, pass, d, written(pass, d).data), "cudnnConvolution");
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
        "{} dilations {} before {} y {}{}",
        name(), context_.capability(), static_cast<int>(pass), dtypeName(d.x.type.dtype),
        settings_.tf32, adds(d), g.groups, shapeText(d.x.type.shape), shapeText(d.w.type.shape),
        shapeText(g.strides), shapeText(g.dilations), shapeText(g.before),
        shapeText(d.y.type.shape), mayHaveChannelsLast(g, d) ? " either layout" : "");
  }

  template <class T>
  Descriptor<T> made(cudnnStatus_t (*create)(T*), cudnnStatus_t (*destroy)(T)) const {
    T descriptor = nullptr;
    check(create(&descriptor), "cudnnCreate a descriptor");
    return Descriptor<T>(descriptor, destroy);
  }

  Descriptor<cudnnTensorDescriptor_t> tensor(const TensorType& type, bool channelsLast) const {
    auto d = made(dnn_.tensorCreate, dnn_.tensorDestroy);
    const std::vector<int> shape = ints(type.shape, 1, 4),
                           strides = denseStrides(shape, channelsLast);
    check(dnn_.tensorSet(d.get(), dataType(type.dtype), static_cast<int>(shape.size()),
                         shape.data(), strides.data()),
          "cudnnSetTensorNdDescriptor");
    return d;
  }

  Descriptor<cudnnFilterDescriptor_t> filter(const TensorType& type, bool channelsLast) const {
    auto d = made(dnn_.filterCreate, dnn_.filterDestroy);
    const std::vector<int> shape = ints(type.shape, 1, 4);
    check(dnn_.filterSet(d.get(), dataType(type.dtype),
                         channelsLast ? CUDNN_TENSOR_NHWC : CUDNN_TENSOR_NCHW,
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

  /// Empty when the library does not do this convolution so. `code`: the algorithm, and how its
  /// operands lie.
  std::optional<CompiledConvolution> candidate(const ConvolutionGeometry& g, ConvolutionPass pass,
                                               const ConvolutionData& d, int code) const {
    const bool last = code & kChannelsLast;
    CompiledConvolution c{tensor(d.x.type, last),
                          tensor(d.y.type, last),
                          filter(d.w.type, last),
                          convolution(g, d.x.type.dtype),
                          last,
                          code & ~kChannelsLast};
    const auto bytes = workspaceOf(c, pass, c.algorithm);
    if (!bytes) return std::nullopt;
    c.workspace = *bytes;
    return c;
  }

  static std::vector<int> codesFor(const ConvolutionGeometry& g, ConvolutionPass pass,
                                   const ConvolutionData& d) {
    using Algorithms = std::span<const int>;
    const Algorithms algorithms = pass == ConvolutionPass::output  ? Algorithms(kForward)
                                  : pass == ConvolutionPass::input ? Algorithms(kInput)
                                                                   : Algorithms(kWeights);
    std::vector<int> codes(algorithms.begin(), algorithms.end());
    if (mayHaveChannelsLast(g, d))
      for (const int a : algorithms) codes.push_back(a | kChannelsLast);
    return codes;
  }

  std::optional<CompiledConvolution> compile(const ConvolutionGeometry& g, ConvolutionPass pass,
                                             const ConvolutionData& d, const std::string& key) {
    if (const MatrixChoice* known = choices_.find(key); known && known->algorithm.size() == 4) {
      int code = 0;
      std::memcpy(&code, known->algorithm.data(), sizeof code);
      if (auto c = candidate(g, pass, d, code)) return c;
    }
    std::vector<CompiledConvolution> candidates;
    for (const int code : codesFor(g, pass, d))
      if (auto c = candidate(g, pass, d, code)) candidates.push_back(std::move(*c));
    if (candidates.empty()) return std::nullopt;
    size_t best = 0;
    if (settings_.timesCandidates && !context_.captures()) {
      const auto fastest = timed(candidates, pass, d, key);
      if (!fastest) return std::nullopt;
      best = *fastest;
    }
    return std::move(candidates[best]);
  }

  std::optional<size_t> timed(const std::vector<CompiledConvolution>& candidates,
                              ConvolutionPass pass, const ConvolutionData& d,
                              const std::string& key) {
    const TensorView& to = written(pass, d);
    const TemporaryMemory beside(adds(d) ? to.type.bytes().value : 0);
    if (adds(d) && !beside.data()) return 0;
    void* const at = adds(d) ? beside.data() : to.data;
    size_t most = 0;
    for (const CompiledConvolution& c : candidates) most = std::max(most, c.workspace);
    context_.scratch(static_cast<int64_t>(most), kWorkspace);
    const auto fastest = fastestOf(context_, candidates.size(), [&](size_t i) {
      return run(candidates[i], pass, d, at) == CUDNN_STATUS_SUCCESS;
    });
    if (!fastest) return std::nullopt;
    const CompiledConvolution& c = candidates[fastest->index];
    const int code = c.algorithm | (c.channelsLast ? kChannelsLast : 0);
    MatrixChoice choice{key, std::vector<std::byte>(sizeof code), fastest->seconds};
    std::memcpy(choice.algorithm.data(), &code, sizeof code);
    choices_.addTimed(std::move(choice));
    return fastest->index;
  }

  /// Where the channels have to be last, what is read is moved before, what is written after.
  cudnnStatus_t run(const CompiledConvolution& c, ConvolutionPass pass, const ConvolutionData& d,
                    void* to) {
    if (!c.channelsLast) return runAsItLies(c, pass, d, to);
    ConvolutionData last = d;
    const auto move = [&](TensorView& view, int purpose, bool isRead) {
      const TensorView first = view;
      view.data = context_.scratch(view.type.bytes().value, purpose);
      if (isRead) toChannelsLast(context_, first, view.data);
    };
    move(last.x, kLastX, pass != ConvolutionPass::input);
    move(last.w, kLastW, pass != ConvolutionPass::weights);
    move(last.y, kLastY, pass != ConvolutionPass::output);
    void* const made = written(pass, last).data;
    const cudnnStatus_t status = runAsItLies(c, pass, last, made);
    if (status == CUDNN_STATUS_SUCCESS)
      fromChannelsLast(context_, made, {to, written(pass, d).type});
    return status;
  }

  cudnnStatus_t runAsItLies(const CompiledConvolution& c, ConvolutionPass pass,
                            const ConvolutionData& d, void* to) {
    const int algorithm = c.algorithm;
    const size_t bytes = c.workspace;
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
