// SPDX-License-Identifier: Apache-2.0
#include "backend/rank_groups.h"

#include <fmt/core.h>

#include <set>

#include "core/error.h"

namespace meshplan {
namespace {

/// The number of a group among those over `axes`: the rank with coordinate 0 on them.
int colourOf(const MeshShape& mesh, MeshCoordinates c, MeshAxes axes) {
  for (int a = 0; a < kMeshAxes; ++a)
    if (axes.has(static_cast<MeshAxis>(a))) c[static_cast<size_t>(a)] = 0;
  return static_cast<int>(mesh.rank(c));
}

/// Those of the axes that have several ranks.
uint8_t splitting(const MeshShape& mesh, MeshAxes axes) {
  MeshAxes found;
  for (int a = 0; a < kMeshAxes; ++a)
    if (const auto axis = static_cast<MeshAxis>(a); axes.has(axis) && mesh.size(axis) > 1)
      found = found | axis;
  return found.bits;
}

/// Parameters that several stages use, and which stages those are.
std::map<int32_t, std::set<int32_t>> tiedParameters(const Program& program) {
  std::map<int32_t, std::set<int32_t>> stages;
  for (const RankClass& rankClass : program.rankClasses)
    for (const Call& call : rankClass.calls)
      for (const Instruction& i : program.routines[call.routine].instructions)
        if (i.participants > 0) stages[i.boundary].insert(rankClass.stage);
  return stages;
}

/// Whether a message of `stage` passes the end of the pipeline: activations flow up, gradients
/// down.
bool passesEnd(const Instruction& i, int32_t stage) {
  const bool sends = i.kind == Instruction::Kind::send;
  const int32_t from = sends ? stage : i.peerStage, to = sends ? i.peerStage : stage;
  return i.backwardDirection ? from < to : from > to;
}

bool goesAround(const Program& program) {
  for (const RankClass& rankClass : program.rankClasses)
    for (const Call& call : rankClass.calls)
      for (const Instruction& i : program.routines[call.routine].instructions)
        if (i.kind == Instruction::Kind::send && passesEnd(i, rankClass.stage)) return true;
  return false;
}

}  // namespace

RankGroups::RankGroups(const Program& program, Communicator& world, Communicator& data)
    : world_(world), data_(data), mesh_(program.mesh) {
  if (world.size() != mesh_.ranks())
    throw Error(
        ErrorKind::usage,
        fmt::format("the plan is for {} ranks, and {} were started", mesh_.ranks(), world.size()),
        fmt::format("start {} ranks, or plan for {}", mesh_.ranks(), world.size()));
  coordinates_ = mesh_.coordinates(world.rank());
  std::vector<MeshAxes> sets = {MeshAxis::tensor, MeshAxis::expert, MeshAxis::data,
                                MeshAxis::data | MeshAxis::expert, MeshAxis::pipeline};
  if (program.precision == Precision::fp16) sets.push_back(kWorldAxes);
  std::map<uint8_t, Communicator*> bySplit;  // axes of one rank split nothing
  for (const MeshAxes axes : sets) {
    Communicator*& group = bySplit[splitting(mesh_, axes)];
    if (!group) group = groups_.emplace_back(data.split(colourOf(mesh_, coordinates_, axes))).get();
    over_[axes.bits] = group;
  }
  for (const auto& [parameter, stages] : tiedParameters(program)) {
    const bool takesPart = stages.count(stage()) > 0;
    const int others = static_cast<int>(mesh_.ranks()) + world.rank();
    tied_[parameter] =
        data.split(takesPart ? colourOf(mesh_, coordinates_, MeshAxis::pipeline) : others);
  }
  if (mesh_.size(MeshAxis::pipeline) == 1) return;
  for (bool backward : {false, true})
    for (bool around : {false, true})
      if (!around || goesAround(program)) transfers_[{backward, around}] = data.split(0);
}

Communicator& RankGroups::of(const Instruction& instruction) {
  return instruction.participants > 0 ? *tied_.at(instruction.boundary) : over(instruction.axes);
}

Communicator& RankGroups::transfers(const Instruction& instruction) {
  return *transfers_.at({instruction.backwardDirection, passesEnd(instruction, stage())});
}

int RankGroups::peer(int stage) const {
  MeshCoordinates c = coordinates_;
  c[static_cast<size_t>(MeshAxis::pipeline)] = stage;
  return static_cast<int>(mesh_.rank(c));
}

}  // namespace meshplan
