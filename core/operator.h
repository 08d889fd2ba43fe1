// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "core/attributes.h"
#include "core/tensor.h"

namespace meshplan {

/// What splitting an axis of an operator over a mesh axis means.
///   parallel    every index gives its own results
///   reduce      results sum over it: a split leaves results Partial
///   normalised  a statistic over it is needed (softmax, norms): a split costs a small collective
///   streamed    can be consumed in blocks with a running state (keys in attention)
///   halo        neighbours are needed (spatial dimensions of a convolution); not split in this
///   version opaque      nothing known; never split
enum class AxisKind : uint8_t { parallel, reduce, normalised, streamed, halo, opaque };

struct Axis {
  std::string_view name;  // static storage
  int64_t extent = 1;
  AxisKind kind = AxisKind::parallel;
};

inline constexpr int8_t kNoAxis = -1;

/// The axes that one tensor dimension walks, outermost first: a merged dimension (heads x head
/// size) walks several. Only the outermost axis of extent > 1 can be split, because only that keeps
/// each shard contiguous.
struct DimWalk {
  int8_t outer = kNoAxis, middle = kNoAxis, inner = kNoAxis;
  bool has(int8_t axis) const {
    return axis != kNoAxis && (outer == axis || middle == axis || inner == axis);
  }
  bool operator==(const DimWalk&) const = default;
};
using TensorWalk = std::vector<DimWalk>;  // one per dimension

/// An operator as a nest of named loops, and which loops each dimension of each tensor walks. Every
/// placement of every tensor under a strategy follows from this table (docs/architecture.md).
struct LoopNest {
  std::vector<Axis> axes;
  std::vector<TensorWalk> inputs, outputs;

  int8_t addAxis(std::string_view name, int64_t extent, AxisKind kind = AxisKind::parallel) {
    axes.push_back({name, extent, kind});
    return static_cast<int8_t>(axes.size() - 1);
  }
};

/// Families that share a cost formula. `view` costs nothing (a reshape); `movement` copies;
/// `opaque` is an operator that Meshplan does not know: memory-bound, never split.
enum class OpClass : uint8_t {
  contraction,
  convolution,
  attention,
  normalization,
  elementwise,
  reduction,
  movement,
  view,
  embedding,
  loss,
  recurrent,
  moe,
  optimizer,
  opaque
};

/// How gradients are made: not at all; one operator for all inputs; or one for input 0
/// (backward-input) and one for all others (backward-weight), which schedules may place apart.
enum class GradientKind : uint8_t { none, fused, split };

/// Sets of forward inputs and outputs, bit i for slot i.
struct SlotSet {
  uint32_t inputs = 0, outputs = 0;
};

/// An operator's types, which may be the local (sharded) ones: nothing in a def may rely on global
/// extents kept in attributes. Inputs are never absent: importers drop optional inputs and say so
/// in attributes.
struct OpContext {
  const Attributes& attributes;
  std::span<const TensorType> inputs;
  std::span<const TensorType> outputs;
};

/// Everything the planner knows about a kind of operator. docs/operators.md lists all of them with
/// inputs and attributes; core/operators/ has one file per family.
struct OperatorDef {
  std::string_view name;
  OpClass opClass = OpClass::opaque;

  /// Output types. Throws Error(input) when the inputs do not fit the operator.
  std::vector<TensorType> (*infer)(const Attributes&, std::span<const TensorType> inputs) = nullptr;

  /// The loop nest, with one walk per input and per output.
  LoopNest (*nest)(const OpContext&) = nullptr;

  /// Forward FLOPs (a multiply-add is 2). Null: 2 x product of all axis extents for contractions
  /// and convolutions, one per output element otherwise (0 for views, movements and embeddings).
  double (*flops)(const OpContext&) = nullptr;

  /// Bytes moved to and from device memory by the forward pass. Null: each input read and each
  /// output written once (0 for views).
  double (*bytes)(const OpContext&) = nullptr;
  /// Inputs are read so many times more, forward and backward: statistics over more than a
  /// multiprocessor holds need a pass of their own.
  int rereads = 0;

  GradientKind gradient = GradientKind::none;
  /// What the gradient with respect to input `wrt` reads besides the outputs' gradients. Null:
  /// nothing.
  SlotSet (*needs)(const OpContext&, int wrt) = nullptr;
  /// Attributes that the gradient operators get besides the forward operator's: what they cannot
  /// see in the types of their own tensors. Null: none.
  Attributes (*gradientAttributes)(const OpContext&) = nullptr;
  /// FLOPs of all gradients together, as a multiple of the forward FLOPs (a split contraction costs
  /// 1 per operand). `backwardFlopsOf`, where set, decides by attributes (attention); read both
  /// through `backwardRatio`.
  double backwardFlops = 1;
  double (*backwardFlopsOf)(const Attributes&) = nullptr;

  /// The gradient of an input of the output's shape is the output's gradient itself: frameworks
  /// hand on the tensor and launch nothing.
  bool handsGradientOn = false;

  /// Linear in all inputs together: Partial inputs may pass through and give Partial outputs.
  bool linear = false;
};

/// The def of that name, or nullptr. Names are case-sensitive and follow ONNX where ONNX has the
/// operator.
const OperatorDef* findOperatorDef(std::string_view name);
/// As above; an unknown name is a bug and throws Error(internal).
const OperatorDef& operatorDef(std::string_view name);
/// All defs in a fixed order.
std::span<const OperatorDef> operatorDefs();

Flops forwardFlops(const OperatorDef& def, const OpContext& context);
double forwardBytes(const OperatorDef& def, const OpContext& context);
double backwardRatio(const OperatorDef& def, const Attributes& attributes);

/// The local nest: axis extents taken from the local types (an axis's extent is global in `nest`
/// only if the types are). Checks that each dimension equals the product of the axes it walks where
/// all are known; used by tests.
bool nestMatchesTypes(const LoopNest& nest, const OpContext& context);

}  // namespace meshplan
