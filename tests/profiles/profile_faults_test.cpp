// SPDX-License-Identifier: Apache-2.0
// What a profile store promises when writers are killed, disks fail and files are damaged.
#include <SQLiteCpp/SQLiteCpp.h>
#include <fcntl.h>
#include <fmt/core.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <functional>
#include <random>
#include <set>
#include <sstream>
#include <thread>

#include "core/error.h"
#include "profiles/profile_database.h"
#include "profiles/set_aside.h"
#include "tests/backend/long_tests.h"
#include "tests/profiles/fault_vfs.h"
#include "tests/profiles/filled_store.h"
#include "tests/profiles/measurement_examples.h"
#include "tests/scratch_folder.h"

namespace meshplan {
namespace {

namespace fs = std::filesystem;
using Access = ProfileStore::Access;

std::set<int64_t> numbers(const ProfileStore& store, const std::string& device) {
  std::set<int64_t> found;
  for (const CollectiveMeasurement& m : store.collectives(device)) found.insert(m.bytes.value);
  return found;
}

// --- killed writers

/// Adds rows one by one and writes a byte to `told` after each.
[[noreturn]] void writeUntilKilled(const std::string& path, const std::string& device, int told) {
  ProfileStore store(path);
  for (int64_t i = 0;; ++i) {
    store.add(std::vector{numbered(device, i)});
    if (::write(told, "x", 1) != 1) ::_exit(1);
  }
}

int64_t killedAfter(const std::string& path, const std::string& device,
                    std::chrono::microseconds delay) {
  int pipe[2];
  if (::pipe(pipe) != 0) return -1;
  const pid_t child = inChild([&]() -> int { writeUntilKilled(path, device, pipe[1]); });
  ::close(pipe[1]);
  std::this_thread::sleep_for(delay);
  ::kill(child, SIGKILL);
  EXPECT_EQ(statusOf(child), 128 + SIGKILL);
  int64_t acknowledged = 0;
  char bytes[4096];
  for (ssize_t n = 0; (n = ::read(pipe[0], bytes, sizeof bytes)) > 0;) acknowledged += n;
  ::close(pipe[0]);
  return acknowledged;
}

TEST(ProfileFaults, AKilledWriterLosesNothingThatWasAcknowledged) {
  const ScratchFolder folder(quickDisk());
  const std::string path = folder.file("p.db");
  { const ProfileStore made(path); }
  std::mt19937 random(7);
  std::uniform_int_distribution<int> microseconds(0, 20000);
  const int kills = longTests() ? 1000 : 40;
  int64_t total = 0;
  int journals = 0;
  for (int i = 0; i < kills; ++i) {
    const std::string device = fmt::format("round {}", i);
    const int64_t acknowledged =
        killedAfter(path, device, std::chrono::microseconds(microseconds(random)));
    journals += fs::exists(path + "-journal");
    const ProfileStore store(path, i % 2 ? Access::read : Access::write);
    store.check();
    const std::set<int64_t> kept = numbers(store, device);
    ASSERT_GE(static_cast<int64_t>(kept.size()), acknowledged);
    ASSERT_LE(static_cast<int64_t>(kept.size()), acknowledged + 1);
    if (!kept.empty()) {
      ASSERT_EQ(*kept.rbegin(), static_cast<int64_t>(kept.size()) - 1);
    }
    total += acknowledged;
  }
  fmt::print(
      "{} writers killed, {} of them inside a transaction; {} rows acknowledged, all there\n",
      kills, journals, total);
  EXPECT_GT(total, kills);
}

// --- many writers

TEST(ProfileFaults, EightWritersAtOnceLoseNothingAndAreNeverTurnedAway) {
  const ScratchFolder folder(quickDisk());
  const std::string path = folder.file("p.db");
  const int64_t transactions = longTests() ? 10000 : 100;
  std::vector<pid_t> writers;
  for (int w = 0; w < 8; ++w)
    writers.push_back(inChild([&] {
      ProfileStore store(path);
      for (int64_t i = 0; i < transactions; ++i)
        store.add(std::vector{numbered(fmt::format("writer {}", w), i)});
      return 0;
    }));
  for (pid_t writer : writers) EXPECT_EQ(statusOf(writer), 0);
  const ProfileStore store(path, Access::read);
  store.check();
  for (int w = 0; w < 8; ++w)
    EXPECT_EQ(static_cast<int64_t>(numbers(store, fmt::format("writer {}", w)).size()),
              transactions);
}

// --- failing disks

struct Attempt {
  bool acknowledged = false;
  std::string problem;
};

Attempt addTo(const std::string& path) {
  try {
    ProfileStore store(path);
    store.add(operatorRows(100, 30));
    return {true, ""};
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::runtime) << e.what();
    EXPECT_EQ(e.file(), path);
    EXPECT_FALSE(e.remedy().empty());
    return {false, e.problem()};
  }
}

int64_t operationsOf(const ScratchFolder& folder, const std::string& from) {
  const std::string path = folder.file("counted.db");
  fs::remove(path);
  if (!from.empty()) fs::copy_file(from, path);
  const FaultyDisk disk;
  EXPECT_TRUE(addTo(path).acknowledged);
  return disk.operations();
}

/// Every operation of opening a store (made, or a copy of `from`) and adding rows to it fails once,
/// or fails and goes on failing.
void failEverywhere(FaultyDisk::Fault fault, const std::string& from, const std::string& expected) {
  const ScratchFolder folder(quickDisk());
  const int64_t operations = operationsOf(folder, from);
  const size_t before = from.empty() ? 0 : 30;
  ASSERT_GT(operations, 10);
  int refused = 0;
  for (bool once : {true, false})
    for (int64_t k = 1; k <= operations; ++k) {
      const std::string path = folder.file(fmt::format("{}-{}.db", k, once));
      if (!from.empty()) fs::copy_file(from, path);
      Attempt attempt;
      {
        const FaultyDisk disk(fault, k, once);
        attempt = addTo(path);
      }
      if (!attempt.acknowledged && attempt.problem.find(expected) != std::string::npos) ++refused;
      const ProfileStore store(path);
      store.check();
      const size_t rows = store.operators().size();
      EXPECT_TRUE(rows == before + 30 || (rows == before && !attempt.acknowledged))
          << k << " " << rows;
    }
  EXPECT_GT(refused, operations);
}

TEST(ProfileFaults, AnErrorAtAnyOperationLeavesTheOldRowsOrAll) {
  const ScratchFolder folder(quickDisk());
  failEverywhere(FaultyDisk::Fault::ioError, "", "cannot be read or written");
  failEverywhere(FaultyDisk::Fault::ioError, filledStore(folder.file("p.db")),
                 "cannot be read or written");
}

TEST(ProfileFaults, AFullDiskAtAnyOperationLeavesTheOldRowsOrAll) {
  const ScratchFolder folder(quickDisk());
  failEverywhere(FaultyDisk::Fault::full, filledStore(folder.file("p.db")), "the disk is full");
}

TEST(ProfileFaults, AKillAtAnyOperationLeavesTheOldRowsOrAll) {
  const ScratchFolder folder(quickDisk());
  const std::string from = filledStore(folder.file("p.db"));
  const int64_t operations = operationsOf(folder, from);
  for (int64_t k = 1; k <= operations; ++k) {
    const std::string path = folder.file(fmt::format("{}.db", k));
    fs::copy_file(from, path);
    EXPECT_EQ(statusOf(inChild([&] {
                const FaultyDisk disk(FaultyDisk::Fault::kill, k);
                return addTo(path).acknowledged ? 0 : 1;
              })),
              128 + SIGKILL);
    const ProfileStore store(path, k % 2 ? Access::read : Access::write);
    store.check();
    const size_t rows = store.operators().size();
    EXPECT_TRUE(rows == 30 || rows == 60) << rows;
  }
}

/// What `work` throws without the rights of the superuser.
std::string asNobody(const std::function<void()>& work) {
  int pipe[2];
  if (::pipe(pipe) != 0) return "no pipe";
  const pid_t child = inChild([&] {
    if (::geteuid() == 0 && (::setgid(65534) != 0 || ::setuid(65534) != 0)) return 1;
    std::string text = "nothing";
    try {
      work();
    } catch (const Error& e) {
      text = e.what();
    }
    return ::write(pipe[1], text.data(), text.size()) > 0 ? 0 : 1;
  });
  ::close(pipe[1]);
  char text[4096];
  const ssize_t n = ::read(pipe[0], text, sizeof text);
  ::close(pipe[0]);
  EXPECT_EQ(statusOf(child), 0);
  return std::string(text, n > 0 ? static_cast<size_t>(n) : 0);
}

TEST(ProfileFaults, WhatMayNotBeWrittenIsReadAndSaidToBeReadOnly) {
  const ScratchFolder folder(quickDisk());
  const std::string path = filledStore(folder.file("p.db"));
  const auto rights = [&](const char* file, const char* parent) {
    fs::permissions(path, static_cast<fs::perms>(std::stoi(file, nullptr, 8)));
    fs::permissions(folder.file(""), static_cast<fs::perms>(std::stoi(parent, nullptr, 8)));
  };
  const auto read = [&] {
    if (ProfileStore(path, Access::read).operators().size() != 30)
      throw Error(ErrorKind::internal, "rows");
  };
  const auto write = [&] { ProfileStore(path).add(operatorRows(100, 1)); };
  rights("444", "777");
  EXPECT_EQ(asNobody(read), "nothing");
  EXPECT_NE(asNobody(write).find("p.db: cannot be written: the file or its folder is read-only"),
            std::string::npos);
  rights("666", "555");
  EXPECT_EQ(asNobody(read), "nothing");
  EXPECT_NE(asNobody(write).find("p.db: cannot be "), std::string::npos);
  rights("000", "777");
  EXPECT_NE(asNobody(read).find("p.db: cannot be opened"), std::string::npos);
  EXPECT_NE(asNobody(write).find("p.db: cannot be opened"), std::string::npos);
  EXPECT_EQ(asNobody([&] {
              const OpenedStore opened = openOrSetAside(path);
              if (opened.store || opened.message.empty())
                throw Error(ErrorKind::internal, "opened");
            }),
            "nothing");
  rights("644", "755");
  EXPECT_EQ(folder.entries(), 1u);
}

// --- damaged files

/// A copy of `bytes` with a few changed, a page lost or doubled, an end cut off or added.
std::string damaged(const std::string& bytes, std::mt19937& random) {
  constexpr size_t kPage = 4096;
  std::string out = bytes;
  const size_t pages = bytes.size() / kPage;
  switch (random() % 6) {
    case 0:
      out.resize(random() % bytes.size());
      break;
    case 1:
      out.append(random() % 9000, static_cast<char>(random()));
      break;
    case 2:
      out.replace(random() % pages * kPage, kPage, bytes, random() % pages * kPage, kPage);
      break;
    case 3:
      out.replace(random() % pages * kPage, kPage, kPage, static_cast<char>(random()));
      break;
    default: {
      const size_t within = random() % 3 == 0 ? 100 : random() % 2 ? bytes.size() : 6 * kPage;
      for (size_t n = 1 + random() % 8; n > 0; --n)
        out[random() % within] = static_cast<char>(random());
    }
  }
  return out;
}

/// Whether everything in the file can be read.
bool reads(const std::string& path) {
  try {
    const ProfileStore store(path, Access::read);
    store.operators();
    store.collectives();
    store.devices();
    store.environments();
    for (const RunMeasurement& run : store.runs()) store.instructions(run.id);
    return true;
  } catch (const Error& e) {
    EXPECT_TRUE(e.kind() == ErrorKind::input || e.kind() == ErrorKind::runtime) << e.what();
    EXPECT_EQ(e.file(), path) << e.what();
    return false;
  }
}

TEST(ProfileFaults, DamagedFilesAreReadRefusedOrKeptAsideButNeverLost) {
  const ScratchFolder folder(quickDisk());
  const std::string whole = bytesOf(filledStore(folder.file("whole.db")));
  std::mt19937 random(7);
  const int files = longTests() ? 10000 : 300;
  int unread = 0, aside = 0, left = 0, sound = 0;
  for (int i = 0; i < files; ++i) {
    const std::string name = fmt::format("{}/p.db", i);
    const std::string bytes = damaged(whole, random);
    const std::string path = folder.write(name, bytes);
    unread += !reads(path);
    ASSERT_EQ(bytesOf(path), bytes);
    OpenedStore opened = openOrSetAside(path);
    if (!opened.store) {
      ++left;
      ASSERT_FALSE(opened.message.empty());
      ASSERT_EQ(bytesOf(path), bytes);
    } else if (!opened.message.empty()) {
      ++aside;
      opened.store->add(operatorRows(0, 1));
      ASSERT_EQ(opened.store->operators().size(), 1u);
      bool kept = false;
      for (const auto& entry : fs::directory_iterator(fs::path(path).parent_path()))
        kept |= bytesOf(entry.path().string()) == bytes;
      ASSERT_TRUE(kept);
    } else {
      ++sound;
    }
    opened.store.reset();
    fs::remove_all(fs::path(path).parent_path());
  }
  fmt::print("{} damaged files: {} could not be read; {} set aside, {} left alone, {} sound\n",
             files, unread, aside, left, sound);
  EXPECT_GT(aside, files / 4);
  EXPECT_GT(left, 0);
}

}  // namespace
}  // namespace meshplan
