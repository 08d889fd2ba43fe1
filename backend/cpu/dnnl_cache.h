// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <oneapi/dnnl/dnnl.hpp>
#include <unordered_map>
#include <utility>
#include <vector>

#include "backend/cpu/cpu_kernels.h"

namespace meshplan {

/// fp32, bf16, and the integers that oneDNN knows. Throws Error(runtime) for others.
dnnl::memory::data_type dnnlType(DType dtype);

/// A compiled oneDNN primitive with its arguments' memory objects.
class DnnlOperation {
 public:
  DnnlOperation(const dnnl::engine& engine, dnnl::primitive primitive,
                const std::vector<std::pair<int, dnnl::memory::desc>>& arguments);

  /// Binds data to arguments and runs; arguments not named keep what they were bound to.
  void run(dnnl::stream& stream, std::initializer_list<std::pair<int, void*>> data);

 private:
  dnnl::primitive primitive_;
  std::unordered_map<int, dnnl::memory> arguments_;
};

/// What a rank has compiled, by a key that holds everything the primitive depends on (the first
/// entry tells kinds apart). One per CpuContext, so that ranks share nothing.
class DnnlCache {
 public:
  using Key = std::vector<int64_t>;

  static size_t hash(const Key& key);

  const dnnl::engine& engine() const { return engine_; }
  dnnl::stream& stream() { return stream_; }

  template <class Make>
  DnnlOperation& get(Key key, Make&& make) {
    const auto at = operations_.find(key);
    if (at != operations_.end()) return at->second;
    return operations_.emplace(std::move(key), make()).first->second;
  }

 private:
  struct Hash {
    size_t operator()(const Key& key) const { return hash(key); }
  };

  dnnl::engine engine_{dnnl::engine::kind::cpu, 0};
  dnnl::stream stream_{engine_};
  std::unordered_map<Key, DnnlOperation, Hash> operations_;
};

/// The context's cache, with OpenMP's setting of the calling thread at `threads`, or at the
/// context's. A primitive must always run with the number of threads it was made under.
DnnlCache& dnnlCache(CpuContext& context, int threads = 0);

/// First entries of keys.
enum class DnnlKind : int64_t { matmul };

}  // namespace meshplan
