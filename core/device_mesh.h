// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/cluster.h"

namespace meshplan {

/// The named axes of the mesh, fastest-varying rank first. Expert parallelism takes its ranks from
/// the data-parallel ones: the replicas that a user calls dp are data x expert.
enum class MeshAxis : uint8_t { tensor, expert, data, pipeline };
inline constexpr int kMeshAxes = 4;
std::string_view meshAxisName(MeshAxis a);

/// A set of mesh axes; a collective runs on the joint group of its axes.
struct MeshAxes {
  uint8_t bits = 0;
  constexpr MeshAxes() = default;
  constexpr MeshAxes(MeshAxis a) : bits(uint8_t(1u << int(a))) {}
  constexpr bool has(MeshAxis a) const { return bits & (1u << int(a)); }
  constexpr bool empty() const { return bits == 0; }
  friend constexpr MeshAxes operator|(MeshAxes a, MeshAxes b) {
    a.bits |= b.bits;
    return a;
  }
  constexpr auto operator<=>(const MeshAxes&) const = default;
};
constexpr MeshAxes operator|(MeshAxis a, MeshAxis b) {
  return MeshAxes(a) | MeshAxes(b);
}
/// Of all ranks.
inline constexpr MeshAxes kWorldAxes =
    MeshAxis::tensor | MeshAxis::expert | MeshAxis::data | MeshAxis::pipeline;

using MeshCoordinates = std::array<int64_t, kMeshAxes>;  // indexed by MeshAxis

struct MeshShape {
  int64_t tensor = 1, expert = 1, data = 1, pipeline = 1;

  int64_t size(MeshAxis a) const;
  int64_t size(MeshAxes axes) const;
  int64_t ranks() const { return tensor * expert * data * pipeline; }
  int64_t replicas() const { return expert * data; }  // what users call dp
  MeshCoordinates coordinates(int64_t rank) const;
  int64_t rank(const MeshCoordinates& c) const;
  bool operator==(const MeshShape&) const = default;
};

/// A named n-dimensional view of ranks over the devices of a cluster: rank r runs on device
/// order[r].
class DeviceMesh {
 public:
  /// Ranks in device order. Throws Error(usage) when the shape needs more devices than there are.
  DeviceMesh(const Cluster& cluster, MeshShape shape);

  const MeshShape& shape() const { return shape_; }
  MeshCoordinates coordinates(int64_t rank) const { return shape_.coordinates(rank); }
  int64_t rank(const MeshCoordinates& c) const { return shape_.rank(c); }
  DeviceId device(int64_t rank) const { return order_[size_t(rank)]; }
  /// The ranks that share all coordinates of `rank` except those on `axes`, in rank order.
  std::vector<int64_t> group(MeshAxes axes, int64_t rank) const;

 private:
  MeshShape shape_;
  std::vector<DeviceId> order_;
};

}  // namespace meshplan
