// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstring>
#include <span>
#include <string_view>

namespace meshplan {

static_assert(std::endian::native == std::endian::little, "file readers assume this byte order");

/// The number of type T at byte `at`, stored little-endian unless `big`. The bytes must be there.
template <class T>
T numberAt(std::string_view bytes, size_t at, bool big = false) {
  char raw[sizeof(T)];
  std::memcpy(raw, bytes.data() + at, sizeof(T));
  if (big) std::reverse(raw, raw + sizeof(T));
  T value;
  std::memcpy(&value, raw, sizeof(T));
  return value;
}

/// Turns numbers of `width` bytes from big- to little-endian or back.
inline void swapBytes(std::span<std::byte> bytes, size_t width) {
  for (size_t i = 0; i + width <= bytes.size(); i += width)
    std::reverse(bytes.begin() + static_cast<std::ptrdiff_t>(i),
                 bytes.begin() + static_cast<std::ptrdiff_t>(i + width));
}

}  // namespace meshplan
