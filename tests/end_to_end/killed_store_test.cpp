// SPDX-License-Identifier: Apache-2.0
// Programs that are killed while they measure and train leave a whole profile store and a whole
// checkpoint.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <filesystem>
#include <random>
#include <sstream>
#include <thread>

#include "profiles/profile_store.h"
#include "tests/backend/long_tests.h"
#include "tests/child_process.h"
#include "tests/scratch_folder.h"

namespace meshplan {
namespace {

constexpr const char* kModel = "gpt --set layers=1,hidden=32,heads=2,vocab=64,seq=8 -b 4";

std::vector<std::string> words(const std::string& text) {
  std::istringstream in(text);
  return {std::istream_iterator<std::string>(in), {}};
}

class KilledStore : public testing::Test {
 protected:
  std::unique_ptr<ChildProcess> start(const std::string& command) const {
    return std::make_unique<ChildProcess>(prints_.file(""), "job",
                                          words(MESHPLAN_BINARY_DIR "/cli/meshplan " + command),
                                          std::vector<std::string>{"MESHPLAN_PROFILES=" + store_});
  }
  std::string training() const {
    const std::string from =
        std::filesystem::exists(checkpoint_) ? "--resume " + checkpoint_ : std::string();
    return fmt::format("run {} --ranks 2 --strategy dp=2 --steps 4 --checkpoint {} {}", kModel,
                       checkpoint_, from);
  }
  std::string measuring() const {
    return fmt::format("measure {} --ranks 2 --plans 1 --again", kModel);
  }
  /// Rows of all tables that are measured into; the file must be in order.
  size_t rows() const {
    const ProfileStore store(store_, ProfileStore::Access::read);
    store.check();
    return store.operators().size() + store.collectives().size() + store.runs().size();
  }

  ScratchFolder folder_, prints_;
  const std::string store_ = folder_.file("profiles.db"), checkpoint_ = folder_.file("c");
};

TEST_F(KilledStore, AndItsCheckpointAreWhole) {
  std::vector<int> lengths;  // of an undisturbed job, in milliseconds
  for (const std::string& command : {measuring(), training()}) {
    const auto begin = std::chrono::steady_clock::now();
    const auto first = start(command);
    ASSERT_EQ(first->wait(std::chrono::seconds(120)), 0) << first->errors();
    const auto taken = std::chrono::steady_clock::now() - begin;
    lengths.push_back(int(std::chrono::duration_cast<std::chrono::milliseconds>(taken).count()));
  }
  size_t known = rows();
  ASSERT_GT(known, 10u);
  std::mt19937 random(23);
  const int kills = longTests() ? 1000 : 40;
  int killed = 0, grown = 0, journals = 0;
  for (int i = 0; i < kills; ++i) {
    const auto job = start(i % 2 ? training() : measuring());
    std::uniform_int_distribution<int> milliseconds(0, lengths[size_t(i % 2)]);
    std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds(random)));
    ::kill(job->pid(), SIGKILL);
    const int code = job->wait();
    ASSERT_TRUE(code == 0 || code == 128 + SIGKILL) << code << job->errors();
    killed += code != 0;
    journals += std::filesystem::exists(store_ + "-journal");
    const size_t now = rows();
    ASSERT_GE(now, known) << "after kill " << i;
    grown += now > known;
    known = now;
  }
  for (const std::string& command : {measuring(), training()}) {
    const auto last = start(command);
    EXPECT_EQ(last->wait(std::chrono::seconds(120)), 0) << last->errors();
  }
  EXPECT_GT(rows(), known);
  EXPECT_FALSE(std::filesystem::exists(store_ + "-journal"));
  EXPECT_EQ(folder_.entries(), 2u);
  EXPECT_GT(killed, kills / 8);
  fmt::print("{} of {} killed, {} with a journal left, {} after they had stored\n", killed, kills,
             journals, grown);
}

}  // namespace
}  // namespace meshplan
