// SPDX-License-Identifier: Apache-2.0
#include "core/import/onnx_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <chrono>
#include <filesystem>
#include <fstream>

#include "core/error.h"
#include "core/import/onnx_import.h"
#include "core/import/onnx_wire.h"
#include "tests/onnx_builder.h"

// Damaged, hostile and very large files.

namespace meshplan {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

std::string failure(const std::string& bytes) {
  try {
    ModelRequest request;
    request.source = "bad.onnx";
    importOnnxBytes(bytes, request);
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::input) << e.what();
    EXPECT_EQ(e.file(), "bad.onnx");
    EXPECT_FALSE(e.remedy().empty()) << e.what();
    return e.what();
  }
  return "no error";
}

OnnxFile linear() {
  OnnxFile file;
  file.input("x", {8, 16}).weight("w", {16, 4}).output("y");
  file.node("MatMul", {"x", "w"}, {"y"}, "mm");
  return file;
}

class TemporaryFolder : public testing::Test {
 protected:
  void SetUp() override {
    folder = fs::temp_directory_path() / ("meshplan_onnx_" + std::to_string(::getpid()));
    fs::create_directories(folder / "inner");
  }
  void TearDown() override { fs::remove_all(folder); }
  ModelRequest write(const std::string& bytes) const {
    std::ofstream(folder / "inner/model.onnx", std::ios::binary) << bytes;
    ModelRequest request;
    request.source = (folder / "inner/model.onnx").string();
    return request;
  }
  fs::path folder;
};

using OnnxFolder = TemporaryFolder;

void setExternal(OnnxFile& file, const std::string& location) {
  auto* w = file.graph().mutable_initializer(0);
  w->set_data_location(1);
  auto* entry = w->add_external_data();
  entry->set_key("location");
  entry->set_value(location);
}

TEST(OnnxReader, refusesWhatIsNoModel) {
  EXPECT_THAT(failure(""), HasSubstr("is empty"));
  EXPECT_THAT(failure("{\"model_type\": \"llama\"}"), HasSubstr("at byte"));
  EXPECT_THAT(failure(std::string(4096, '\0')), HasSubstr("at byte"));
  EXPECT_THAT(failure("\x08\x08"), HasSubstr("no graph"));
}

TEST(OnnxReader, refusesEveryTruncationOrReadsWhatIsThere) {
  const std::string bytes = linear().bytes();
  int refused = 0;
  for (size_t size = 0; size < bytes.size(); ++size)
    refused += failure(bytes.substr(0, size)) != "no error";
  EXPECT_GT(refused, static_cast<int>(bytes.size()) * 9 / 10);
}

TEST(OnnxReader, survivesEveryFlippedByte) {
  const std::string bytes = linear().bytes();
  for (size_t i = 0; i < bytes.size(); ++i)
    for (int mask : {0x01, 0x80, 0xff}) {
      std::string changed = bytes;
      changed[i] = static_cast<char>(changed[i] ^ mask);
      failure(changed);
    }
}

void appendVarint(std::string& out, uint64_t v) {
  for (; v >= 0x80; v >>= 7) out.push_back(static_cast<char>(v | 0x80));
  out.push_back(static_cast<char>(v));
}

/// A field of a message, built from the inside out by appending reversed.
std::string wrapped(int levels) {
  std::string reversed;
  size_t size = 0;
  const auto wrap = [&](uint32_t field) {
    std::string head;
    appendVarint(head, uint64_t(field) << 3 | 2);
    appendVarint(head, size);
    reversed.append(head.rbegin(), head.rend());
    size += head.size();
  };
  for (int i = 0; i < levels; ++i)
    for (uint32_t field : {6U, 5U, 1U}) wrap(field);
  wrap(7);
  return {reversed.rbegin(), reversed.rend()};
}

TEST(OnnxReader, refusesSubgraphsNestedAMillionDeepWithinASecond) {
  const auto start = std::chrono::steady_clock::now();
  EXPECT_THAT(failure(wrapped(333'334)), HasSubstr("nest deeper"));
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(1));
}

TEST(OnnxReader, keepsSmallIntegersAndDropsWeights) {
  OnnxFile file = linear();
  file.ints("axes", {3, 5});
  file.graph().mutable_initializer(0)->set_raw_data(std::string(100'000, 'w'));
  const std::string skimmed = skimOnnx(file.bytes());
  EXPECT_LT(skimmed.size(), 6000U);
  const auto model = parseOnnx(file.bytes());
  EXPECT_EQ(model->graph().initializer(1).int64_data(1), 5);
  EXPECT_FALSE(model->graph().initializer(0).has_raw_data());
}

TEST_F(OnnxFolder, anInlineFileOfSeveralHundredMegabytesOpensAtOnce) {
  constexpr uint64_t kPayload = uint64_t{768} << 20;
  OnnxFile file = linear();
  const std::string rest = file.bytes();
  std::string tensor("\x08\x10\x10\x01\x42\x01w", 7);  // dims 16, float, "w"
  std::string head, raw;
  appendVarint(raw, 9 << 3 | 2);
  appendVarint(raw, kPayload);
  std::string initializer;
  appendVarint(initializer, 5 << 3 | 2);
  appendVarint(initializer, tensor.size() + raw.size() + kPayload);
  appendVarint(head, 7 << 3 | 2);
  appendVarint(head, initializer.size() + tensor.size() + raw.size() + kPayload);
  file.graph().clear_initializer();
  const std::string small = file.bytes();
  const ModelRequest request = write(small + head + initializer + tensor + raw);
  fs::resize_file(request.source, fs::file_size(request.source) + kPayload);
  const auto start = std::chrono::steady_clock::now();
  std::vector<std::string> warnings;
  const auto model = readOnnxFile(request.source, warnings);
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(1));
  EXPECT_EQ(model->graph().initializer_size(), 1);
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  EXPECT_LT(usage.ru_maxrss, 512 * 1024);
}

TEST_F(OnnxFolder, externalWeightsNeedNotBeThere) {
  OnnxFile file = linear();
  setExternal(file, "model.onnx.data");
  const Model model = importOnnx(write(file.bytes()));
  EXPECT_EQ(model.graph.parameterCount(), 64);
  EXPECT_THAT(model.warnings, testing::Contains(HasSubstr("'model.onnx.data' is missing")));
}

TEST_F(OnnxFolder, externalWeightsMustStayInTheFolder) {
  for (const std::string location : {"../w.data", "/etc/passwd", "a/../../w.data", "", "a\\b"}) {
    OnnxFile file = linear();
    setExternal(file, location);
    EXPECT_THAT(failure(file.bytes()), HasSubstr("initializer w: ")) << location;
  }
}

TEST_F(OnnxFolder, externalWeightsMustNotLeaveByASymbolicLink) {
  std::ofstream(folder / "secret") << "x";
  fs::create_symlink(folder / "secret", folder / "inner/w.data");
  OnnxFile file = linear();
  setExternal(file, "w.data");
  EXPECT_THROW(importOnnx(write(file.bytes())), Error);
}

TEST_F(OnnxFolder, aMissingFileOrAFolderIsAnInputError) {
  for (const fs::path& path : {folder / "none.onnx", folder}) {
    ModelRequest request;
    request.source = path.string();
    try {
      importOnnx(request);
      ADD_FAILURE() << path;
    } catch (const Error& e) {
      EXPECT_EQ(e.kind(), ErrorKind::input);
      EXPECT_EQ(e.file(), path.string());
    }
  }
}

}  // namespace
}  // namespace meshplan
