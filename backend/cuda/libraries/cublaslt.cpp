// SPDX-License-Identifier: Apache-2.0
#include <fmt/core.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <optional>
#include <unordered_map>

#include "backend/cuda/fastest.h"
#include "backend/cuda/libraries/cublaslt_functions.h"
#include "backend/cuda/matrix.h"
#include "backend/cuda/matrix_choices.h"
#include "core/error.h"

namespace meshplan {
namespace {

constexpr int kCandidates = 12;
constexpr int64_t kWorkspaceBytes = int64_t{32} << 20;
constexpr int kWorkspace = -10;  // purpose of scratch memory

template <class T>
using Descriptor = std::unique_ptr<T, cublasStatus_t (*)(T*)>;
using ProductDescriptor = Descriptor<cublasLtMatmulDescOpaque_t>;
using Layout = Descriptor<cublasLtMatrixLayoutOpaque_t>;
using Preference = Descriptor<cublasLtMatmulPreferenceOpaque_t>;

/// What tells products apart for the library: extents, strides, dtypes, epilogue, alignment.
using ProductKey = std::array<int64_t, 24>;

struct KeyHash {
  size_t operator()(const ProductKey& key) const {
    size_t hash = 0;
    for (int64_t v : key) hash = (hash ^ static_cast<size_t>(v)) * 0x9e3779b97f4a7c15;
    return hash;
  }
};

/// A product as the library has it: everything transposed, its matrices being column-major, so that
/// its A is our b.
struct CompiledProduct {
  ProductDescriptor product;
  Layout a, b, c;
  cublasLtMatmulAlgo_t algorithm = {};
};

cudaDataType_t dataType(DType type) {
  switch (type) {
    case DType::f64:
      return CUDA_R_64F;
    case DType::bf16:
      return CUDA_R_16BF;
    case DType::f16:
      return CUDA_R_16F;
    case DType::f32:
    case DType::tf32:
      return CUDA_R_32F;
    default:
      throw Error(ErrorKind::runtime, "the GPU does not multiply " + std::string(dtypeName(type)),
                  "use bf16, fp16, fp32 or fp64");
  }
}

/// Bytes that the address is a multiple of, 256 at most; so is none.
int64_t alignmentOf(const void* at) {
  const auto address = reinterpret_cast<uintptr_t>(at) | 256;
  return static_cast<int64_t>(address & (~address + 1));
}

/// alpha or beta in the type that the product is scaled in.
struct Scalar {
  Scalar(double value, DType type) : wide(value), narrow(static_cast<float>(value)), type(type) {}
  const void* data() const {
    return type == DType::f64 ? static_cast<const void*>(&wide) : &narrow;
  }
  double wide;
  float narrow;
  DType type;
};

cublasLtEpilogue_t epilogueOf(const MatrixProduct& p) {
  if (p.columnSums) return p.sumsOfA ? CUBLASLT_EPILOGUE_BGRADB : CUBLASLT_EPILOGUE_BGRADA;
  if (p.epilogue == MatrixEpilogue::relu)
    return p.bias ? CUBLASLT_EPILOGUE_RELU_BIAS : CUBLASLT_EPILOGUE_RELU;
  if (p.epilogue == MatrixEpilogue::gelu) {
    if (p.preActivation)
      return p.bias ? CUBLASLT_EPILOGUE_GELU_AUX_BIAS : CUBLASLT_EPILOGUE_GELU_AUX;
    return p.bias ? CUBLASLT_EPILOGUE_GELU_BIAS : CUBLASLT_EPILOGUE_GELU;
  }
  return p.bias ? CUBLASLT_EPILOGUE_BIAS : CUBLASLT_EPILOGUE_DEFAULT;
}

class CublasLt {
 public:
  explicit CublasLt(CudaContext& context)
      : context_(context),
        settings_(context.kept<MatrixSettings>()),
        choices_(context.kept<MatrixChoices>()) {
    check(lt_.create(&handle_), "cublasLtCreate");
  }
  ~CublasLt() { lt_.destroy(handle_); }
  CublasLt(const CublasLt&) = delete;
  CublasLt& operator=(const CublasLt&) = delete;

  bool multiply(const MatrixProduct& p) {
    const ProductKey key = keyOf(p);
    auto at = compiled_.find(key);
    if (at == compiled_.end()) at = compiled_.emplace(key, compile(p, key)).first;
    if (!at->second) return false;
    check(run(p, *at->second, at->second->algorithm, p.c.data), "cublasLtMatmul");
    return true;
  }
  std::string name() const { return "cuBLASLt " + lt_.version; }

 private:
  bool isTf32(const MatrixProduct& p) const {
    return p.a.dtype == DType::tf32 || (p.a.dtype == DType::f32 && settings_.tf32);
  }

  void check(cublasStatus_t status, const char* call) const {
    if (status != CUBLAS_STATUS_SUCCESS)
      context_.check(static_cast<int>(status), call, lt_.statusText(status));
  }

