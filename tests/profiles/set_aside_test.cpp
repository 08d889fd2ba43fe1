// SPDX-License-Identifier: Apache-2.0
#include "profiles/set_aside.h"

#include <SQLiteCpp/SQLiteCpp.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <sstream>
#include <thread>

#include "tests/profiles/measurement_examples.h"
#include "tests/scratch_folder.h"

namespace meshplan {
namespace {

namespace fs = std::filesystem;

std::string bytesOf(const std::string& path) {
  std::stringstream bytes;
  bytes << std::ifstream(path, std::ios::binary).rdbuf();
  return bytes.str();
}

/// A store of some pages, the middle of which is overwritten.
std::string damagedStore(const ScratchFolder& folder) {
  std::vector<OperatorMeasurement> rows;
  for (uint32_t seed = 0; seed < 100; ++seed) rows.push_back(exampleOperator(seed));
  { ProfileStore(folder.file("whole.db")).add(rows); }
  std::string bytes = bytesOf(folder.file("whole.db"));
  fs::remove(folder.file("whole.db"));
  bytes.replace(bytes.size() / 4, bytes.size() / 2, bytes.size() / 2, '\xa5');
  return bytes;
}

std::string keptFile(const ScratchFolder& folder) {
  for (const auto& entry : fs::directory_iterator(folder.file("")))
    if (entry.path().string().find(".damaged-") != std::string::npos) return entry.path().string();
  return {};
}

TEST(SetAside, OpensASoundStoreWithoutAWord) {
  const ScratchFolder folder;
  for (int i = 0; i < 2; ++i) {
    OpenedStore opened = openOrSetAside(folder.file("p.db"));
    ASSERT_TRUE(opened.store);
    EXPECT_EQ(opened.message, "");
    EXPECT_EQ(opened.store->operators().size(), static_cast<size_t>(i));
    opened.store->add(std::vector{exampleOperator(1)});
  }
  EXPECT_EQ(folder.entries(), 1u);
}

TEST(SetAside, KeepsADamagedStoreAndBeginsANewOne) {
  const ScratchFolder folder;
  const std::string bytes = damagedStore(folder);
  const std::string path = folder.write("p.db", bytes);
  OpenedStore opened = openOrSetAside(path);
  ASSERT_TRUE(opened.store) << opened.message;
  EXPECT_NE(opened.message.find("p.db: "), std::string::npos) << opened.message;
  EXPECT_NE(opened.message.find("kept as p.db.damaged-20"), std::string::npos) << opened.message;
  opened.store->add(std::vector{exampleOperator(1)});
  EXPECT_EQ(opened.store->operators().size(), 1u);
  EXPECT_EQ(bytesOf(keptFile(folder)), bytes);
  EXPECT_EQ(folder.entries(), 2u);
}

TEST(SetAside, TakesTheJournalAlong) {
  const ScratchFolder folder;
  const std::string path = folder.write("p.db", damagedStore(folder));
  folder.write("p.db-journal", "not hot");
  EXPECT_TRUE(openOrSetAside(path).store);
  EXPECT_FALSE(fs::exists(path + "-journal"));
}

TEST(SetAside, LeavesForeignFilesAlone) {
  const ScratchFolder folder;
  SQLite::Database(folder.file("foreign.db"), SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE)
      .exec("CREATE TABLE t (x); INSERT INTO t VALUES (1)");
  folder.write("model.json", "{\"a\": 1}");
  for (const char* name : {"foreign.db", "model.json"}) {
    const std::string before = bytesOf(folder.file(name));
    const OpenedStore opened = openOrSetAside(folder.file(name));
    EXPECT_FALSE(opened.store);
    EXPECT_NE(opened.message.find("not a profile database"), std::string::npos) << opened.message;
    EXPECT_EQ(bytesOf(folder.file(name)), before);
  }
  EXPECT_EQ(folder.entries(), 2u);
}

TEST(SetAside, AtTheUsersOwnPlaceNothingButAProfileDatabaseBelongs) {
  const ScratchFolder folder;
  const std::string path = folder.write("p.db", std::string(9000, '\0'));
  ::setenv("MESHPLAN_PROFILES", path.c_str(), 1);
  const OpenedStore opened = openOrSetAside(path);
  ::unsetenv("MESHPLAN_PROFILES");
  EXPECT_TRUE(opened.store) << opened.message;
  EXPECT_EQ(bytesOf(keptFile(folder)), std::string(9000, '\0'));
}

TEST(SetAside, LeavesTheDatabaseOfANewerVersionAlone) {
  const ScratchFolder folder;
  const std::string path = folder.file("p.db");
  { ProfileStore(path).add(std::vector{exampleOperator(1)}); }
  SQLite::Database(path, SQLite::OPEN_READWRITE).exec("PRAGMA user_version = 1000");
  const std::string before = bytesOf(path);
  const OpenedStore opened = openOrSetAside(path);
  EXPECT_FALSE(opened.store);
  EXPECT_NE(opened.message.find("a newer Meshplan has written"), std::string::npos)
      << opened.message;
  EXPECT_EQ(bytesOf(path), before);
  EXPECT_EQ(folder.entries(), 1u);
}

TEST(SetAside, GoesOnWithoutAStore) {
  const ScratchFolder folder;
  EXPECT_FALSE(openOrSetAside("").store);
  EXPECT_EQ(openOrSetAside("").message, "");
  for (const std::string& path :
       {folder.file(""), folder.write("file", "x") + "/p.db", std::string("/proc/nowhere/p.db")}) {
    const OpenedStore opened = openOrSetAside(path);
    EXPECT_FALSE(opened.store) << path;
    EXPECT_NE(opened.message.find("measurements are not kept"), std::string::npos)
        << opened.message;
  }
}

TEST(SetAside, SeveralAtOnceKeepTheDamagedFileAndShareTheNewOne) {
  const ScratchFolder folder;
  for (int round = 0; round < 10; ++round) {
    const std::string path = folder.write(std::to_string(round) + "/p.db", damagedStore(folder));
    std::vector<std::thread> threads;
    for (uint32_t i = 0; i < 4; ++i)
      threads.emplace_back([&, i] {
        OpenedStore opened = openOrSetAside(path);
        ASSERT_TRUE(opened.store) << opened.message;
        opened.store->add(std::vector{exampleOperator(i)});
      });
    for (std::thread& t : threads) t.join();
    EXPECT_EQ(ProfileStore(path, ProfileStore::Access::read).operators().size(), 4u);
    const auto files = fs::directory_iterator(fs::path(path).parent_path());
    EXPECT_EQ(std::distance(files, {}), 2);
  }
}

}  // namespace
}  // namespace meshplan
