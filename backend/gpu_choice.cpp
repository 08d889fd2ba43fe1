// SPDX-License-Identifier: Apache-2.0
#include "backend/gpu_choice.h"

#include <fmt/core.h>

#include <algorithm>
#include <map>
#include <set>
#include <sstream>

#include "core/error.h"

namespace meshplan {
namespace {

std::string textOf(const RankGpus& gpus) {
  std::string text = gpus.host + '\n' + gpus.hostName + '\n' + gpus.problem + '\n' + gpus.remedy;
  for (const std::string& uuid : gpus.uuids) text += '\n' + uuid;
  return text;
}

RankGpus gpusOf(const std::string& text) {
  RankGpus gpus;
  std::istringstream lines(text);
  for (std::string* field : {&gpus.host, &gpus.hostName, &gpus.problem, &gpus.remedy})
    std::getline(lines, *field);
  for (std::string uuid; std::getline(lines, uuid);) gpus.uuids.push_back(uuid);
  return gpus;
}

void checkProblems(const std::vector<RankGpus>& ranks) {
  for (size_t r = 0; r < ranks.size(); ++r)
    if (!ranks[r].problem.empty())
      throw Error(ErrorKind::usage,
                  fmt::format("rank {} on {}: {}", r, ranks[r].hostName, ranks[r].problem),
                  ranks[r].remedy);
}

Error tooFew(const std::vector<RankGpus>& ranks, const RankGpus& one) {
  std::set<std::string> gpus;
  int count = 0;
  for (const RankGpus& other : ranks) {
    if (other.host != one.host) continue;
    ++count;
    gpus.insert(other.uuids.begin(), other.uuids.end());
  }
  return Error(ErrorKind::usage,
               fmt::format("{} ranks on {} see {} GPU{}, and each needs one of its own", count,
                           one.hostName, gpus.size(), gpus.size() == 1 ? "" : "s"),
               fmt::format("start at most {} there, or all ranks as threads of one process on one "
                           "GPU: CUDA_VISIBLE_DEVICES=0 meshplan run --ranks {}",
                           gpus.size(), ranks.size()));
}

}  // namespace

std::vector<RankGpus> gatherGpus(Communicator& world, const RankGpus& mine) {
  std::string text = textOf(mine);
  auto longest = static_cast<double>(text.size());
  world.allReduce(&longest, 1, DType::f64, ReduceOp::max);
  const auto bytes = static_cast<size_t>(longest);
  text.resize(bytes, '\0');
  std::string all(bytes * static_cast<size_t>(world.size()), '\0');
  world.allGather(text.data(), all.data(), static_cast<int64_t>(bytes));
  std::vector<RankGpus> ranks;
  for (size_t at = 0; at < all.size(); at += bytes)
    ranks.push_back(gpusOf(all.substr(at, bytes).c_str()));
  return ranks;
}

std::vector<int> chooseGpus(const std::vector<RankGpus>& ranks, bool mayShare) {
  checkProblems(ranks);
  std::map<std::string, int> taken;
  std::vector<int> chosen;
  for (const RankGpus& rank : ranks) {
    const auto least =
        std::min_element(rank.uuids.begin(), rank.uuids.end(),
                         [&](const auto& a, const auto& b) { return taken[a] < taken[b]; });
    if (least == rank.uuids.end() || (!mayShare && taken[*least] > 0)) throw tooFew(ranks, rank);
    ++taken[*least];
    chosen.push_back(static_cast<int>(least - rank.uuids.begin()));
  }
  return chosen;
}

int ranksOnGpuOf(int rank, const std::vector<RankGpus>& ranks, const std::vector<int>& chosen) {
  const auto uuidOf = [&](size_t r) { return ranks[r].uuids[static_cast<size_t>(chosen[r])]; };
  int count = 0;
  for (size_t r = 0; r < ranks.size(); ++r) count += uuidOf(r) == uuidOf(static_cast<size_t>(rank));
  return count;
}

}  // namespace meshplan
