// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <vector>

#include "backend/communicator.h"
#include "backend/rank_backend.h"
#include "profiles/measurement.h"

namespace meshplan {

/// What is measured between ranks, how often, and by which clock.
struct LinkProbeOptions {
  /// Sizes S (core/collective.h) from `least` to at most `most`, each four times the one before. A
  /// kind's sweep ends with the first size that takes longer than five times `perSize` for one
  /// operation.
  Bytes least{64}, most{16 << 20};
  /// sendReceive and allReduce are always measured: the link is fitted to them.
  std::vector<CollectiveKind> kinds{CollectiveKind::sendReceive, CollectiveKind::allReduce};
  /// As many repetitions as fit into this time, 7 to 200.
  Seconds perSize{0.02};
  /// Seconds since some moment; empty: the steady clock.
  std::function<double()> clock;
  /// The device of this rank and its ways to the others, to measure these; null: the hosts' own.
  RankParts* parts = nullptr;
};

struct LinkProbe {
  std::vector<CollectiveMeasurement> rows;  // by kind and size, ascending
  LinkSpec link;
};

/// Measures what the ranks of `world` (two at least) need to talk to each other. Every rank calls
/// it, with the same options, and gets rank 0's figures. Rows have the environment, source,
/// transport, nodes and groups of `like`.
///
/// A collective's samples are the times between the ends of two that follow each other, without a
/// barrier: all of them wait for the last rank, so these are times from when it was there. Ranks 0
/// and 1 alone send each other the same bytes there and back, which counts as two; the root of a
/// broadcast is another one each time. The first repetitions are not counted. Between devices with
/// streams a sample is the mean of up to 32 operations that were issued together, as in a step.
///
/// The link, of the given kind, is what docs/cost_model.md, "Communication", needs to predict these
/// times. Both kinds are fitted by fitLink (backend/link_fit.h) to medians: `bandwidth` is the
/// better one of transfers and of the all-reduce's wire bytes, `transfer_efficiency` and
/// `efficiency` what each reaches of it. `base_latency` and `latency` solve
///   transfer: base + latency        all-reduce: base + 2(n-1) latency
/// with both at least 0 (the transfer's sum counts where they cannot). All other prices are zero:
/// they are part of what was measured.
LinkProbe probeLink(Communicator& world, LinkKind kind, const CollectiveMeasurement& like,
                    const LinkProbeOptions& options = {});

}  // namespace meshplan
