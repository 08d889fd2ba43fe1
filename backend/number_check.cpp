// SPDX-License-Identifier: Apache-2.0
#include "backend/number_check.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include "core/error.h"
#include "core/instruction_names.h"

namespace meshplan {
namespace {

constexpr const char* kTrainingRemedy =
    "lower the learning rate, or resume from an earlier checkpoint";

constexpr int64_t kNothing = 3;  // the role of a rank without a finding

/// All bits of the exponent set; a mantissa of zero is infinity.
template <class Bits>
NumberKind worst(const void* data, int64_t count, Bits exponent, Bits mantissa) {
  const auto* bytes = static_cast<const std::byte*>(data);
  NumberKind kind = NumberKind::finite;
  for (int64_t i = 0; i < count; ++i) {
    Bits bits;
    std::memcpy(&bits, bytes + i * static_cast<int64_t>(sizeof bits), sizeof bits);
    if ((bits & exponent) != exponent) continue;
    if ((bits & mantissa) != 0) return NumberKind::nan;
    kind = NumberKind::infinite;
  }
  return kind;
}

const char* kindText(NumberKind kind) {
  return kind == NumberKind::nan ? "NaN" : "infinity";
}

/// What can make such values, what adds them up, what only passes them on.
int roleOf(const Instruction& in) {
  if (in.kind == Instruction::Kind::compute) return 0;
  const bool sums =
      in.collective == CollectiveKind::allReduce || in.collective == CollectiveKind::reduceScatter;
  return in.kind == Instruction::Kind::collective && sums ? 1 : 2;
}

}  // namespace

NumberKind numbersIn(const void* data, int64_t count, DType type) {
  switch (type) {
    case DType::f64:
      return worst<uint64_t>(data, count, 0x7ff0000000000000, 0x000fffffffffffff);
    case DType::f32:
    case DType::tf32:
      return worst<uint32_t>(data, count, 0x7f800000, 0x007fffff);
    case DType::f16:
      return worst<uint16_t>(data, count, 0x7c00, 0x03ff);
    case DType::bf16:
      return worst<uint16_t>(data, count, 0x7f80, 0x007f);
    default:
      return NumberKind::finite;
  }
}

NumberCheck::NumberCheck(const Graph& graph, const Program& program, RankDevice& device,
                         Communicator& world)
    : graph_(graph),
      program_(program),
      device_(device),
      world_(world),
      stage_(program.mesh.coordinates(world.rank())[static_cast<size_t>(MeshAxis::pipeline)]) {}

NumberKind NumberCheck::look(const TensorView& view) {
  const int64_t count = view.type.elements();
  if (count == 0 || !isFloating(view.type.dtype)) return NumberKind::finite;
  host_.resize(static_cast<size_t>(view.type.bytes().value));
  device_.download(host_.data(), view.data, view.type.bytes().value);
  return numbersIn(host_.data(), count, view.type.dtype);
}

/// Whether there was nothing as bad before.
bool NumberCheck::wanted(NumberKind kind) const {
  return kind != NumberKind::finite && (!first_ || (kind == NumberKind::nan && !nan_));
}

void NumberCheck::ran(const Site& site, std::span<const TensorView> inputs,
                      std::span<const TensorView> outputs) {
  if (nan_ || site.binding().part == Binding::Part::statistics) return;
  NumberKind kind = NumberKind::finite;
  for (const TensorView& v : outputs) kind = std::max(kind, look(v));
  if (!wanted(kind)) return;
  const int role = roleOf(site.instruction());
  std::string from = role == 0 ? "from finite inputs" : "that came from other ranks";
  std::string remedy = kTrainingRemedy;
  if (role != 0 && first_) from = "from inputs that were not finite";
  for (size_t i = 0; i < inputs.size() && role == 0; ++i) {
    const NumberKind input = look(inputs[i]);
    if (input == NumberKind::finite) continue;
    from = "from inputs that were not finite";
    const Tensor* given = givenTensor(site, i);
    if (!given) continue;
    const bool weights = given->kind == TensorKind::parameter;
    from = fmt::format("from {} in the {} '{}'", kindText(input), weights ? "weights" : "input",
                       given->name);
    remedy = weights ? "start from weights that are finite" : "give data that are finite";
    break;
  }
  note(site, whatRan(site), kind, from, remedy);
}

void NumberCheck::reduced(const Site& site, TensorId parameter, const TensorView& gradient) {
  if (nan_) return;
  const NumberKind kind = look(gradient);
  if (wanted(kind))
    note(site,
         fmt::format("{} of the gradient of '{}'",
                     instructionText(graph_, site.routine, site.instruction()),
                     graph_.tensor(parameter).name),
         kind, "that was summed up over ranks", kTrainingRemedy);
}

void NumberCheck::updated(const Site& site, TensorId parameter, const TensorView& gradient,
                          const TensorView& weights) {
  const NumberKind kind = look(weights);
  weightsFailed_ = weightsFailed_ || kind != NumberKind::finite;
  if (!wanted(kind)) return;
  const bool finite = look(gradient) == NumberKind::finite;
  note(site, fmt::format("update of '{}'", graph_.tensor(parameter).name), kind,
       finite ? "from a finite gradient" : "from a gradient that was not finite", kTrainingRemedy);
}

void NumberCheck::note(const Site& site, const std::string& what, NumberKind kind,
                       const std::string& from, const std::string& remedy) {
  const bool update = site.routine.kind == Routine::Kind::update;
  const std::string text =
      fmt::format("{}{} on rank {} (stage {}) gave {} {}", what,
                  update ? std::string() : fmt::format(" of micro-batch {}", site.call.microBatch),
                  world_.rank(), stage_, kindText(kind), from);
  nan_ = nan_ || kind == NumberKind::nan;
  if (first_)
    firstNaN_ = text;
  else
    first_ = Finding{orderOf(site), text, remedy};
}

/// As if one rank ran the micro-batches one after the other, and at last the updates.
NumberCheck::Order NumberCheck::orderOf(const Site& site) const {
  const Routine::Kind kind = site.routine.kind;
  const bool backward = kind == Routine::Kind::backward;
  return {roleOf(site.instruction()),
          kind == Routine::Kind::update,
          site.call.microBatch,
          backward,
          backward ? -site.routine.chunk : site.routine.chunk,
          static_cast<int64_t>(site.index),
          world_.rank()};
}

/// "fc1 (Linear) forward".
std::string NumberCheck::whatRan(const Site& site) const {
  const Instruction& in = site.instruction();
  std::string name = instructionText(graph_, site.routine, in);
  if (in.kind == Instruction::Kind::compute && in.op.valid())
    name += fmt::format(" ({})", graph_.op(in.op).def->name);
  return fmt::format("{} {}", name, phaseText(site.routine, in));
}

/// The parameter or input of the model that an operator reads there; null for what operators make.
const Tensor* NumberCheck::givenTensor(const Site& site, size_t input) const {
  const Instruction& in = site.instruction();
  const Operand& operand = site.binding().inputs[input];
  TensorId id;
  if (operand.place == Operand::Place::input) id = TensorId(operand.index);
  if (in.op.valid() && input < graph_.op(in.op).inputs.size()) id = graph_.op(in.op).inputs[input];
  if (!id.valid() || graph_.tensor(id).producer.valid()) return nullptr;
  return &graph_.tensor(id);
}

bool NumberCheck::anyFailed(double loss) {
  double failed = nan_ || weightsFailed_ || !std::isfinite(loss) ? 1 : 0;
  world_.allReduce(&failed, 1, DType::f64, ReduceOp::max);
  return failed > 0;
}

/// From its finder to rank 0, who says it whatever the others do then, and on to all.
std::string NumberCheck::shared(std::string text, int finder) {
  auto size = static_cast<int64_t>(text.size());
  if (finder != 0 && world_.rank() == finder) {
    world_.send(&size, sizeof size, 0);
    world_.send(text.data(), size, 0);
  } else if (finder != 0 && world_.rank() == 0) {
    world_.receive(&size, sizeof size, finder);
    text.resize(static_cast<size_t>(size));
    world_.receive(text.data(), size, finder);
  }
  try {
    world_.broadcast(&size, sizeof size, 0);
    text.resize(static_cast<size_t>(size));
    world_.broadcast(text.data(), size, 0);
  } catch (const PeerError&) {
    if (world_.rank() != 0) throw;
  }
  return text;
}

void NumberCheck::forget() {
  first_.reset();
  firstNaN_.clear();
  nan_ = weightsFailed_ = false;
}

void NumberCheck::finishStep(int64_t step, double loss) {
  const bool failed = anyFailed(loss);
  const std::optional<Finding> mine = first_;
  const std::string nan = firstNaN_;
  forget();
  if (!failed) return;
  const Order own = mine ? mine->order : Order{kNothing, 0, 0, 0, 0, 0, world_.rank()};
  std::vector<Order> all(static_cast<size_t>(world_.size()));
  world_.allGather(&own, all.data(), sizeof own);
  const Order& first = *std::min_element(all.begin(), all.end());
  if (first.role == kNothing)
    throw Error(ErrorKind::runtime, fmt::format("the loss of step {} is {}", step, loss),
                kTrainingRemedy);
  std::string text;
  if (mine) text = mine->remedy + "\n" + mine->text;
  if (!nan.empty()) text += "; the first NaN: " + nan;
  text = shared(text, static_cast<int>(first.rank));
  const size_t end = text.find('\n');
  throw Error(ErrorKind::runtime, fmt::format("step {}: {}", step, text.substr(end + 1)),
              text.substr(0, end));
}

}  // namespace meshplan
