// SPDX-License-Identifier: Apache-2.0
#include "backend/launch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "core/error.h"

namespace meshplan {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using Values = std::map<std::string, std::string>;

LaunchInfo read(const Values& values) {
  return readLaunch([&](const char* name) -> const char* {
    const auto found = values.find(name);
    return found == values.end() ? nullptr : found->second.c_str();
  });
}

std::string refusal(const Values& values) {
  try {
    read(values);
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::usage);
    return e.what();
  }
  return "no error";
}

const Values kTorchrun = {{"RANK", "3"},         {"WORLD_SIZE", "4"},
                          {"LOCAL_RANK", "1"},   {"LOCAL_WORLD_SIZE", "2"},
                          {"MASTER_ADDR", "n1"}, {"MASTER_PORT", "29500"}};
const Values kSrun = {{"SLURM_PROCID", "2"},  {"SLURM_NTASKS", "4"},
                      {"SLURM_LOCALID", "0"}, {"SLURM_STEP_ID", "1"},
                      {"SLURM_JOB_ID", "77"}, {"SLURM_STEP_NODELIST", "node[07-08],other3"},
                      {"SLURM_NNODES", "2"}};

Values with(Values values, const Values& more) {
  for (const auto& [name, value] : more) values[name] = value;
  return values;
}

Values without(Values values, const std::string& name) {
  values.erase(name);
  return values;
}

TEST(Launch, AProcessStartedByHandIsOneRank) {
  const LaunchInfo info = read({{"PATH", "/bin"}});
  EXPECT_EQ(info.launcher, Launcher::none);
  EXPECT_EQ(info.rank, 0);
  EXPECT_EQ(info.size, 1);
}

TEST(Launch, TorchrunsVariablesAreRead) {
  const LaunchInfo info = read(kTorchrun);
  EXPECT_EQ(info.launcher, Launcher::torchrun);
  EXPECT_EQ(info.rank, 3);
  EXPECT_EQ(info.size, 4);
  EXPECT_EQ(info.localRank, 1);
  EXPECT_EQ(info.localSize, 2);
  EXPECT_EQ(info.address, "n1");
  EXPECT_EQ(info.port, 29500);
}

TEST(Launch, ThePortOfTorchrunsOwnStoreIsLeftToIt) {
  EXPECT_EQ(read(with(kTorchrun, {{"TORCHELASTIC_RUN_ID", "x"}})).port, 29501);
}

TEST(Launch, OpenMpisVariablesAreRead) {
  const LaunchInfo info = read({{"OMPI_COMM_WORLD_RANK", "1"},
                                {"OMPI_COMM_WORLD_SIZE", "2"},
                                {"OMPI_COMM_WORLD_LOCAL_RANK", "1"},
                                {"OMPI_COMM_WORLD_LOCAL_SIZE", "2"}});
  EXPECT_EQ(info.launcher, Launcher::mpirun);
  EXPECT_EQ(info.rank, 1);
  EXPECT_EQ(info.size, 2);
  EXPECT_EQ(info.localSize, 2);
}

TEST(Launch, SrunsVariablesAreRead) {
  const LaunchInfo info = read(kSrun);
  EXPECT_EQ(info.launcher, Launcher::srun);
  EXPECT_EQ(info.rank, 2);
  EXPECT_EQ(info.size, 4);
  EXPECT_EQ(info.address, "node07");
  EXPECT_GT(info.port, 1024);
  EXPECT_EQ(read(with(kSrun, {{"SLURM_NNODES", "1"}})).localSize, 4);
  EXPECT_EQ(read(with(kSrun, {{"SLURM_STEP_NODELIST", "a,b"}})).address, "a");
  EXPECT_EQ(read(with(kSrun, {{"SLURM_STEP_NODELIST", "a"}})).address, "a");
}

TEST(Launch, ABatchScriptOfSlurmIsNotARank) {
  EXPECT_EQ(read(without(without(kSrun, "SLURM_STEP_ID"), "SLURM_STEP_NODELIST")).launcher,
            Launcher::none);
}

