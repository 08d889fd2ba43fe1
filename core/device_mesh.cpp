// SPDX-License-Identifier: Apache-2.0
#include "core/device_mesh.h"

#include <fmt/core.h>

#include "core/error.h"

namespace meshplan {
namespace {

constexpr std::array<MeshAxis, kMeshAxes> kAxes{MeshAxis::tensor, MeshAxis::expert, MeshAxis::data,
                                                MeshAxis::pipeline};

int64_t checkedRanks(const MeshShape& s) {
  for (MeshAxis a : kAxes)
    if (s.size(a) < 1)
      throw Error(ErrorKind::usage, fmt::format("the {} degree is {}", meshAxisName(a), s.size(a)),
                  "degrees are 1 or more");
  return checkedMul(checkedMul(s.tensor, s.expert), checkedMul(s.data, s.pipeline));
}

}  // namespace

std::string_view meshAxisName(MeshAxis a) {
  constexpr std::array<std::string_view, kMeshAxes> names{"tensor", "expert", "data", "pipeline"};
  return names[static_cast<size_t>(a)];
}

int64_t MeshShape::size(MeshAxis a) const {
  switch (a) {
    case MeshAxis::tensor:
      return tensor;
    case MeshAxis::expert:
      return expert;
    case MeshAxis::data:
      return data;
    case MeshAxis::pipeline:
      return pipeline;
  }
  return 1;
}

int64_t MeshShape::size(MeshAxes axes) const {
  int64_t n = 1;
  for (MeshAxis a : kAxes)
    if (axes.has(a)) n *= size(a);
  return n;
}

MeshCoordinates MeshShape::coordinates(int64_t r) const {
  const int64_t replica = r / tensor;
  return {r % tensor, replica % expert, replica / expert % data, r / (tensor * expert * data)};
}

int64_t MeshShape::rank(const MeshCoordinates& c) const {
  return c[0] + tensor * (c[1] + expert * (c[2] + data * c[3]));
}

DeviceMesh::DeviceMesh(const Cluster& cluster, MeshShape shape) : shape_(shape) {
  const int64_t ranks = checkedRanks(shape);
  const auto devices = static_cast<int64_t>(cluster.deviceCount());
  if (ranks > devices)
    throw Error(ErrorKind::usage,
                fmt::format("{} x {} x {} x {} = {} ranks (tensor x expert x data x pipeline) do "
                            "not fit on {} devices",
                            shape.tensor, shape.expert, shape.data, shape.pipeline, ranks, devices),
                fmt::format("use {} ranks or fewer", devices));
  order_.reserve(static_cast<size_t>(ranks));
  for (int64_t r = 0; r < ranks; ++r) order_.push_back(DeviceId(static_cast<size_t>(r)));
}

std::vector<int64_t> DeviceMesh::group(MeshAxes axes, int64_t rank) const {
  std::vector<int64_t> members{rank};
  int64_t stride = 1;
  for (MeshAxis a : kAxes) {
    const int64_t n = shape_.size(a);
    if (axes.has(a)) {
      const int64_t coordinate = rank / stride % n;
      for (int64_t& m : members) m -= coordinate * stride;
      const size_t count = members.size();
      for (int64_t i = 1; i < n; ++i)
        for (size_t k = 0; k < count; ++k) members.push_back(members[k] + i * stride);
    }
    stride *= n;
  }
  return members;
}

}  // namespace meshplan
