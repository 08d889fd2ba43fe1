// SPDX-License-Identifier: Apache-2.0
#include "planner/search/strategy_filter.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "core/error.h"

namespace meshplan {
namespace {

constexpr std::string_view kKeys =
    "dp, tp, pp, ep, vpp, mbs, zero, bucket, sp, schedule, recompute, transfers, collectives, "
    "gather, "
    "stages";

Error badStrategy(std::string problem, std::string remedy) {
  return Error(ErrorKind::usage, std::move(problem), std::move(remedy)).at("--strategy");
}

int64_t parseNumber(std::string_view key, std::string_view text) {
  int64_t value = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value);
  const int64_t least = key == "zero" ? 0 : 1;
  if (failed != std::errc() || end != text.data() + text.size() || value < least ||
      value > (1 << 24))
    throw badStrategy(fmt::format("'{}' is no value for {}", text, key),
                      fmt::format("use a whole number from {}", least));
  return value;
}

template <class T>
T parseChoice(std::string_view key, std::string_view text,
              const std::vector<std::pair<std::string_view, T>>& choices) {
  std::string names;
  for (const auto& [name, value] : choices) {
    if (name == text) return value;
    names += fmt::format("{}{}", names.empty() ? "" : ", ", name);
  }
  throw badStrategy(fmt::format("'{}' is no value for {}", text, key), "one of " + names);
}

template <class T>
void setOnce(std::optional<T>& field, T value, std::string_view key) {
  if (field && *field != value)
    throw badStrategy(fmt::format("two values for {}", key), "give each key once");
  field = value;
}

ChoiceRange* rangeOf(StrategyFilter& f, std::string_view key) {
  if (key == "dp") return &f.replicas;
  if (key == "tp") return &f.tensor;
  if (key == "pp") return &f.pipeline;
  if (key == "ep") return &f.expert;
  if (key == "vpp") return &f.virtualStages;
  if (key == "mbs") return &f.microBatch;
  if (key == "zero") return &f.zeroStage;
  if (key == "bucket") return &f.bucketMiB;
  return nullptr;
}

void applyRange(ChoiceRange& range, std::string_view key, std::string_view op,
                std::string_view text) {
  const int64_t value = parseNumber(key, text);
  if (op != ">=") range.max = std::min(range.max, value);
  if (op != "<=") range.min = std::max(range.min, value);
  if (range.min > range.max)
    throw badStrategy(fmt::format("the limits on {} exclude each other", key), "drop one of them");
}

struct Flag {
  std::string_view key, no, yes;
  bool StrategyFilter::*member;
};

constexpr Flag kFlags[] = {
    {"transfers", "overlapped", "blocking", &StrategyFilter::blockingTransfers},
    {"collectives", "blocking", "overlapped", &StrategyFilter::overlapTensor},
    {"gather", "block", "parameter", &StrategyFilter::gatherSingly},
    {"stages", "balanced", "even", &StrategyFilter::evenStages},
};

std::vector<int64_t> parseBlocks(std::string_view text) {
  std::vector<int64_t> blocks;
  for (size_t from = 0; from <= text.size();) {
    const size_t colon = std::min(text.find(':', from), text.size());
    blocks.push_back(parseNumber("stages", text.substr(from, colon - from)));
    from = colon + 1;
  }
  return blocks;
}

/// False: there is no such key.
bool applyChoice(StrategyFilter& filter, std::string_view key, std::string_view value) {
  if (key == "stages" && value.find_first_of("0123456789") == 0) {
    filter.blocksPerChunk = parseBlocks(value);
    return true;
  }
  for (const Flag& f : kFlags)
    if (key == f.key) {
      filter.*f.member = parseChoice<bool>(key, value, {{f.no, false}, {f.yes, true}});
      return true;
    }
  if (key == "sp")
    setOnce(filter.sequenceParallel, parseChoice<bool>(key, value, {{"on", true}, {"off", false}}),
            key);
  else if (key == "schedule")
    setOnce(filter.schedule,
            parseChoice<ScheduleKind>(key, value,
                                      {{"gpipe", ScheduleKind::gpipe},
                                       {"1f1b", ScheduleKind::oneFOneB},
                                       {"interleaved", ScheduleKind::interleaved}}),
            key);
  else if (key == "recompute")
    setOnce(filter.recompute,
            parseChoice<Recompute>(key, value,
                                   {{"none", Recompute::none},
                                    {"selective", Recompute::selective},
                                    {"full", Recompute::full}}),
            key);
  else
    return false;
  return true;
}

void applyItem(StrategyFilter& filter, std::string_view item) {
  const size_t at = item.find_first_of("<>=");
  if (at == std::string_view::npos)
    throw badStrategy(fmt::format("'{}' has no value", item),
                      "write key=value, key<=value or key>=value");
  const std::string_view key = item.substr(0, at);
  const std::string_view op = item.substr(at, item[at] == '=' ? 1 : 2);
  const std::string_view value = item.substr(std::min(item.size(), at + op.size()));
  if (op != "=" && op != "<=" && op != ">=")
    throw badStrategy(fmt::format("'{}' is not understood", item), "use =, <= or >=");
  if (ChoiceRange* range = rangeOf(filter, key)) return applyRange(*range, key, op, value);
  if (!applyChoice(filter, key, value))
    throw badStrategy(fmt::format("unknown key '{}'", key), fmt::format("the keys are {}", kKeys));
  if (op != "=") throw badStrategy(fmt::format("{} takes '=' only", key), "write key=value");
}

}  // namespace

StrategyFilter parseStrategy(std::string_view text) {
  StrategyFilter filter;
  while (!text.empty()) {
    const size_t comma = std::min(text.find(','), text.size());
    std::string item(text.substr(0, comma));
    item.erase(std::remove(item.begin(), item.end(), ' '), item.end());
    if (!item.empty()) {
      applyItem(filter, item);
      filter.empty = false;
    }
    text.remove_prefix(std::min(text.size(), comma + 1));
  }
  return filter;
}

}  // namespace meshplan
