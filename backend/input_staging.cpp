// SPDX-License-Identifier: Apache-2.0
#include "backend/input_staging.h"

#include <fmt/core.h>

#include <cstring>

#include "core/error.h"

namespace meshplan {
namespace {

/// Copies part `index` of `parts` of dimension `dim` of a dense tensor, whose extent there shrinks
/// to the part's.
void takePart(Shape& shape, int64_t elementBytes, int dim, int64_t index, int64_t parts,
              std::vector<std::byte>& from, std::vector<std::byte>& to) {
  int64_t rows = 1, bytes = elementBytes;
  for (size_t d = 0; d < shape.size(); ++d) (static_cast<int>(d) < dim ? rows : bytes) *= shape[d];
  const int64_t part = bytes / parts;
  to.resize(static_cast<size_t>(rows * part));
  for (int64_t r = 0; r < rows; ++r)
    std::memcpy(to.data() + r * part, from.data() + r * bytes + index * part,
                static_cast<size_t>(part));
  shape[static_cast<size_t>(dim)] /= parts;
  from.swap(to);
}

}  // namespace

const std::byte* InputStaging::rows(const TensorView& all, const Operand& operand,
                                    int64_t microBatch) {
  const Tensor& tensor = graph_.tensor(TensorId(operand.index));
  const auto* data = all.as<std::byte>();
  if (tensor.batchDim < 0) return data;
  const int64_t groups = program_.microBatches * program_.mesh.data;
  const int64_t group = microBatch * program_.mesh.data + coordinate(MeshAxis::data);
  int64_t outer = 1, bytes = dtypeBytes(all.type.dtype);
  for (size_t d = 0; d < all.type.shape.size(); ++d)
    (static_cast<int>(d) < tensor.batchDim ? outer : bytes) *= all.type.shape[d];
  const int64_t part = bytes / groups;
  if (outer == 1) return data + group * part;
  gathered_.resize(static_cast<size_t>(outer * part));
  for (int64_t r = 0; r < outer; ++r)
    std::memcpy(gathered_.data() + r * part, data + r * bytes + group * part,
                static_cast<size_t>(part));
  return gathered_.data();
}

std::byte*& InputStaging::placeOf(const Operand& operand, int64_t microBatch) {
  const bool own = device_.hasStreams() && graph_.tensor(TensorId(operand.index)).batchDim >= 0;
  return staged_[{operand.index, operand.tensorDim, operand.expertDim, own ? microBatch : 0}];
}

void* InputStaging::fetch(const StepInputs& inputs, const Operand& operand, int64_t microBatch) {
  return device_.hasStreams() ? placeOf(operand, microBatch) : stage(inputs, operand, microBatch);
}

void* InputStaging::stage(const StepInputs& inputs, const Operand& operand, int64_t microBatch) {
  const Tensor& tensor = graph_.tensor(TensorId(operand.index));
  const auto found = inputs.find(operand.index);
  if (found == inputs.end())
    throw Error(ErrorKind::usage, fmt::format("no data for input '{}'", tensor.name),
                "give values for every input of the model");
  const TensorView& all = found->second;
  const MeshShape& mesh = program_.mesh;
  const int64_t tensorParts = operand.tensorDim >= 0 ? mesh.tensor : 1;
  const int64_t expertParts = operand.expertDim >= 0 ? mesh.expert : 1;
  const int64_t groups = tensor.batchDim >= 0 ? program_.microBatches * mesh.data : 1;
  if (all.type.dtype != operand.type.dtype ||
      all.type.elements() != operand.type.elements() * tensorParts * expertParts * groups)
    throw Error(ErrorKind::usage,
                fmt::format("input '{}' is {} {}, which does not make {} parts of {} {}",
                            tensor.name, dtypeName(all.type.dtype), shapeText(all.type.shape),
                            tensorParts * expertParts * groups, dtypeName(operand.type.dtype),
                            shapeText(operand.type.shape)),
                "give data of the model's dtype and of the global batch");

  const std::byte* from = rows(all, operand, microBatch);
  if (tensorParts * expertParts > 1) {
    Shape shape = operand.type.shape;
    if (operand.tensorDim >= 0) shape[static_cast<size_t>(operand.tensorDim)] *= tensorParts;
    if (operand.expertDim >= 0) shape[static_cast<size_t>(operand.expertDim)] *= expertParts;
    const int64_t element = dtypeBytes(operand.type.dtype);
    std::vector<std::byte> whole(from, from + elementCount(shape) * element);
    if (operand.tensorDim >= 0)
      takePart(shape, element, operand.tensorDim, coordinate(MeshAxis::tensor), tensorParts, whole,
               part_);
    if (operand.expertDim >= 0)
      takePart(shape, element, operand.expertDim, coordinate(MeshAxis::expert), expertParts, whole,
               part_);
    part_.swap(whole);
    from = part_.data();
  }
  std::byte*& staged = placeOf(operand, microBatch);
  const int64_t bytes = operand.type.bytes().value;
  if (!staged) staged = static_cast<std::byte*>(device_.allocate(bytes, "an input"));
  device_.upload(staged, from, bytes);
  return staged;
}

}  // namespace meshplan
