// SPDX-License-Identifier: Apache-2.0
#include "backend/constant_inputs.h"

#include <cstring>

#include "core/error.h"

namespace meshplan {
namespace {

/// The rows of dimension `dim` over and over until there are `extent`.
HostTensor repeated(const HostTensor& rows, size_t dim, int64_t extent) {
  TensorType type = rows.type();
  const int64_t have = type.shape[dim];
  type.shape[dim] = extent;
  HostTensor result(type);
  int64_t outer = 1, bytes = dtypeBytes(type.dtype);
  for (size_t d = 0; d < type.shape.size(); ++d)
    if (d != dim) (d < dim ? outer : bytes) *= type.shape[d];
  std::byte* to = result.bytes().data();
  for (int64_t o = 0; o < outer; ++o)
    for (int64_t i = 0; i < extent; ++i, to += bytes)
      std::memcpy(to, rows.bytes().data() + (o * have + i % have) * bytes,
                  static_cast<size_t>(bytes));
  return result;
}

}  // namespace

ConstantInputs::ConstantInputs(const Graph& graph, const std::map<std::string, HostTensor>& values,
                               int64_t referenceBatch, int64_t globalBatch) {
  for (size_t i = 0; i < graph.tensorCount(); ++i) {
    const Tensor& t = graph.tensor(TensorId(i));
    const auto found = values.find(t.name);
    if (t.kind != TensorKind::constant || found == values.end()) continue;
    if (found->second.type() != t.type)
      throw Error(ErrorKind::input, "its values are of another type or shape",
                  "use the values of this model")
          .at("constant '" + t.name + "'");
    const auto dim = static_cast<size_t>(std::max<int>(t.batchDim, 0));
    tensors_.push_back(t.batchDim < 0 ? found->second
                                      : repeated(found->second, dim,
                                                 t.type.shape[dim] * globalBatch / referenceBatch));
    views_[static_cast<uint32_t>(i)] = tensors_.back().view();
  }
}

StepInputs ConstantInputs::with(StepInputs data) const {
  data.insert(views_.begin(), views_.end());
  return data;
}

}  // namespace meshplan
