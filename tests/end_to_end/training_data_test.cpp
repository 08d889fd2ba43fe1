// SPDX-License-Identifier: Apache-2.0
// Data that `meshplan run` refuses: which file, what is wrong with it, and what to do.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <string>

#include "tests/run_meshplan.h"
#include "tests/scratch_folder.h"

namespace meshplan {
namespace {

const std::string kGpt = "gpt --set layers=1,hidden=32,heads=2,vocab=256,seq=16";

/// Version 1 of NumPy's format, of zeros.
std::string npy(const std::string& type, size_t elementBytes, size_t rows, size_t columns) {
  std::string header = fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': ({}, {}), }}",
                                   type, rows, columns);
  header.resize((10 + header.size() + 64) / 64 * 64 - 10, ' ');
  header.back() = '\n';
  return std::string("\x93NUMPY\x01\x00", 8) + static_cast<char>(header.size() % 256) +
         static_cast<char>(header.size() / 256) + header +
         std::string(rows * columns * elementBytes, '\0');
}

class RefusedData : public testing::Test {
 protected:
  void refuses(const std::string& model, const std::string& data, int exitCode,
               const std::string& message) const {
    const CommandResult result =
        runMeshplan(fmt::format("run {} -b 8 --steps 1 --data '{}'", model, data));
    EXPECT_EQ(result.exitCode, exitCode) << data << "\n" << result.err;
    EXPECT_NE(result.err.find(message), std::string::npos) << data << "\n" << result.err;
  }
  ScratchFolder folder_;
};

TEST_F(RefusedData, IsUnknown) {
  refuses("mlp", "cifar", 2, "there is no data 'cifar'");
  refuses("mlp", "idx:images", 2, "write idx:IMAGES,LABELS");
  refuses("mlp", "npy:images", 2, "'images' names no input");
}

TEST_F(RefusedData, IsMissingForAnInput) {
  const std::string images = folder_.write("x.npy", npy("<f4", 4, 20, 784));
  refuses("mlp", "npy:images=" + images, 2, "no array for input 'labels'");
  refuses("mlp", "npy:pixels=" + images, 2, "its inputs are images, labels");
}

TEST_F(RefusedData, DoesNotFitTheModel) {
  const std::string images = folder_.write("x.npy", npy("<f4", 4, 20, 784));
  const std::string small = folder_.write("small.npy", npy("<f4", 4, 20, 100));
  const std::string labels = folder_.write("y.npy", npy("<i8", 8, 20, 1));
  const std::string few = folder_.write("few.npy", npy("<i8", 8, 19, 1));
  refuses("mlp", fmt::format("npy:images={},labels={}", small, labels), 3,
          "small.npy: an array of [20,100] does not give samples of 784 elements");
  refuses("mlp", fmt::format("npy:images={},labels={}", images, few), 3,
          "few.npy: 19 samples where the others have 20");
}

TEST_F(RefusedData, IsNoFileOfItsFormat) {
  const std::string noise = folder_.write("noise", "not data at all");
  const std::string zipped = folder_.write("zipped", "\x1f\x8b compressed");
  refuses("mlp", fmt::format("idx:{0},{0}", noise), 3, "noise: is not an IDX file");
  refuses("mlp", fmt::format("idx:{0},{0}", zipped), 3, "unpack it with gunzip");
  refuses("mlp", "npy:images=" + noise, 3, "noise: is not a NumPy array");
  refuses(kGpt, "text:" + folder_.file("absent"), 3, "absent: cannot be read");
}

TEST_F(RefusedData, HasTooFewTokensOrUnknownOnes) {
  const std::string tiny = folder_.write("tiny", "abcd");
  refuses(kGpt, "text:" + tiny, 3, "tiny: 4 tokens are too few for one sequence of 16");
  refuses(kGpt, "tokens:" + tiny, 3, "token 0 is 25185, beyond the vocabulary of 256");
  const std::string odd = folder_.write("odd", "abc");
  refuses(kGpt, "tokens:" + odd, 3, "odd: 3 bytes are no whole number of tokens of 2 bytes");
}

TEST_F(RefusedData, WouldNotBeSaved) {
  const std::string absent = folder_.file("absent/mlp.safetensors");
  const CommandResult result = runMeshplan("run mlp --steps 2 --checkpoint " + absent);
  EXPECT_EQ(result.exitCode, 5);
  EXPECT_NE(result.err.find("mlp.safetensors: cannot be created"), std::string::npos) << result.err;
  EXPECT_EQ(result.out.find("step"), std::string::npos) << "trained first:\n" << result.out;
}

}  // namespace
}  // namespace meshplan