  ProductKey keyOf(const MatrixProduct& p) const {
    const ProductExtents& e = p.extents;
    return {e.m,
            e.n,
            e.k,
            e.batch,
            p.a.row,
            p.a.column,
            p.a.batch,
            p.b.row,
            p.b.column,
            p.b.batch,
            p.c.row,
            p.c.batch,
            static_cast<int64_t>(p.a.dtype),
            static_cast<int64_t>(p.c.dtype),
            isTf32(p),
            p.accumulate,
            epilogueOf(p),
            p.biasStride,
            alignmentOf(p.a.data),
            alignmentOf(p.b.data),
            alignmentOf(p.c.data),
            alignmentOf(p.bias),
            alignmentOf(p.preActivation),
            alignmentOf(p.columnSums)};
  }

  std::string textOf(const MatrixProduct& p, const ProductKey& key) const {
    return fmt::format("{} sm_{} {}{}: {}", name(), context_.capability(), productText(p),
                       isTf32(p) ? " tf32" : "", fmt::join(key, " "));
  }

  void set(const ProductDescriptor& d, cublasLtMatmulDescAttributes_t attribute,
           const auto& value) const {
    check(lt_.productSet(d.get(), attribute, &value, sizeof value),
          "cublasLtMatmulDescSetAttribute");
  }
  void set(const Layout& d, cublasLtMatrixLayoutAttribute_t attribute, const auto& value) const {
    check(lt_.layoutSet(d.get(), attribute, &value, sizeof value),
          "cublasLtMatrixLayoutSetAttribute");
  }
  void set(const Preference& d, cublasLtMatmulPreferenceAttributes_t attribute,
           const auto& value) const {
    check(lt_.preferenceSet(d.get(), attribute, &value, sizeof value),
          "cublasLtMatmulPreferenceSetAttribute");
  }

  ProductDescriptor productOf(const MatrixProduct& p) const {
    const bool wide = p.a.dtype == DType::f64;
    const cublasComputeType_t compute = wide        ? CUBLAS_COMPUTE_64F
                                        : isTf32(p) ? CUBLAS_COMPUTE_32F_FAST_TF32
                                                    : CUBLAS_COMPUTE_32F;
    cublasLtMatmulDesc_t made = nullptr;
    check(lt_.productCreate(&made, compute, wide ? CUDA_R_64F : CUDA_R_32F),
          "cublasLtMatmulDescCreate");
    ProductDescriptor d(made, lt_.productDestroy);
    const auto operation = [](const Matrices& x) {
      return static_cast<int32_t>(x.column == 1 ? CUBLAS_OP_N : CUBLAS_OP_T);
    };
    set(d, CUBLASLT_MATMUL_DESC_TRANSA, operation(p.b));
    set(d, CUBLASLT_MATMUL_DESC_TRANSB, operation(p.a));
    set(d, CUBLASLT_MATMUL_DESC_EPILOGUE, static_cast<uint32_t>(epilogueOf(p)));
    if (p.bias && p.extents.batch > 1) set(d, CUBLASLT_MATMUL_DESC_BIAS_BATCH_STRIDE, p.biasStride);
    if (p.preActivation) {
      set(d, CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD, p.extents.n);
      if (p.extents.batch > 1)
        set(d, CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_BATCH_STRIDE, p.extents.m * p.extents.n);
    }
    return d;
  }

  /// Pointers of the epilogue; heuristics read their alignment.
  void point(const MatrixProduct& p, const ProductDescriptor& d) const {
    const void* beside = p.columnSums ? p.columnSums : p.bias;
    if (beside) set(d, CUBLASLT_MATMUL_DESC_BIAS_POINTER, beside);
    if (p.preActivation) set(d, CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER, p.preActivation);
  }

  /// Of a rows x columns matrix of ours, which the library sees transposed.
  Layout layoutOf(const Matrices& x, int64_t rows, int64_t columns, int64_t batch) const {
    const bool plain = x.column == 1;
    cublasLtMatrixLayout_t made = nullptr;
    check(lt_.layoutCreate(&made, dataType(x.dtype), static_cast<uint64_t>(plain ? columns : rows),
                           static_cast<uint64_t>(plain ? rows : columns), plain ? x.row : x.column),
          "cublasLtMatrixLayoutCreate");
    Layout layout(made, lt_.layoutDestroy);
    if (batch > 1) {
      set(layout, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, static_cast<int32_t>(batch));
      set(layout, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, x.batch);
    }
    return layout;
  }

  Preference preferenceOf(const MatrixProduct& p) const {
    cublasLtMatmulPreference_t made = nullptr;
    check(lt_.preferenceCreate(&made), "cublasLtMatmulPreferenceCreate");
    Preference d(made, lt_.preferenceDestroy);
    const auto aligned = [](const Matrices& x) {
      return static_cast<uint32_t>(alignmentOf(x.data));
    };
    set(d, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, static_cast<uint64_t>(kWorkspaceBytes));
    set(d, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, aligned(p.b));
    set(d, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, aligned(p.a));
    set(d, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, aligned(p.c));
    set(d, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, aligned(p.c));
    return d;
  }

