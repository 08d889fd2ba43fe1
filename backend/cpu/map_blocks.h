// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <span>
#include <type_traits>
#include <vector>

#include "backend/cpu/blocks.h"
#include "backend/cpu/broadcast_runs.h"
#include "backend/cpu/parallel.h"

namespace meshplan {

/// Blocks of several operands while rows go by.
template <class A>
class BlockReader {
 public:
  BlockReader(std::span<const TensorView> inputs, const BroadcastRuns& runs)
      : inputs_(inputs),
        runs_(runs),
        buffers_(inputs.size()),
        index_(runs.extents.size()),
        offsets_(inputs.size()),
        pointers_(inputs.size()) {
    for (size_t i = 0; i < inputs.size(); ++i)
      if (needsBuffer(i)) buffers_[i].resize(kBlock);
  }

  void seek(int64_t row) {
    for (size_t d = index_.size(); d-- > 0;) {
      index_[d] = row % runs_.extents[d];
      row /= runs_.extents[d];
    }
    for (size_t i = 0; i < offsets_.size(); ++i) {
      offsets_[i] = 0;
      for (size_t d = 0; d < index_.size(); ++d) offsets_[i] += index_[d] * runs_.strides[i][d];
    }
    enterRow();
  }

  void next() {
    for (size_t d = index_.size(); d-- > 0;) {
      const bool wraps = ++index_[d] == runs_.extents[d];
      const int64_t steps = wraps ? 1 - runs_.extents[d] : 1;
      for (size_t i = 0; i < offsets_.size(); ++i) offsets_[i] += steps * runs_.strides[i][d];
      if (!wraps) break;
      index_[d] = 0;
    }
    enterRow();
  }

  const A* const* load(int64_t at, int64_t count) {
    for (size_t i = 0; i < offsets_.size(); ++i)
      pointers_[i] = runs_.constant[i]
                         ? buffers_[i].data()
                         : loadBlock(inputs_[i], offsets_[i] + at, count, buffers_[i].data());
    return pointers_.data();
  }

 private:
  bool needsBuffer(size_t i) const {
    const DType t = inputs_[i].type.dtype;
    const bool same = (std::is_same_v<A, float> && (t == DType::f32 || t == DType::tf32)) ||
                      (std::is_same_v<A, double> && t == DType::f64) ||
                      (std::is_same_v<A, int64_t> && t == DType::i64);
    return runs_.constant[i] || !same;
  }

  void enterRow() {
    for (size_t i = 0; i < offsets_.size(); ++i) {
      if (!runs_.constant[i]) continue;
      A value;
      const A* at = loadBlock(inputs_[i], offsets_[i], 1, &value);
      std::fill_n(buffers_[i].data(), std::min(runs_.run, kBlock), *at);
    }
  }

  std::span<const TensorView> inputs_;
  const BroadcastRuns& runs_;
  std::vector<std::vector<A>> buffers_;
  std::vector<int64_t> index_, offsets_;
  std::vector<const A*> pointers_;
};

/// Elements [begin, end) of a result without broadcasting, or of rows.
template <class A, class Loop>
void mapSpan(BlockReader<A>& reader, const TensorView& out, int64_t outAt, int64_t begin,
             int64_t end, Loop& loop) {
  A buffer[kBlock];
  for (int64_t at = begin; at < end; at += kBlock) {
    const int64_t count = std::min(kBlock, end - at);
    A* target = blockTarget(out, outAt + at, buffer);
    loop(reader.load(at, count), target, count);
    if (target == buffer) storeBlock(out, outAt + at, count, target);
  }
}

/// out = loop(inputs), elementwise with broadcasting to the shape of `out`:
/// loop(const A* const* in, A* out, int64_t count) gets dense blocks of all inputs. `work` is the
/// cost of an element relative to an addition.
template <class A, class Loop>
void mapBroadcast(const CpuContext& context, std::span<const TensorView> inputs,
                  const TensorView& out, int64_t work, Loop&& loop) {
  std::vector<Shape> shapes;
  for (const TensorView& t : inputs) shapes.push_back(t.type.shape);
  const BroadcastRuns runs(out.type.shape, shapes);
  if (runs.rows == 0 || runs.run == 0) return;
  if (runs.rows == 1) {
    parallelRanges(context, runs.run, work, [&](int64_t begin, int64_t end) {
      BlockReader<A> reader(inputs, runs);
      reader.seek(0);
      mapSpan(reader, out, 0, begin, end, loop);
    });
    return;
  }
  parallelRanges(context, runs.rows, work * runs.run, [&](int64_t begin, int64_t end) {
    BlockReader<A> reader(inputs, runs);
    reader.seek(begin);
    for (int64_t row = begin; row < end; ++row) {
      mapSpan(reader, out, row * runs.run, 0, runs.run, loop);
      if (row + 1 < end) reader.next();
    }
  });
}

}  // namespace meshplan
