// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <QString>
#include <vector>

#include "gui/document.h"

namespace meshplan::gui {

/// What one rank exchanges along an axis of the mesh, and with whom.
struct MeshLink {
  MeshAxis axis = MeshAxis::tensor;
  std::vector<int64_t> ranks;  // of the group, itself included
  Bytes sent;                  // by this rank, in a step (wireBytes of core/collective.h)
  QString over;  // "nvlink3", the slowest link on the way to another rank of the group
  bool leavesNode = false;
};

/// The ranks of a plan as a matrix: a row per pipeline stage; columns are the replicas, each with
/// its expert and tensor ranks side by side.
class MeshCells {
 public:
  enum class ColourBy { stage, memory, busy, idle };

  MeshCells() = default;
  explicit MeshCells(const ShownPlan& shown);

  bool empty() const { return nodes_.empty(); }
  int64_t rows() const { return mesh_.pipeline; }
  int64_t columns() const { return mesh_.tensor * mesh_.expert * mesh_.data; }
  const MeshShape& mesh() const { return mesh_; }
  int64_t rank(int64_t row, int64_t column) const { return row * columns() + column; }
  int64_t row(int64_t rank) const { return rank / columns(); }
  int64_t column(int64_t rank) const { return rank % columns(); }

  /// The node that the rank's device is in.
  uint32_t node(int64_t rank) const { return nodes_[static_cast<size_t>(rank)]; }
  /// 0 to 1: which colour of the scale the rank has; its peak of the memory limit (above 1 where it
  /// does not fit), its computing or idle share of the step.
  double value(int64_t rank, ColourBy by) const;
  /// "stage 2, layers 8 to 11"
  QString stageText(int64_t stage) const;
  QString toolTip(int64_t rank) const;

  /// Its groups of more than one rank: tensor, data (experts with it), pipeline.
  std::vector<MeshLink> links(int64_t rank) const;

 private:
  struct Stage {
    QString blocks;
    double memory = 0, busy = 0, idle = 0;
    Bytes peak;
    std::array<Bytes, kMemoryCategories> byCategory{};
    std::array<double, kMeshAxes> sent{};  // bytes, by axis
  };
  QString linksText(int64_t rank) const;

  std::shared_ptr<const Document> document_;
  MeshShape mesh_;
  std::vector<uint32_t> nodes_;
  std::vector<QString> nodeNames_;
  std::vector<Stage> stages_;
  QString device_;
};

}  // namespace meshplan::gui
