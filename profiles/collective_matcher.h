// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "profiles/imported.h"

namespace meshplan {

/// A collective as one rank's profile shows it. Bytes are those of one rank's buffers; -1: unknown.
struct RankCollective {
  std::string name;   // "allreduce", "_allgather_base", "ncclAllReduce"
  std::string group;  // the same text on all ranks of a group
  std::string peers;  // groups that are used alike have the same text
  int64_t ranks = -1, rank = 0;
  std::string host;    // of the rank
  int64_t order = -1;  // which collective of the group it is; -1: unknown
  int64_t inBytes = -1, outBytes = -1;
  bool uneven = false;
  double seconds = 0;
};

/// The kind of collective of a name as PyTorch or NCCL write it; none for what no plan has.
std::optional<CollectiveKind> collectiveKindOf(const std::string& name);
/// S of core/collective.h from one rank's buffers; nothing where they do not say it.
std::optional<int64_t> fullBytesOf(CollectiveKind kind, const RankCollective& c);

/// Finds the ranks of the same collective. A rank's kernel includes waiting for the others, so that
/// only the shortest over all ranks of the group counts: collectives of which a rank's profile is
/// missing are left out.
class CollectiveMatcher {
 public:
  void add(const RankCollective& c);
  void collect(const std::string& transport, ImportCollector& collector) const;

 private:
  struct Together {
    RankCollective shortest;
    std::set<int64_t> ranks;
    std::set<std::string> hosts;
    double total = 0;
    bool uneven = false;
  };
  using Key = std::tuple<std::string, std::string, int64_t>;  // group, name, order

  std::map<Key, Together> together_;
  std::vector<RankCollective> alone_;
};

/// "Float", "c10::BFloat16", "bfloat16" ...: bytes of an element; 0: unknown.
int64_t elementBytes(std::string_view dtype);

}  // namespace meshplan
