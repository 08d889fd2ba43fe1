// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/operator.h"

namespace meshplan {

/// What operator families share: checks that throw Error(input), broadcasting, and the common loop
/// nests.
using Types = std::span<const TensorType>;

[[noreturn]] void rejectInputs(const std::string& problem);
void expectInputs(Types inputs, size_t least, size_t most);
void expectRank(const TensorType& type, size_t least, size_t most = SIZE_MAX);
void expectEqual(int64_t a, int64_t b, std::string_view what);

/// -rank <= axis < rank as a dimension index; anything else throws.
size_t dimensionIndex(int64_t axis, size_t rank);
/// Numpy's broadcasting, right-aligned.
Shape broadcast(const Shape& a, const Shape& b);

/// Static names "dim0", "dim1" ... for axes that stand for the dimensions of a tensor, and "rows0"
/// ... for leading ones.
std::string_view dimName(size_t i);
std::string_view rowName(size_t i);

/// Axes for all dimensions of `shape`, all of one kind; entry i is the axis of dimension i.
std::vector<int8_t> addDims(LoopNest& nest, const Shape& shape, AxisKind kind = AxisKind::parallel);
/// Axes "rows0" ... for the first `count` dimensions, appended to `walk`.
void addRows(LoopNest& nest, TensorWalk& walk, const Shape& shape, size_t count,
             AxisKind kind = AxisKind::parallel);

/// The walk of a tensor that broadcasts, right-aligned, to a shape whose dimension i walks
/// `dims[i]`: a dimension of another extent than the result's walks nothing.
TensorWalk broadcastWalk(const Shape& shape, const Shape& result, const std::vector<int8_t>& dims);

/// One parallel axis per dimension of the first output; inputs and outputs walk them as they
/// broadcast.
LoopNest broadcastNest(const OpContext& context);

/// Output types equal to the first input's.
std::vector<TensorType> inferSame(const Attributes&, Types inputs);

/// Needs of gradients.
SlotSet needsInput(const OpContext&, int wrt);   // the first input
SlotSet needsInputs(const OpContext&, int wrt);  // all inputs
SlotSet needsOutput(const OpContext&, int wrt);  // the first output

}  // namespace meshplan
