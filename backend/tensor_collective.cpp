// SPDX-License-Identifier: Apache-2.0
#include "backend/tensor_collective.h"

#include <algorithm>

namespace meshplan {
namespace {

/// A dimension seen from outside: `rows` runs of `bytes` each.
struct Rows {
  int64_t rows = 1, bytes = 1;
};

Rows rowsOf(const TensorType& type, int dim) {
  Rows r;
  r.bytes = dtypeBytes(type.dtype);
  for (size_t d = 0; d < type.shape.size(); ++d)
    (static_cast<int>(d) < dim ? r.rows : r.bytes) *= type.shape[d];
  return r;
}

std::byte* bytesOf(const TensorView& view) {
  return view.as<std::byte>();
}

}  // namespace

std::byte* TensorCollective::staging(int which, int64_t bytes) {
  if (stagingBytes_[which] < bytes) {
    staging_[which] =
        static_cast<std::byte*>(device_.allocate(bytes, "packed parts of a collective"));
    stagingBytes_[which] = bytes;
  }
  return staging_[which];
}

void TensorCollective::allReduce(Communicator& group, const TensorView& in, const TensorView& out) {
  const int64_t bytes = in.type.bytes().value;
  if (out.data != in.data) device_.copyRows(out.data, bytes, in.data, bytes, bytes, 1);
  group.allReduce(out.data, out.type.elements(), out.type.dtype, ReduceOp::sum);
}

void TensorCollective::reduceScatter(Communicator& group, const TensorView& in,
                                     const TensorView& out, int cut) {
  const int64_t ranks = group.size(), part = out.type.bytes().value;
  const Rows whole = rowsOf(in.type, cut), own = rowsOf(out.type, cut);
  const void* packed = in.data;
  if (own.rows > 1) {
    std::byte* to = staging(0, ranks * part);
    for (int64_t r = 0; r < ranks; ++r)
      device_.copyRows(to + r * part, own.bytes, bytesOf(in) + r * own.bytes, whole.bytes,
                       own.bytes, own.rows);
    packed = to;
  }
  group.reduceScatter(packed, out.data, out.type.elements(), out.type.dtype);
}

void TensorCollective::allGather(Communicator& group, const TensorView& in, const TensorView& out,
                                 int join) {
  const int64_t ranks = group.size(), part = in.type.bytes().value;
  const Rows whole = rowsOf(out.type, join), own = rowsOf(in.type, join);
  if (own.rows == 1) return group.allGather(in.data, out.data, part);
  std::byte* parts = staging(0, ranks * part);
  group.allGather(in.data, parts, part);
  for (int64_t r = 0; r < ranks; ++r)
    device_.copyRows(bytesOf(out) + r * own.bytes, whole.bytes, parts + r * part, own.bytes,
                     own.bytes, own.rows);
}

void TensorCollective::allToAll(Communicator& group, const TensorView& in, const TensorView& out,
                                int cut, int join) {
  const int64_t ranks = group.size(), part = in.type.bytes().value / ranks;
  TensorType partType = in.type;
  partType.shape[static_cast<size_t>(cut)] /= ranks;
  std::byte *to = staging(0, ranks * part), *from = staging(1, ranks * part);
  const Rows source = rowsOf(in.type, cut), cutRows = rowsOf(partType, cut);
  for (int64_t r = 0; r < ranks; ++r)
    device_.copyRows(to + r * part, cutRows.bytes, bytesOf(in) + r * cutRows.bytes, source.bytes,
                     cutRows.bytes, cutRows.rows);
  group.allToAll(to, from, part);
  const Rows target = rowsOf(out.type, join), joinRows = rowsOf(partType, join);
  for (int64_t r = 0; r < ranks; ++r)
    device_.copyRows(bytesOf(out) + r * joinRows.bytes, target.bytes, from + r * part,
                     joinRows.bytes, joinRows.bytes, joinRows.rows);
}

void TensorCollective::slice(int64_t part, const TensorView& in, const TensorView& out, int cut) {
  const Rows whole = rowsOf(in.type, cut), own = rowsOf(out.type, cut);
  device_.copyRows(out.data, own.bytes, bytesOf(in) + part * own.bytes, whole.bytes, own.bytes,
                   own.rows);
}

}  // namespace meshplan
