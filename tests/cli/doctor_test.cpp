// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/run_meshplan.h"

namespace meshplan {
namespace {

std::string healthOf(const nlohmann::json& document, const std::string& subject) {
  for (const auto& finding : document.at("findings"))
    if (finding.at("subject") == subject) return finding.at("health");
  return "";
}

TEST(Doctor, SaysWhatItFound) {
  const CommandResult result = runMeshplan("doctor");
  EXPECT_EQ(result.exitCode, 0);
  for (const char* subject :
       {"processor", "memory", "GPU", "cuBLASLt", "cuDNN", "NCCL", "CUPTI", "MPI", "profiles"})
    EXPECT_NE(result.out.find(subject), std::string::npos) << subject;
}

TEST(Doctor, NamesADamagedStoreAndWhatToDo) {
  const CommandResult result =
      runInRepository(std::string("MESHPLAN_PROFILES=") + MESHPLAN_SOURCE_DIR + "/README.md '" +
                      MESHPLAN_BINARY_DIR + "/cli/meshplan' doctor --format json");
  EXPECT_EQ(result.exitCode, 0) << result.err;
  const auto document = nlohmann::json::parse(result.out);
  EXPECT_EQ(healthOf(document, "profiles"), "warning");
  EXPECT_EQ(document.at("schema_version"), 1);
}

#ifdef MESHPLAN_CUDA_TOOLKIT
/// Without the folders of the toolkit, in a mount namespace of its own.
CommandResult withoutToolkit(const std::string& command) {
  return runInRepository("unshare -m sh -c \"mount -t tmpfs none '" MESHPLAN_CUDA_TOOLKIT
                         "' && exec '" MESHPLAN_BINARY_DIR "/cli/meshplan' " +
                         command + "\"");
}

TEST(Doctor, StartsWithoutTheToolkitThatItWasBuiltWith) {
  if (runInRepository("unshare -m true").exitCode != 0)
    GTEST_SKIP() << "no mount namespaces here: the toolkit cannot be hidden";
  const CommandResult doctor = withoutToolkit("doctor --format json");
  ASSERT_EQ(doctor.exitCode, 0) << doctor.err;
  const auto document = nlohmann::json::parse(doctor.out);
  for (const char* library : {"cuBLASLt", "CUPTI"})
    EXPECT_EQ(healthOf(document, library), "absent") << doctor.out;
  const CommandResult run = withoutToolkit("run mlp --steps 2 --no-profile");
  EXPECT_EQ(run.exitCode, 0) << run.err;
}
#endif

}  // namespace
}  // namespace meshplan
