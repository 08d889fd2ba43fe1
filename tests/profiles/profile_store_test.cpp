// SPDX-License-Identifier: Apache-2.0
#include "profiles/profile_store.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>

#include "core/error.h"
#include "profiles/catalog.h"
#include "tests/profiles/measurement_examples.h"
#include "tests/scratch_folder.h"

namespace meshplan {
namespace {

template <class Row>
std::vector<std::string> sortedTexts(const std::vector<Row>& rows) {
  std::vector<std::string> texts = textsOf(rows);
  std::sort(texts.begin(), texts.end());
  return texts;
}

template <class Row>
std::vector<Row> examples(Row (*example)(uint32_t), uint32_t count, uint32_t from = 0) {
  std::vector<Row> rows;
  for (uint32_t seed = from; seed < from + count; ++seed) rows.push_back(example(seed));
  return rows;
}

TEST(ProfileStore, GivesBackWhatWasAdded) {
  const ScratchFolder folder;
  const auto operators = examples(exampleOperator, 200);
  const auto collectives = examples(exampleCollective, 200);
  {
    ProfileStore store(folder.file("p.db"));
    store.add(operators);
    store.add(collectives);
  }
  const ProfileStore store(folder.file("p.db"), ProfileStore::Access::read);
  EXPECT_EQ(sortedTexts(store.operators()), sortedTexts(operators));
  EXPECT_EQ(sortedTexts(store.collectives()), sortedTexts(collectives));
  for (const auto& read : store.operators())
    EXPECT_TRUE(std::any_of(operators.begin(), operators.end(),
                            [&](const auto& added) { return added.work == read.work; }));
  store.check();
}

TEST(ProfileStore, KeepsTheFirstChoiceOfAnAlgorithm) {
  const ScratchFolder folder;
  const Environment here{"H200", "one", "cuBLASLt 13.1.0"}, other{"A100", "two", "cuBLASLt 13.1.0"};
  ProfileStore store(folder.file("p.db"));
  store.add(std::vector<AlgorithmChoice>{{here, "768x768", "00ff", Seconds(1e-3), 5},
                                         {here, "64x64", "0a", Seconds(2e-6), 7},
                                         {here, "768x768", "1234", Seconds(1e-4), 8},
                                         {other, "768x768", "77", Seconds(3e-3), 6}});
  const auto mine = store.algorithms("H200");
  ASSERT_EQ(mine.size(), 2u);
  EXPECT_EQ(mine[0].key, "768x768");
  EXPECT_EQ(mine[0].algorithm, "00ff");
  EXPECT_EQ(mine[0].seconds, Seconds(1e-3));
  EXPECT_EQ(mine[0].environment, here);
  EXPECT_EQ(mine[1].key, "64x64");
  ProfileStore merged(folder.file("merged.db"));
  merged.merge(store);
  EXPECT_EQ(merged.algorithms().size(), 3u);
}

TEST(ProfileStore, GivesTheOldestFirstAndOneDeviceOnRequest) {
  const ScratchFolder folder;
  ProfileStore store(folder.file("p.db"));
  store.add(examples(exampleOperator, 100));
  store.add(examples(exampleCollective, 100));
  const auto byTime = [](const auto& a, const auto& b) { return a.source.time < b.source.time; };
  const auto operators = store.operators("device 1");
  const auto collectives = store.collectives("device 1");
  EXPECT_GT(operators.size(), 10u);
  EXPECT_LT(operators.size(), 90u);
  EXPECT_TRUE(std::is_sorted(operators.begin(), operators.end(), byTime));
  EXPECT_TRUE(std::is_sorted(collectives.begin(), collectives.end(), byTime));
  for (const auto& m : operators) EXPECT_EQ(m.environment.device, "device 1");
  for (const auto& m : collectives) EXPECT_EQ(m.environment.device, "device 1");
  EXPECT_TRUE(store.operators("device").empty());
}

TEST(ProfileStore, KeepsRunsWithTheirInstructionsNewestFirst) {
  const ScratchFolder folder;
  ProfileStore store(folder.file("p.db"));
  std::vector<RunMeasurement> added;
  for (uint32_t seed = 0; seed < 20; ++seed) {
    const RunMeasurement run = exampleRun(seed);
    const int64_t id = store.add(run, exampleInstructions(seed));
    EXPECT_EQ(textsOf(store.instructions(id)), textsOf(exampleInstructions(seed)));
    added.push_back(run);
  }
  const auto runs = store.runs();
  EXPECT_EQ(sortedTexts(runs), sortedTexts(added));
  EXPECT_TRUE(std::is_sorted(runs.rbegin(), runs.rend(), [](const auto& a, const auto& b) {
    return a.source.time < b.source.time;
  }));
  EXPECT_TRUE(store.instructions(1000).empty());
}

TEST(ProfileStore, KeepsDevicesAsTheyWereMeasured) {
  const ScratchFolder folder;
  ProfileStore store(folder.file("p.db"));
  const Hardware hardware = Catalog::builtIn().hardware();
  int64_t time = 0;
  for (const auto& [name, device] : hardware.devices)
    store.add({name, "f", "l"}, device, hardware.links.begin()->second, ++time);
  store.add({"alone", "f", "l"}, hardware.devices.begin()->second, {}, ++time);
  const auto devices = store.devices();
  ASSERT_EQ(devices.size(), hardware.devices.size() + 1);
  EXPECT_EQ(devices[0].link.bandwidth.value, 0);
  for (size_t i = 1; i < devices.size(); ++i) {
    const DeviceSpec& expected = hardware.devices.at(devices[i].device.name);
    EXPECT_EQ(devices[i].time, time - static_cast<int64_t>(i));
    EXPECT_EQ(devices[i].device.memoryBandwidth, expected.memoryBandwidth);
    EXPECT_EQ(devices[i].device.matrixPeak, expected.matrixPeak);
    EXPECT_EQ(devices[i].device.parameters.size(), expected.parameters.size());
    EXPECT_EQ(devices[i].device.source, expected.source);
    EXPECT_EQ(devices[i].link.bandwidth, hardware.links.begin()->second.bandwidth);
    EXPECT_EQ(devices[i].link.name, hardware.links.begin()->second.name);
  }
}

TEST(ProfileStore, HoldsAMeasurementOnce) {
  const ScratchFolder folder;
  ProfileStore store(folder.file("p.db"));
  int64_t id = 0;
  for (int i = 0; i < 3; ++i) {
    store.add(examples(exampleOperator, 10));
    store.add(examples(exampleCollective, 10));
    const int64_t again = store.add(exampleRun(1), exampleInstructions(1));
    EXPECT_TRUE(i == 0 || again == id);
    id = again;
  }
  EXPECT_EQ(store.operators().size(), 10u);
  EXPECT_EQ(store.collectives().size(), 10u);
  EXPECT_EQ(store.runs().size(), 1u);
  EXPECT_EQ(store.instructions(id).size(), exampleInstructions(1).size());
}

TEST(ProfileStore, RefusesFiguresThatAreNotFiniteAndKeepsNothingOfTheCall) {
  const ScratchFolder folder;
  ProfileStore store(folder.file("p.db"));
  for (double bad :
       {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity(), -1.0}) {
    auto rows = examples(exampleOperator, 5);
    rows[3].samples.median = Seconds(bad);
    try {
      store.add(rows);
      FAIL() << bad;
    } catch (const Error& e) {
      EXPECT_EQ(e.kind(), ErrorKind::input);
      EXPECT_EQ(e.file(), store.path());
    }
    EXPECT_TRUE(store.operators().empty());
  }
  auto rows = examples(exampleOperator, 1);
  rows[0].work.attention.heads = std::numeric_limits<double>::infinity();
  EXPECT_THROW(store.add(rows), Error);
  store.add(examples(exampleOperator, 5));
  EXPECT_EQ(store.operators().size(), 5u);
}

TEST(ProfileStore, MergingTwiceAddsNothing) {
  const ScratchFolder folder;
  ProfileStore a(folder.file("a.db")), b(folder.file("b.db"));
  a.add(examples(exampleOperator, 20));
  b.add(examples(exampleOperator, 20, 10));
  a.add(examples(exampleCollective, 20));
  b.add(examples(exampleCollective, 20, 10));
  for (uint32_t seed = 0; seed < 8; ++seed)
    (seed < 5 ? a : b).add(exampleRun(seed), exampleInstructions(seed));
  b.add(exampleRun(0), exampleInstructions(0));
  const DeviceSpec device = Catalog::builtIn().hardware().devices.begin()->second;
  b.add({"x", "y", "z"}, device, {}, 5);
  const ProfileStore::Contents added = a.merge(b);
  EXPECT_EQ(added.operators, 10);
  EXPECT_EQ(added.collectives, 10);
  EXPECT_EQ(added.runs, 3);
  EXPECT_EQ(added.devices, 1);
  EXPECT_EQ(sortedTexts(a.operators()), sortedTexts(examples(exampleOperator, 30)));
  for (const RunMeasurement& run : a.runs()) EXPECT_EQ(a.instructions(run.id).size(), 12u);
  const ProfileStore::Contents again = a.merge(b);
  EXPECT_EQ(again.operators + again.collectives + again.runs + again.devices, 0);
  const ProfileStore::Contents self = a.merge(a);
  EXPECT_EQ(self.operators + self.collectives + self.runs + self.devices, 0);
}

TEST(ProfileStore, SumsUpWhatIsKnownOfEachEnvironment) {
  const ScratchFolder folder;
  ProfileStore store(folder.file("p.db"));
  OperatorMeasurement o = exampleOperator(1);
  CollectiveMeasurement c = exampleCollective(1);
  o.environment = c.environment = {"a", "b", "c"};
  o.source.time = 10;
  c.source.time = 30;
  store.add(std::vector{o});
  store.add(std::vector{c});
  OperatorMeasurement other = exampleOperator(2);
  other.environment = {"a", "b", "d"};
  store.add(std::vector{other});
  const auto summary = store.environments();
  ASSERT_EQ(summary.size(), 2u);
  EXPECT_EQ(summary[0].environment, o.environment);
  EXPECT_EQ(summary[0].contents.operators, 1);
  EXPECT_EQ(summary[0].contents.collectives, 1);
  EXPECT_EQ(summary[0].contents.runs, 0);
  EXPECT_EQ(summary[0].first, 10);
  EXPECT_EQ(summary[0].last, 30);
  EXPECT_EQ(summary[1].environment, other.environment);
}

TEST(ProfileStore, SaysWhenThereIsNoFileToRead) {
  const ScratchFolder folder;
  try {
    ProfileStore(folder.file("p.db"), ProfileStore::Access::read);
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::input);
    EXPECT_EQ(e.file(), folder.file("p.db"));
  }
  EXPECT_EQ(folder.entries(), 0u);
  EXPECT_THROW(ProfileStore(""), Error);
}

TEST(ProfileStore, MakesTheFoldersOfItsFileAndTakesAnyName) {
  const ScratchFolder folder;
  for (const char* name : {"a/b/c/p.db", "what?mode=memory", "100%25#x", "file:x", ":memory:"}) {
    { ProfileStore(folder.file(name)).add(examples(exampleOperator, 1)); }
    EXPECT_TRUE(std::filesystem::exists(folder.file(name))) << name;
    EXPECT_EQ(ProfileStore(folder.file(name), ProfileStore::Access::read).operators().size(), 1u);
  }
}

}  // namespace
}  // namespace meshplan
