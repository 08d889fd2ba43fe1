// SPDX-License-Identifier: Apache-2.0
#include "planner/ring_packing.h"

#include <algorithm>
#include <numeric>

namespace meshplan {
namespace {

using Matrix = std::vector<std::vector<uint32_t>>;
using Ring = std::vector<size_t>;

constexpr size_t kMostVertices = 8;
constexpr int64_t kMostSteps = 200000;

// Every ring once: it starts at vertex 0 and its second vertex is below its last.
void listRings(const Matrix& width, Ring& ring, std::vector<bool>& used, std::vector<Ring>& out) {
  const size_t n = width.size();
  if (ring.size() == n) {
    if (width[ring.back()][0] > 0 && ring[1] < ring.back()) out.push_back(ring);
    return;
  }
  for (size_t v = 1; v < n; ++v) {
    if (used[v] || width[ring.back()][v] == 0) continue;
    used[v] = true;
    ring.push_back(v);
    listRings(width, ring, used, out);
    ring.pop_back();
    used[v] = false;
  }
}

class Packing {
 public:
  Packing(Matrix width, std::vector<Ring> rings)
      : width_(std::move(width)), rings_(std::move(rings)) {}

  int64_t most() {
    limit_ = bound();
    extend(0, 0);
    return best_;
  }

 private:
  int64_t bound() const {
    int64_t least = INT64_MAX;
    for (const auto& row : width_)
      least = std::min<int64_t>(least, std::accumulate(row.begin(), row.end(), int64_t{0}) / 2);
    return least;
  }

  bool take(const Ring& r, bool back) {
    const auto step = [&](size_t i) -> std::pair<size_t, size_t> {
      return {r[i], r[(i + 1) % r.size()]};
    };
    if (!back)
      for (size_t i = 0; i < r.size(); ++i)
        if (const auto [a, b] = step(i); width_[a][b] == 0) return false;
    for (size_t i = 0; i < r.size(); ++i) {
      const auto [a, b] = step(i);
      width_[a][b] += back ? 1 : -1;
      width_[b][a] = width_[a][b];
    }
    return true;
  }

  void extend(size_t from, int64_t count) {
    best_ = std::max(best_, count);
    for (size_t i = from; i < rings_.size() && best_ < limit_ && steps_++ < kMostSteps; ++i) {
      if (!take(rings_[i], false)) continue;
      if (count + bound() >= best_) extend(i, count + 1);
      take(rings_[i], true);
    }
  }

  Matrix width_;
  std::vector<Ring> rings_;
  int64_t best_ = 0, limit_ = 0, steps_ = 0;
};

uint32_t commonDivisor(const Matrix& width) {
  uint32_t d = 0;
  for (const auto& row : width)
    for (uint32_t w : row) d = std::gcd(d, w);
  return std::max(d, 1u);
}

}  // namespace

int64_t packRings(const Matrix& width) {
  const size_t n = width.size();
  if (n < 2 || n > kMostVertices) return 0;
  if (n == 2) return width[0][1];
  Ring ring{0};
  std::vector<bool> used(n);
  std::vector<Ring> rings;
  listRings(width, ring, used, rings);
  if (rings.empty()) return 0;
  const uint32_t d = commonDivisor(width);
  Matrix unit = width;
  for (auto& row : unit)
    for (uint32_t& w : row) w /= d;
  return d * Packing(std::move(unit), std::move(rings)).most();
}

}  // namespace meshplan
