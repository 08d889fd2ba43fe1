// SPDX-License-Identifier: Apache-2.0
#include "backend/dynamic_library.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <functional>

#include "core/error.h"
#include "tests/scratch_folder.h"

namespace meshplan {
namespace {

using testing::HasSubstr;

const LibraryNames kMath{"the C maths library", {"libm.so.6"}, "install a C library"};

std::string problemOf(const std::function<void()>& f) {
  try {
    f();
  } catch (const Error& e) {
    return e.what();
  }
  return {};
}

TEST(DynamicLibrary, FindsFunctionsByNameAndType) {
  const DynamicLibrary library(kMath);
  EXPECT_EQ(library.function<double (*)(double)>("floor")(2.5), 2);
  EXPECT_THAT(library.path(), HasSubstr("libm.so.6"));
  EXPECT_EQ(library.find("noSuchFunction"), nullptr);
}

TEST(DynamicLibrary, NamesLibrarySymbolAndRemedyOfAMissingFunction) {
  const DynamicLibrary library(kMath);
  EXPECT_THAT(problemOf([&] { library.function<void (*)()>("noSuchFunction"); }),
              AllOf(HasSubstr("the C maths library"), HasSubstr("libm.so.6"),
                    HasSubstr("has no noSuchFunction"), HasSubstr("install a C library")));
}

TEST(DynamicLibrary, NamesAMissingLibraryAndWhereToNameItsFolder) {
  EXPECT_THAT(problemOf([] {
                DynamicLibrary({"No Library", {"libnone.so.2", "libnone.so.1"}, "install it"});
              }),
              AllOf(HasSubstr("No Library cannot be opened"), HasSubstr("libnone.so.2"),
                    HasSubstr("install it, or name its folder in MESHPLAN_CUDA_LIBRARIES")));
}

TEST(DynamicLibrary, SaysWhyAFileThatIsThereDoesNotOpen) {
  const ScratchFolder folder;
  const std::string file = folder.write("libbroken.so.1", "no library");
  setenv("MESHPLAN_CUDA_LIBRARIES", std::filesystem::path(file).parent_path().c_str(), 1);
  const std::string problem = problemOf([] {
    DynamicLibrary({"A Broken Library", {"libbroken.so.1"}, "install it"});
  });
  unsetenv("MESHPLAN_CUDA_LIBRARIES");
  EXPECT_THAT(problem, AllOf(HasSubstr("A Broken Library cannot be opened"), HasSubstr(file)));
}

TEST(DynamicLibrary, LooksInFoldersAndInThoseOfPythonPackages) {
  const ScratchFolder one, python;
  const std::string plain = one.write("libx.so.9", ""),
                    packaged = python.write("cudnn/lib/libx.so.9", "");
  const std::string folders = std::filesystem::path(plain).parent_path().string() + "::" +
                              std::filesystem::path(python.file("cudnn")).parent_path().string();
  EXPECT_THAT(libraryCandidates({"X", {"libx.so.9"}, {}}, folders),
              testing::ElementsAre("libx.so.9", plain, packaged));
}

TEST(DynamicLibrary, RefusesVersionsThatAreTooOld) {
  const DynamicLibrary library(kMath);
  EXPECT_NO_THROW(library.requireVersion(91900, 90000));
  EXPECT_THAT(problemOf([&] { library.requireVersion(22703, 22809); }),
              AllOf(HasSubstr("2.27.3"), HasSubstr("is too old: 2.28.9 is needed")));
}

}  // namespace
}  // namespace meshplan
