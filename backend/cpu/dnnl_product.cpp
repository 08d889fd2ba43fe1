// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <omp.h>

#include <bit>

#include "backend/cpu/dnnl_cache.h"
#include "backend/cpu/onednn.h"
#include "backend/cpu/product.h"

namespace meshplan {
namespace {

dnnl::memory::desc matrixDesc(const Matrices& x, int64_t batch, int64_t rows, int64_t columns) {
  if (batch == 1) return {{rows, columns}, dnnlType(x.dtype), dnnl::memory::dims{x.row, x.column}};
  return {{batch, rows, columns},
          dnnlType(x.dtype),
          dnnl::memory::dims{std::max<int64_t>(x.batch, 1), x.row, x.column}};
}

dnnl::memory::desc biasDesc(const TensorView& bias, int64_t batch, int64_t n) {
  dnnl::memory::dims dims(batch == 1 ? 2 : 3, 1), strides(dims.size(), n);
  dims.back() = n;
  strides.back() = 1;
  return {dims, dnnlType(bias.type.dtype), strides};
}

DnnlOperation makeMatmul(const dnnl::engine& engine, const ProductExtents& e, const Matrices& a,
                         const Matrices& b, const Matrices& c, const ProductOptions& options) {
  dnnl::primitive_attr attributes;
  if (options.scale != 1) attributes.set_output_scales(0, {static_cast<float>(options.scale)});
  dnnl::post_ops add;
  if (options.accumulate) add.append_sum(1.0f);
  attributes.set_post_ops(add);
  const auto left = matrixDesc(a, e.batch, e.m, e.k), right = matrixDesc(b, e.batch, e.k, e.n);
  const auto result = matrixDesc(c, e.batch, e.m, e.n);
  std::vector<std::pair<int, dnnl::memory::desc>> arguments{
      {DNNL_ARG_SRC, left}, {DNNL_ARG_WEIGHTS, right}, {DNNL_ARG_DST, result}};
  dnnl::matmul::desc desc(left, right, result);
  if (options.bias) {
    arguments.emplace_back(DNNL_ARG_BIAS, biasDesc(*options.bias, e.batch, e.n));
    desc = dnnl::matmul::desc(left, right, arguments.back().second, result);
  }
  return {engine, dnnl::matmul({desc, attributes, engine}), arguments};
}

bool computesBf16(CpuContext& context) {
  struct Answer {
    int known = -1;
  };
  int& known = context.kept<Answer>().known;
  if (known >= 0) return known;
  const dnnl::memory::desc matrix({16, 16}, dnnl::memory::data_type::bf16,
                                  dnnl::memory::format_tag::ab);
  try {
    dnnl::matmul::primitive_desc({matrix, matrix, matrix}, dnnlCache(context).engine());
    known = 1;
  } catch (const dnnl::error&) {
    known = 0;
  }
  return known;
}

}  // namespace

bool multiplyDnnl(CpuContext& context, const ProductExtents& e, const Matrices& a,
                  const Matrices& b, const Matrices& c, const ProductOptions& options) {
  if (a.dtype == DType::bf16 && !computesBf16(context)) return false;
  DnnlCache& cache = dnnlCache(context, productThreads(context, e));
  const int64_t biasType = options.bias ? static_cast<int64_t>(options.bias->type.dtype) : -1;
  DnnlOperation& product =
      cache.get({static_cast<int64_t>(DnnlKind::matmul), e.m, e.n, e.k, e.batch, a.row, a.column,
                 a.batch, b.row, b.column, b.batch, c.row, c.batch, static_cast<int64_t>(a.dtype),
                 static_cast<int64_t>(c.dtype), options.accumulate,
                 std::bit_cast<int64_t>(options.scale), biasType},
                [&] { return makeMatmul(cache.engine(), e, a, b, c, options); });
  if (options.bias)
    product.run(cache.stream(), {{DNNL_ARG_SRC, a.data},
                                 {DNNL_ARG_WEIGHTS, b.data},
                                 {DNNL_ARG_DST, c.data},
                                 {DNNL_ARG_BIAS, options.bias->data}});
  else
    product.run(cache.stream(),
                {{DNNL_ARG_SRC, a.data}, {DNNL_ARG_WEIGHTS, b.data}, {DNNL_ARG_DST, c.data}});
  omp_set_num_threads(context.threads());
  return true;
}

void multiplyHere(const ProductExtents& e, float scale, Stored<float> a, Stored<float> b,
                  float keep, float* c, int64_t leading) {
  if (e.m == 0 || e.n == 0) return;
  dnnl::sgemm(a.transposed ? 'T' : 'N', b.transposed ? 'T' : 'N', e.m, e.n, e.k, scale, a.data,
              a.leading, b.data, b.leading, keep, c, leading);
}

void prepareDnnl(CpuContext& context) {
  dnnlCache(context);
}

std::string dnnlName() {
  const dnnl_version_t* version = dnnl_version();
  return fmt::format("oneDNN {}.{}.{}", version->major, version->minor, version->patch);
}

}  // namespace meshplan
