// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include "core/device_mesh.h"
#include "core/ids.h"
#include "core/plan.h"
#include "core/tensor.h"

namespace meshplan {

/// Where an instruction finds or leaves a tensor. Types are local, dense and row-major.
///   buffer     `index` in Routine::buffers, `offset` bytes behind its start
///   weights    `index` in RankClass::parameters: the rank's weights, whole or its share of them
///   gradient   ... and the accumulated gradient of that parameter
///   input      the tensor `index` of the graph, which no operator makes (data, labels, constants):
///              the rank takes its part of the micro-batch's rows, sharded on `tensorDim` and
///              `expertDim`
struct Operand {
  enum class Place : uint8_t { buffer, weights, gradient, input };
  Place place = Place::buffer;
  int8_t tensorDim = -1, expertDim = -1;
  uint32_t index = 0;
  int64_t offset = 0;
  TensorType type;
};

/// What an executor must know about an instruction besides what a simulator does.
struct Binding {
  /// compute: the operator's inputs and outputs in its order. What a cross-entropy over a split
  /// vocabulary needs is in `part`. Collectives, sends and receives: what travels, pairwise.
  std::vector<Operand> inputs, outputs;
  /// compute: which axes of the forward operator's nest are split. The extents of the whole nest,
  /// for one micro-batch of an expert-parallel group, are `extents`.
  OperatorStrategy strategy;
  std::vector<int64_t> extents;
  /// Dimension that the ranks' parts are cut from (reduce-scatter, all-to-all: of the input) and
  /// joined on (all-gather, all-to-all: of the output). -1: flat shares of parameters.
  int8_t cut = -1, join = -1;
  /// compute: `copy` takes this rank's part `cut` of its one input (sliced over `axis`).
  /// `statistics` of a cross-entropy's local vocabulary are made, then merged into the loss by
  /// `finish`; the gradient reads the merged ones as its last input. `overflow` (fp16) looks
  /// whether its inputs, gradients, are finite; a collective of that part, without operands, tells
  /// all ranks what any has found.
  enum class Part : uint8_t { whole, copy, statistics, finish, overflow };
  Part part = Part::whole;
  MeshAxis axis = MeshAxis::tensor;
};

/// A parameter as the ranks of one stage hold it. Where it is shared out over its replicas
/// (ZeRO), every rank has an equal flat share of `shareElements`, the last one padded; whole copies
/// have the padding too, so that collectives work in place. Offsets are bytes from the start of the
/// rank's arena.
struct ParameterPlace {
  TensorId tensor;
  TensorType type;                        // local to the tensor and expert axes, before ZeRO
  int8_t tensorDim = -1, expertDim = -1;  // the dimensions sharded there
  MeshAxes replicas;                      // the axes over which its gradient is summed
  DType gradientType = DType::f32;
  int64_t shareElements = 0, shares = 1;
  bool weightsShared = false, gradientShared = false;
  int64_t weights = 0, gradient = 0;
  int64_t master = -1, states[2] = {-1, -1};  // -1: none

  int64_t paddedElements() const { return shareElements * shares; }
};

}  // namespace meshplan