TEST(Launch, OwnProcessesDoNotCareWhatIsSetAroundThem) {
  const LaunchInfo info = read(with(kSrun, {{"MESHPLAN_RANK", "1"},
                                            {"MESHPLAN_SIZE", "8"},
                                            {"MESHPLAN_PORT", "4000"},
                                            {"MESHPLAN_TOKEN", "abc"}}));
  EXPECT_EQ(info.launcher, Launcher::ownProcesses);
  EXPECT_EQ(info.size, 8);
  EXPECT_EQ(info.token, "abc");
  EXPECT_EQ(info.address, "127.0.0.1");
}

TEST(Launch, ARankNotBelowItsSizeIsRefused) {
  EXPECT_THAT(refusal(with(kTorchrun, {{"RANK", "4"}})),
              AllOf(HasSubstr("RANK=4"), HasSubstr("WORLD_SIZE=4")));
  EXPECT_THAT(refusal(with(kSrun, {{"SLURM_PROCID", "9"}})),
              AllOf(HasSubstr("SLURM_PROCID=9"), HasSubstr("SLURM_NTASKS=4")));
  EXPECT_THAT(refusal(with(kTorchrun, {{"LOCAL_RANK", "2"}})),
              AllOf(HasSubstr("LOCAL_RANK=2"), HasSubstr("LOCAL_WORLD_SIZE=2")));
  EXPECT_THAT(refusal(with(kTorchrun, {{"LOCAL_WORLD_SIZE", "8"}})),
              AllOf(HasSubstr("LOCAL_WORLD_SIZE=8"), HasSubstr("WORLD_SIZE=4")));
}

TEST(Launch, TwoLaunchersThatDisagreeAreRefused) {
  EXPECT_THAT(refusal(with(kTorchrun, with(kSrun, {{"SLURM_NTASKS", "3"}}))),
              AllOf(HasSubstr("WORLD_SIZE=4"), HasSubstr("SLURM_NTASKS=3")));
  EXPECT_THAT(refusal(with(kTorchrun, kSrun)),
              AllOf(HasSubstr("RANK=3"), HasSubstr("SLURM_PROCID=2")));
  EXPECT_THAT(
      refusal(with(kTorchrun, {{"OMPI_COMM_WORLD_RANK", "0"}, {"OMPI_COMM_WORLD_SIZE", "2"}})),
      AllOf(HasSubstr("WORLD_SIZE=4"), HasSubstr("OMPI_COMM_WORLD_SIZE=2")));
}

TEST(Launch, SrunMayStartOneTorchrunPerNode) {
  const Values srun = with(kSrun, {{"SLURM_NTASKS", "2"}, {"SLURM_PROCID", "1"}});
  EXPECT_EQ(read(with(kTorchrun, srun)).launcher, Launcher::torchrun);
}

TEST(Launch, MissingVariablesAreNamed) {
  EXPECT_THAT(refusal(without(kTorchrun, "MASTER_ADDR")), HasSubstr("MASTER_ADDR is not"));
  EXPECT_THAT(refusal(without(kTorchrun, "MASTER_PORT")), HasSubstr("MASTER_PORT is not"));
  EXPECT_THAT(refusal(without(kTorchrun, "RANK")), HasSubstr("RANK is not"));
  EXPECT_THAT(refusal(without(kTorchrun, "WORLD_SIZE")), HasSubstr("WORLD_SIZE is not"));
}

TEST(Launch, WhatIsNoNumberIsRefused) {
  for (const char* text : {"x", "-1", "3x", "99999999999", "0x1"})
    EXPECT_THAT(refusal(with(kTorchrun, {{"RANK", text}})), HasSubstr(std::string("RANK=") + text));
  for (const char* text : {"0", "70000"})
    EXPECT_THAT(refusal(with(kTorchrun, {{"MASTER_PORT", text}})), HasSubstr("is not a port"));
}

TEST(Launch, RanksOnSeveralHostsNeedASecret) {
  LaunchInfo info = read(kTorchrun);
  try {
    connect(info);
    ADD_FAILURE() << "connected";
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::usage);
    EXPECT_THAT(e.what(), HasSubstr("MESHPLAN_TOKEN"));
  }
}

}  // namespace
}  // namespace meshplan
