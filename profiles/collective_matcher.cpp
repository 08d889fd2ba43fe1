// SPDX-License-Identifier: Apache-2.0
#include "profiles/collective_matcher.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>

#include "core/units.h"

namespace meshplan {
namespace {

/// Lower case without the marks that names differ in: "_reduce_scatter_base", "ncclReduceScatter".
std::string plain(std::string_view name) {
  std::string text;
  for (char c : name)
    if (std::isalnum(static_cast<unsigned char>(c)))
      text += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

struct Named {
  std::string_view part;
  CollectiveKind kind;
};

// Longer names before those that they contain.
constexpr std::array<Named, 6> kNames{{{"allreduce", CollectiveKind::allReduce},
                                       {"reducescatter", CollectiveKind::reduceScatter},
                                       {"allgather", CollectiveKind::allGather},
                                       {"alltoall", CollectiveKind::allToAll},
                                       {"broadcast", CollectiveKind::broadcast},
                                       {"bcast", CollectiveKind::broadcast}}};

constexpr int64_t kMostBytes = int64_t{1} << 50;

}  // namespace

std::optional<CollectiveKind> collectiveKindOf(const std::string& name) {
  const std::string text = plain(name);
  for (const Named& n : kNames)
    if (text.find(n.part) != std::string::npos) return n.kind;
  return std::nullopt;
}

std::optional<int64_t> fullBytesOf(CollectiveKind kind, const RankCollective& c) {
  const auto known = [](int64_t bytes, int64_t times) -> std::optional<int64_t> {
    if (bytes <= 0 || bytes > kMostBytes || times < 1) return std::nullopt;
    return checkedMul(bytes, times);
  };
  switch (kind) {
    case CollectiveKind::allGather:
      return c.outBytes > 0 ? known(c.outBytes, 1) : known(c.inBytes, c.ranks);
    case CollectiveKind::reduceScatter:
      return c.inBytes > 0 ? known(c.inBytes, 1) : known(c.outBytes, c.ranks);
    case CollectiveKind::allToAll:
      return known(c.inBytes, c.ranks);
    default:
      return known(c.inBytes > 0 ? c.inBytes : c.outBytes, 1);
  }
}

void CollectiveMatcher::add(const RankCollective& c) {
  if (c.order < 0 || c.ranks < 2) return alone_.push_back(c);
  Together& t = together_[{c.group, c.name, c.order}];
  if (t.ranks.empty() || c.seconds < t.shortest.seconds) t.shortest = c;
  t.ranks.insert(c.rank);
  t.hosts.insert(c.host);
  t.total += c.seconds;
  t.uneven = t.uneven || c.uneven;
}

void CollectiveMatcher::collect(const std::string& transport, ImportCollector& collector) const {
  for (const RankCollective& c : alone_)
    collector.leaveOut(c.name,
                       c.ranks == 1 ? "one rank alone communicates with nobody"
                                    : "neither group nor sequence number are recorded",
                       c.seconds);
  // Groups that are used alike on the same nodes communicate at the same time.
  std::map<std::tuple<std::string, std::string, std::set<std::string>>, std::set<std::string>>
      siblings;
  for (const auto& [key, t] : together_)
    siblings[{t.shortest.peers, t.shortest.name, t.hosts}].insert(std::get<0>(key));
  for (const auto& [key, t] : together_) {
    const RankCollective& c = t.shortest;
    const auto leave = [&, total = t.total](const std::string& why) {
      collector.leaveOut(c.name, why, total);
    };
    const auto kind = collectiveKindOf(c.name);
    const auto bytes = kind ? fullBytesOf(*kind, c) : std::nullopt;
    if (!kind)
      leave("no plan has this collective");
    else if (static_cast<int64_t>(t.ranks.size()) < c.ranks)
      leave("its time includes waiting for ranks whose profiles were not given");
    else if (t.uneven)
      leave("its ranks send unequal parts");
    else if (!bytes)
      leave("its size is not recorded");
    else {
      CollectiveMeasurement m;
      m.transport = transport;
      m.kind = *kind;
      m.bytes = Bytes(*bytes);
      m.ranks = c.ranks;
      m.nodes = static_cast<int64_t>(t.hosts.size());
      m.groups = static_cast<int64_t>(siblings[{c.peers, c.name, t.hosts}].size());
      collector.addCollective(m, {c.seconds});
      const double waiting = t.total - c.seconds * static_cast<double>(c.ranks);
      if (waiting > 0) collector.leaveOut(c.name, "waiting for other ranks", waiting);
    }
  }
}

int64_t elementBytes(std::string_view dtype) {
  const std::string text =
      plain(dtype.substr(dtype.rfind(':') == std::string_view::npos ? 0 : dtype.rfind(':') + 1));
  const auto is = [&](std::initializer_list<std::string_view> names) {
    return std::find(names.begin(), names.end(), text) != names.end();
  };
  if (is({"float", "float32", "int", "int32", "uint32"})) return 4;
  if (is({"bfloat16", "half", "float16", "short", "int16", "uint16"})) return 2;
  if (is({"double", "float64", "long", "longint", "int64", "uint64", "complexfloat"})) return 8;
  if (is({"byte", "char", "bool", "int8", "uint8", "unsignedchar", "signedchar"})) return 1;
  return text.starts_with("float8") ? 1 : 0;
}

}  // namespace meshplan
