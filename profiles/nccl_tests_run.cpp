// SPDX-License-Identifier: Apache-2.0
#include "profiles/nccl_tests_run.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <optional>
#include <set>

#include "core/units.h"

namespace meshplan {
namespace {

struct Named {
  std::string_view name;
  CollectiveKind kind;  // none: no plan has it
};

// Longer names before those that they contain.
constexpr std::array<Named, 11> kPrograms{{{"all_reduce", CollectiveKind::allReduce},
                                           {"all_gather", CollectiveKind::allGather},
                                           {"reduce_scatter", CollectiveKind::reduceScatter},
                                           {"alltoallv", CollectiveKind::none},
                                           {"alltoall", CollectiveKind::allToAll},
                                           {"broadcast", CollectiveKind::broadcast},
                                           {"sendrecv", CollectiveKind::sendReceive},
                                           {"hypercube", CollectiveKind::none},
                                           {"reduce", CollectiveKind::none},
                                           {"gather", CollectiveKind::none},
                                           {"scatter", CollectiveKind::none}}};

std::optional<Named> namedIn(std::string_view text) {
  for (const Named& p : kPrograms)
    if (text.find(p.name) != std::string_view::npos) return p;
  return std::nullopt;
}

bool near(double value, double expected) {
  return std::abs(value - expected) <= 0.03 * expected;
}

/// What only one collective prints: see doc/PERFORMANCE.md of nccl-tests for the factors between
/// the two bandwidths.
std::optional<Named> guess(const NcclTestsRow& row, int64_t ranks) {
  if (row.redop.empty() || row.algbw < 1) return std::nullopt;
  const double part = static_cast<double>(ranks - 1) / static_cast<double>(ranks);
  const double factor = row.busbw / row.algbw;
  const bool reduces = row.redop != "none";
  if (reduces && row.root < 0 && near(factor, 2 * part)) return kPrograms[0];
  if (reduces && row.root < 0 && near(factor, part)) return kPrograms[2];
  if (!reduces && row.root >= 0 && near(factor, 1)) return kPrograms[5];
  if (!reduces && row.root < 0 && near(factor, 1)) return kPrograms[6];
  return std::nullopt;
}

struct GroupShape {
  int64_t ranks = 0, nodes = 0, groups = 0;
};

/// Empty when the groups differ in size.
std::optional<GroupShape> shapeOf(const std::vector<NcclTestsRun::Rank>& ranks) {
  std::map<int64_t, std::pair<int64_t, std::set<std::string>>> groups;
  for (const auto& r : ranks) {
    auto& [count, hosts] = groups[r.group];
    ++count;
    hosts.insert(r.host);
  }
  GroupShape shape;
  shape.groups = static_cast<int64_t>(groups.size());
  for (const auto& [id, group] : groups) {
    if (shape.ranks != 0 && group.first != shape.ranks) return std::nullopt;
    shape.ranks = group.first;
    shape.nodes = std::max(shape.nodes, static_cast<int64_t>(group.second.size()));
  }
  return shape;
}

CollectiveMeasurement measurementOf(CollectiveKind kind, const GroupShape& shape, int64_t size) {
  CollectiveMeasurement m;
  m.transport = "nccl";
  m.kind = kind;
  m.ranks = shape.ranks;
  m.nodes = shape.nodes;
  m.groups = shape.groups;
  m.bytes = Bytes(kind == CollectiveKind::allToAll ? checkedMul(size, shape.ranks) : size);
  if (kind != CollectiveKind::sendReceive) return m;
  // A ring over several nodes leaves and enters each once, and that hop is the slowest.
  m.ranks = 2;
  m.nodes = std::min<int64_t>(2, shape.nodes);
  if (m.nodes == 1) m.groups *= std::max<int64_t>(1, shape.ranks / 2);
  return m;
}

std::string librariesOf(const NcclTestsRun& run) {
  std::string text = run.ncclVersion.empty() ? "nccl" : "nccl " + run.ncclVersion;
  if (!run.testsVersion.empty()) text += ", nccl-tests " + run.testsVersion;
  return text;
}

double totalOf(const NcclTestsRow& row) {
  double sum = 0;
  for (double s : row.seconds) sum += s;
  return sum;
}

std::optional<Named> collectiveOf(const NcclTestsRun& run, const std::string& path, int64_t ranks) {
  if (const auto named = namedIn(run.program)) return named;
  if (const auto named = namedIn(path.substr(path.rfind('/') + 1))) return named;
  const auto fastest =
      std::max_element(run.rows.begin(), run.rows.end(),
                       [](const auto& a, const auto& b) { return a.algbw < b.algbw; });
  return fastest == run.rows.end() ? std::nullopt : guess(*fastest, ranks);
}

}  // namespace

void NcclTestsRun::collect(const Source& source, const ImportOptions& options,
                           ImportCollector& collector) const {
  if (rows.empty() && wrong.empty()) return;
  const std::string& device = ranks.empty() ? std::string() : ranks.front().device;
  collector.setOrigin({importedDevice(options, device, {}, 0, collector), {}, librariesOf(*this)},
                      source);
  const auto shape = shapeOf(ranks);
  const auto named = collectiveOf(*this, source.text, shape ? shape->ranks : 1);
  const std::string name = named ? std::string(named->name) : "a collective";
  for (const NcclTestsRow& row : wrong) collector.leaveOut(name, "wrong results", totalOf(row));
  for (const NcclTestsRow& row : rows) {
    const auto leave = [&](const char* why) { collector.leaveOut(name, why, totalOf(row)); };
    if (!named)
      leave("the file does not say which collective it is");
    else if (named->kind == CollectiveKind::none)
      leave("no plan has this collective");
    else if (!shape)
      leave("the groups of ranks differ in size");
    else if (shape->ranks < 2)
      leave("one rank alone communicates with nobody");
    else if (row.size == 0)
      leave("no bytes are sent");
    else
      collector.addCollective(measurementOf(named->kind, *shape, row.size), row.seconds);
  }
}

std::string ncclVersionText(int64_t code) {
  if (code <= 0) return {};
  const int64_t unit = code >= 10000 ? 10000 : 1000;  // since 2.9: two digits for the minor version
  return fmt::format("{}.{}.{}", code / unit, code % unit / 100, code % 100);
}

}  // namespace meshplan
