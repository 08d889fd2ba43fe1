// SPDX-License-Identifier: Apache-2.0
#include "backend/stream_order.h"

#include <algorithm>

namespace meshplan {

void StreamOrder::clear() {
  *this = {};
}

StreamOrder::Segments::iterator StreamOrder::splitAt(uintptr_t place) {
  auto after = segments_.upper_bound(place);
  if (after == segments_.begin()) return after;
  const auto segment = std::prev(after);
  if (segment->first == place) return segment;
  if (segment->second.end <= place) return after;
  Segment tail = segment->second;
  segment->second.end = place;
  return segments_.emplace_hint(after, place, tail);
}

uint8_t StreamOrder::conflicts(int stream, const Segment& segment, bool writes) const {
  const Position& seen = seen_[static_cast<size_t>(stream)];
  uint8_t found = 0;
  for (int other = 0; other < kStreams; ++other) {
    if (other == stream) continue;
    const auto o = static_cast<size_t>(other);
    const int64_t written = segment.writer == other ? segment.written : 0;
    const int64_t needed = std::max(written, writes ? segment.read[o] : 0);
    if (needed > seen[o]) found |= streamBit(static_cast<Stream>(other));
  }
  return found;
}

void StreamOrder::note(int stream, const MemoryAccess& access) {
  const int64_t position = issued_[static_cast<size_t>(stream)];
  if (access.writes) {
    segments_.erase(splitAt(access.begin), splitAt(access.end));
    segments_[access.begin] = {access.end, stream, position, {}};
    return;
  }
  auto at = splitAt(access.begin);
  const auto end = splitAt(access.end);
  for (uintptr_t place = access.begin; place < access.end;) {
    if (at == end || at->first > place) {
      const uintptr_t gapEnd = at == end ? access.end : at->first;
      at = segments_.emplace_hint(at, place, Segment{gapEnd});
    }
    at->second.read[static_cast<size_t>(stream)] = position;
    place = at->second.end;
    ++at;
  }
}

uint8_t StreamOrder::issue(Stream stream, std::span<const MemoryAccess> accesses) {
  const auto own = static_cast<size_t>(stream);
  uint8_t waits = 0;
  for (const MemoryAccess& access : accesses) {
    if (access.begin == access.end) continue;
    const auto end = splitAt(access.end);
    for (auto at = splitAt(access.begin); at != end; ++at)
      waits |= conflicts(static_cast<int>(own), at->second, access.writes);
  }
  for (size_t other = 0; other < kStreams; ++other) {
    if (!(waits & streamBit(static_cast<Stream>(other)))) continue;
    for (size_t third = 0; third < kStreams; ++third)
      seen_[own][third] = std::max(seen_[own][third], seen_[other][third]);
    seen_[own][other] = issued_[other];
  }
  ++issued_[own];
  for (const MemoryAccess& access : accesses)
    if (access.begin != access.end) note(static_cast<int>(own), access);
  return waits;
}

}  // namespace meshplan
