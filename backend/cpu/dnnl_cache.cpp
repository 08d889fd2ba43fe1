// SPDX-License-Identifier: Apache-2.0
#include "backend/cpu/dnnl_cache.h"

#include <omp.h>

#include <string>

#include "core/error.h"

namespace meshplan {

dnnl::memory::data_type dnnlType(DType dtype) {
  using Type = dnnl::memory::data_type;
  if (dtype == DType::f32 || dtype == DType::tf32) return Type::f32;
  if (dtype == DType::bf16) return Type::bf16;
  if (dtype == DType::u8) return Type::u8;
  if (dtype == DType::i32) return Type::s32;
  throw Error(ErrorKind::runtime, "oneDNN has no " + std::string(dtypeName(dtype)),
              "use fp32, fp64 or bf16");
}

DnnlOperation::DnnlOperation(const dnnl::engine& engine, dnnl::primitive primitive,
                             const std::vector<std::pair<int, dnnl::memory::desc>>& arguments)
    : primitive_(std::move(primitive)) {
  for (const auto& [argument, desc] : arguments)
    arguments_.emplace(argument, dnnl::memory(desc, engine, DNNL_MEMORY_NONE));
}

void DnnlOperation::run(dnnl::stream& stream, std::initializer_list<std::pair<int, void*>> data) {
  for (const auto& [argument, pointer] : data) arguments_.at(argument).set_data_handle(pointer);
  primitive_.execute(stream, arguments_);
}

size_t DnnlCache::hash(const Key& key) {
  uint64_t hash = 0xcbf29ce484222325;
  for (int64_t v : key) {
    hash = (hash ^ static_cast<uint64_t>(v)) * 0x9e3779b97f4a7c15;
    hash ^= hash >> 29;
  }
  return hash;
}

DnnlCache& dnnlCache(CpuContext& context, int threads) {
  omp_set_num_threads(threads > 0 ? threads : context.threads());
  return context.kept<DnnlCache>();
}

}  // namespace meshplan
