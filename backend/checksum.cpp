// SPDX-License-Identifier: Apache-2.0
#include "backend/checksum.h"

#include <cstring>

namespace meshplan {
namespace {

constexpr size_t kLanes = 4, kWord = sizeof(uint64_t);

uint64_t mixed(uint64_t z) {
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
  z = (z ^ z >> 27) * 0x94d049bb133111eb;
  return z ^ z >> 31;
}

uint64_t added(uint64_t hash, uint64_t word) {
  hash = (hash ^ word) * 0x100000001b3;
  return hash ^ hash >> 32;
}

}  // namespace

uint64_t checksum(std::span<const std::byte> bytes, uint64_t seed) {
  uint64_t lanes[kLanes];
  for (size_t l = 0; l < kLanes; ++l) lanes[l] = mixed(seed + 0x9e3779b97f4a7c15 * (l + 1));
  size_t at = 0;
  for (; at + kLanes * kWord <= bytes.size(); at += kLanes * kWord) {
    uint64_t words[kLanes];
    std::memcpy(words, bytes.data() + at, sizeof words);
    for (size_t l = 0; l < kLanes; ++l) lanes[l] = added(lanes[l], words[l]);
  }
  for (; at < bytes.size(); ++at) lanes[0] = added(lanes[0], static_cast<uint64_t>(bytes[at]));
  uint64_t sum = bytes.size();
  for (uint64_t lane : lanes) sum = mixed(sum ^ lane);
  return sum;
}

}  // namespace meshplan
