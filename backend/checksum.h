// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace meshplan {

/// 64 bits that tell damaged bytes from whole ones (not from forged ones): four lanes of FNV-1a's
/// step over words (Fowler, Noll, Vo; RFC 9923) with SplitMix64's finaliser, so that any changed,
/// moved or missing word changes them, at the speed of memory. The same on every machine of one
/// byte order.
uint64_t checksum(std::span<const std::byte> bytes, uint64_t seed = 0);
inline uint64_t checksum(const std::string& text) {
  return checksum(std::as_bytes(std::span(text)));
}

}  // namespace meshplan
