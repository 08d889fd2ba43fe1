// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "backend/communicator.h"
#include "backend/rank_device.h"
#include "core/graph.h"
#include "core/program.h"

namespace meshplan {

/// The worst that a tensor holds.
enum class NumberKind : uint8_t { finite, infinite, nan };

/// Of host memory in a floating type of IEEE's layout or bf16; of all others `finite`.
NumberKind numbersIn(const void* data, int64_t count, DType type);

/// Looks at what every instruction of one rank leaves, and remembers the first that left NaN or
/// infinity, and the first NaN. As all before it were finite, its inputs were, or it read a
/// weight or an input of the model that was not.
///
/// Infinity alone is no error: masks are made of it. A step has failed when it met NaN, or its loss
/// or a weight that it updated is not finite. The statistics of a split loss are looked at once all
/// ranks' parts are together.
class NumberCheck {
 public:
  /// `world` numbers the ranks of the program's mesh. Everything must outlive this.
  NumberCheck(const Graph& graph, const Program& program, RankDevice& device, Communicator& world);

  struct Site {
    const Routine& routine;
    const Call& call;
    size_t index;
    const Instruction& instruction() const { return routine.instructions[index]; }
    const Binding& binding() const { return routine.bindings[index]; }
  };

  // By the executor of the rank, after the instruction ran; views are on the device.
  void ran(const Site& site, std::span<const TensorView> inputs,
           std::span<const TensorView> outputs);
  /// A parameter's gradients were added up over ranks: this rank's share of the sum.
  void reduced(const Site& site, TensorId parameter, const TensorView& gradient);
  void updated(const Site& site, TensorId parameter, const TensorView& gradient,
               const TensorView& weights);

  /// Of a step whose gradients were meant to overflow, and changed nothing.
  void forget();
  /// Every rank calls it after a step. Throws Error(runtime), the same on all ranks, if the step
  /// has failed on any: what computed the first such values, before what summed, before what moved
  /// them; then in the order of the step, then of the ranks.
  void finishStep(int64_t step, double loss);

 private:
  /// Whose finding comes first: smaller ones.
  struct Order {
    int64_t role, update, microBatch, backward, depth, instruction, rank;
    auto operator<=>(const Order&) const = default;
  };
  struct Finding {
    Order order;
    std::string text, remedy;
  };

  NumberKind look(const TensorView& view);
  bool wanted(NumberKind kind) const;
  void note(const Site& site, const std::string& what, NumberKind kind, const std::string& from,
            const std::string& remedy);
  Order orderOf(const Site& site) const;
  std::string whatRan(const Site& site) const;
  const Tensor* givenTensor(const Site& site, size_t input) const;
  bool anyFailed(double loss);
  std::string shared(std::string text, int finder);

  const Graph& graph_;
  const Program& program_;
  RankDevice& device_;
  Communicator& world_;
  int64_t stage_;
  std::vector<std::byte> host_;
  std::optional<Finding> first_;
  std::string firstNaN_;  // what left it, if not the first finding
  bool nan_ = false, weightsFailed_ = false;
};

}  // namespace meshplan
