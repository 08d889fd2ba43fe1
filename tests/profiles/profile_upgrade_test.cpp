// SPDX-License-Identifier: Apache-2.0
// Migrations of a profile store: whole or not at all, and beside readers.
#include <SQLiteCpp/SQLiteCpp.h>
#include <fmt/core.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <atomic>
#include <deque>
#include <filesystem>
#include <thread>

#include "core/error.h"
#include "profiles/profile_database.h"
#include "tests/profiles/fault_vfs.h"
#include "tests/profiles/filled_store.h"
#include "tests/scratch_folder.h"

namespace meshplan {
namespace {

namespace fs = std::filesystem;
using Access = ProfileStore::Access;

SchemaVersions laterVersions() {
  SchemaVersions versions = profileSchema();
  versions.push_back(
      "ALTER TABLE run ADD COLUMN note TEXT NOT NULL DEFAULT 'none';"
      "CREATE TABLE summary (device TEXT NOT NULL, rows INTEGER NOT NULL) STRICT;"
      "INSERT INTO summary SELECT e.device, count(*) FROM operator_time t "
      "JOIN environment e ON e.id = t.environment_id GROUP BY 1;");
  versions.push_back("CREATE INDEX run_note ON run (note); UPDATE run SET note = 'upgraded';");
  return versions;
}

/// Version, tables and columns of a database.
std::string shapeOf(const std::string& path) {
  SQLite::Database database(path, SQLite::OPEN_READWRITE);
  std::string shape = database.execAndGet("PRAGMA user_version").getString() +
                      database.execAndGet("PRAGMA integrity_check").getString();
  SQLite::Statement all(database,
                        "SELECT name || ' ' || sql FROM sqlite_schema WHERE sql IS NOT "
                        "NULL ORDER BY name");
  while (all.executeStep()) shape += "\n" + all.getColumn(0).getString();
  return shape;
}

TEST(ProfileUpgrade, AnUpgradeThatIsKilledAnywhereLeavesTheOldOrTheNewVersion) {
  const ScratchFolder folder(quickDisk());
  const std::string from = filledStore(folder.file("p.db")), to = folder.file("new.db");
  const SchemaVersions versions = laterVersions();
  fs::copy_file(from, to);
  int64_t operations = 0;
  {
    const FaultyDisk disk;
    const ProfileDatabase upgraded(to, true, versions);
    operations = disk.operations();
  }
  const std::string before = shapeOf(from), after = shapeOf(to);
  ASSERT_NE(before, after);
  ASSERT_GT(operations, 5);
  int olds = 0;
  for (int64_t k = 1; k <= operations; ++k) {
    const std::string path = folder.file(fmt::format("{}.db", k));
    fs::copy_file(from, path);
    EXPECT_EQ(statusOf(inChild([&] {
                const FaultyDisk disk(FaultyDisk::Fault::kill, k);
                const ProfileDatabase upgraded(path, true, versions);
                return 0;
              })),
              128 + SIGKILL);
    const std::string shape = shapeOf(path);
    EXPECT_TRUE(shape == before || shape == after) << shape;
    olds += shape == before;
    if (shape == before) {
      EXPECT_EQ(ProfileStore(path).operators().size(), 30u);
    }
    const ProfileDatabase upgraded(path, true, versions);
    EXPECT_EQ(shapeOf(path), after);
  }
  EXPECT_GT(olds, 0);
}

TEST(ProfileUpgrade, AnUpgradeThatFailsLeavesTheOldVersion) {
  const ScratchFolder folder(quickDisk());
  const std::string path = filledStore(folder.file("p.db")), before = shapeOf(path);
  SchemaVersions versions = laterVersions();
  versions.push_back("CREATE TABLE summary (again TEXT) STRICT");
  EXPECT_THROW(ProfileDatabase(path, true, versions), Error);
  EXPECT_EQ(shapeOf(path), before);
  EXPECT_EQ(ProfileStore(path).operators().size(), 30u);
}

TEST(ProfileUpgrade, AFileOfVersionOneIsReadAndUpgraded) {
  const ScratchFolder folder(quickDisk());
  const std::string path = folder.file("one.db");
  const SchemaVersions first(profileSchema().begin(), profileSchema().begin() + 1);
  { const ProfileDatabase made(path, true, first); }
  const std::string before = bytesOf(path);
  EXPECT_EQ(ProfileStore(path, Access::read).algorithms().size(), 0u);
  EXPECT_EQ(bytesOf(path), before);
  ProfileStore store(path);
  store.add(std::vector<AlgorithmChoice>{{{"d", "f", "l"}, "k", "00", Seconds(1), 1}});
  EXPECT_EQ(store.algorithms().size(), 1u);
  store.check();
}

TEST(ProfileUpgrade, AReaderSeesTheNewVersionWithoutChangingTheFile) {
  const ScratchFolder folder(quickDisk());
  const std::string path = filledStore(folder.file("p.db")), before = bytesOf(path);
  const SchemaVersions versions = laterVersions();
  const ProfileDatabase reader(path, false, versions);
  EXPECT_EQ(reader.read([](SQLite::Database& c) {
    return c.execAndGet("SELECT sum(rows) FROM summary").getInt();
  }),
            30);
  EXPECT_EQ(bytesOf(path), before);
  EXPECT_EQ(ProfileStore(folder.write("empty.db", ""), Access::read).operators().size(), 0u);
}

TEST(ProfileUpgrade, AnUpgradeDoesNotBreakReadersAndStopsOlderWriters) {
  const ScratchFolder folder(quickDisk());
  const std::string path = filledStore(folder.file("p.db"));
  ProfileStore writer(path);
  std::atomic<bool> stop = false;
  std::atomic<int> rounds = 0;
  std::vector<std::thread> readers;
  // All open the old version: later ones would be refused.
  std::deque<ProfileStore> stores;
  for (int r = 0; r < 3; ++r) stores.emplace_back(path, Access::read);
  for (const ProfileStore& store : stores)
    readers.emplace_back([&] {
      while (!stop) {
        EXPECT_EQ(store.operators().size(), 30u);
        EXPECT_EQ(store.runs().size(), 3u);
        ++rounds;
      }
    });
  while (rounds < 10) std::this_thread::yield();
  const SchemaVersions versions = laterVersions();
  { const ProfileDatabase upgraded(path, true, versions); }
  const int upgradedAt = rounds;
  while (rounds < upgradedAt + 10) std::this_thread::yield();
  stop = true;
  for (std::thread& t : readers) t.join();
  try {
    writer.add(operatorRows(100, 1));
    FAIL();
  } catch (const Error& e) {
    EXPECT_NE(e.problem().find("a newer Meshplan"), std::string::npos) << e.what();
  }
  EXPECT_EQ(writer.operators().size(), 30u);
}

}  // namespace
}  // namespace meshplan