  std::vector<cublasLtMatmulAlgo_t> candidates(const MatrixProduct& p,
                                               const CompiledProduct& c) const {
    const Preference preference = preferenceOf(p);
    std::array<cublasLtMatmulHeuristicResult_t, kCandidates> results;
    int count = 0;
    const cublasStatus_t status =
        lt_.heuristic(handle_, c.product.get(), c.a.get(), c.b.get(), c.c.get(), c.c.get(),
                      preference.get(), kCandidates, results.data(), &count);
    std::vector<cublasLtMatmulAlgo_t> found;
    // A refusal is an answer; other failures are those of the device.
    if (status == CUBLAS_STATUS_NOT_SUPPORTED || status == CUBLAS_STATUS_INVALID_VALUE)
      return found;
    check(status, "cublasLtMatmulAlgoGetHeuristic");
    for (int i = 0; i < count; ++i)
      if (results[static_cast<size_t>(i)].state == CUBLAS_STATUS_SUCCESS)
        found.push_back(results[static_cast<size_t>(i)].algo);
    return found;
  }

  /// One that a profile store gave us, if this device still takes it.
  bool restore(const MatrixChoice& choice, CompiledProduct& c) const {
    if (choice.algorithm.size() != sizeof c.algorithm) return false;
    std::memcpy(&c.algorithm, choice.algorithm.data(), sizeof c.algorithm);
    cublasLtMatmulHeuristicResult_t result = {};
    return lt_.algorithmCheck(handle_, c.product.get(), c.a.get(), c.b.get(), c.c.get(), c.c.get(),
                              &c.algorithm, &result) == CUBLAS_STATUS_SUCCESS &&
           result.workspaceSize <= static_cast<size_t>(kWorkspaceBytes);
  }

  std::optional<CompiledProduct> compile(const MatrixProduct& p, const ProductKey& key) {
    const ProductExtents& e = p.extents;
    CompiledProduct c{productOf(p), layoutOf(p.b, e.k, e.n, e.batch),
                      layoutOf(p.a, e.m, e.k, e.batch), layoutOf(p.c, e.m, e.n, e.batch)};
    point(p, c.product);
    const std::string text = textOf(p, key);
    if (const MatrixChoice* known = choices_.find(text); known && restore(*known, c)) return c;
    const std::vector<cublasLtMatmulAlgo_t> found = candidates(p, c);
    if (found.empty()) return std::nullopt;
    c.algorithm = found[0];
    if (settings_.timesCandidates && !context_.captures()) choose(p, found, text, c);
    return c;
  }

  /// Times the candidates, on another c where the product adds to it.
  void choose(const MatrixProduct& p, const std::vector<cublasLtMatmulAlgo_t>& found,
              const std::string& text, CompiledProduct& c) {
    const ProductExtents& e = p.extents;
    const int64_t elements = (e.batch - 1) * p.c.batch + (e.m - 1) * p.c.row + e.n;
    const TemporaryMemory beside(p.accumulate ? elements * dtypeBytes(p.c.dtype) : 0);
    if (p.accumulate && !beside.data()) return;
    void* const to = p.accumulate ? beside.data() : p.c.data;
    const auto fastest = fastestOf(context_, found.size(), [&](size_t i) {
      return run(p, c, found[i], to) == CUBLAS_STATUS_SUCCESS;
    });
    if (!fastest) return;
    c.algorithm = found[fastest->index];
    MatrixChoice choice{text, std::vector<std::byte>(sizeof c.algorithm), fastest->seconds};
    std::memcpy(choice.algorithm.data(), &c.algorithm, sizeof c.algorithm);
    choices_.addTimed(std::move(choice));
  }

  cublasStatus_t run(const MatrixProduct& p, const CompiledProduct& c,
                     const cublasLtMatmulAlgo_t& algorithm, void* to) {
    const Scalar alpha(p.scale, p.a.dtype), beta(p.accumulate ? 1 : 0, p.a.dtype);
    point(p, c.product);
    return lt_.matmul(handle_, c.product.get(), alpha.data(), p.b.data, c.a.get(), p.a.data,
                      c.b.get(), beta.data(), to, c.c.get(), to, c.c.get(), &algorithm,
                      context_.scratch(kWorkspaceBytes, kWorkspace),
                      static_cast<size_t>(kWorkspaceBytes), context_.stream());
  }

  CudaContext& context_;
  const MatrixSettings& settings_;
  MatrixChoices& choices_;
  CublasLtFunctions lt_;
  cublasLtHandle_t handle_ = nullptr;
  std::unordered_map<ProductKey, std::optional<CompiledProduct>, KeyHash> compiled_;
};

}  // namespace

bool multiplyInLibrary(CudaContext& context, const MatrixProduct& product) {
  return context.kept<CublasLt>().multiply(product);
}

std::string matrixLibrary(CudaContext& context) {
  return context.kept<CublasLt>().name();
}

}  // namespace meshplan
