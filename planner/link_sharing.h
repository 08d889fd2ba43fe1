// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace meshplan {

/// A flow's use of a link: `demand` is the fraction of the link that the flow takes when it runs as
/// fast as it does alone, in (0, 1].
struct LinkUse {
  uint32_t flow = 0, link = 0;
  double demand = 1;
};

/// Max-min fair sharing of links by flows. Flow i runs at x_i times its speed alone and takes d_ir
/// x_i of link r:
///   0 <= x_i <= limit_i,    sum_i d_ir x_i <= 1 for every link r.
/// With w_i = max_r d_ir the flow's bandwidth is u_i = w_i x_i. The result is the only one in which
/// no u_i can grow without making smaller a u_j <= u_i (Bertsekas and Gallager, Data
/// Networks, 6.5.2), found by progressive filling: all u_i grow together; a flow stops at its limit
/// or when a link it uses is full. A flow that uses no link runs at its limit. Holds its work
/// space: no allocation once it has seen the largest instance.
class LinkSharing {
 public:
  /// Fills `rates` (one per flow, as `limits`) from the uses; links are numbered 0 .. links-1.
  void share(std::span<const LinkUse> uses, std::span<const double> limits, size_t links,
             std::span<double> rates);

 private:
  double nextLevel(std::span<const LinkUse> uses, std::span<const double> limits) const;
  void freeze(std::span<const LinkUse> uses, std::span<const double> limits,
              std::span<double> rates);

  double level_ = 0;
  std::vector<double> weight_, left_, growth_;
  std::vector<char> active_;
};

}  // namespace meshplan
