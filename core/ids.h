// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <compare>
#include <cstdint>
#include <functional>

namespace meshplan {

/// A typed 32-bit index. Default-constructed ids are invalid; `index()` is the position in the
/// owning vector.
template <class Tag>
struct Id {
  static constexpr uint32_t kInvalid = UINT32_MAX;
  uint32_t value = kInvalid;

  constexpr Id() = default;
  constexpr explicit Id(size_t v) : value(static_cast<uint32_t>(v)) {}
  constexpr bool valid() const { return value != kInvalid; }
  constexpr size_t index() const { return value; }
  constexpr auto operator<=>(const Id&) const = default;
};

using OpId = Id<struct OpTag>;
using TensorId = Id<struct TensorTag>;
using DeviceId = Id<struct DeviceTag>;
using NodeId = Id<struct NodeTag>;
using LinkId = Id<struct LinkTag>;

}  // namespace meshplan

template <class Tag>
struct std::hash<meshplan::Id<Tag>> {
  size_t operator()(meshplan::Id<Tag> id) const { return std::hash<uint32_t>()(id.value); }
};
