// SPDX-License-Identifier: Apache-2.0
#include "backend/safetensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>

#include "core/error.h"
#include "tests/damage.h"
#include "tests/scratch_folder.h"

namespace meshplan {
namespace {

using testing::HasSubstr;

std::string withHeader(const std::string& header, const std::string& data) {
  std::string out;
  for (int i = 0; i < 8; ++i) out += static_cast<char>(header.size() >> (8 * i) & 255);
  return out + header + data;
}

std::string failure(const std::string& header, const std::string& data) {
  try {
    Metadata metadata;
    safetensorsFromBytes(withHeader(header, data), metadata);
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::input);
    return e.what();
  }
  return "no error";
}

std::string contents(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

HostTensor filled(TensorType type, int seed) {
  HostTensor tensor(std::move(type));
  for (size_t i = 0; i < tensor.bytes().size(); ++i)
    tensor.bytes()[i] = std::byte(i * 31 + static_cast<size_t>(seed));
  return tensor;
}

struct Checkpoint {
  HostTensor weight = filled({DType::f32, {3, 5}}, 1), bias = filled({DType::bf16, {7}}, 2),
             step = filled({DType::i64, {}}, 3), none = filled({DType::f64, {0, 2}}, 4);
  void write(const std::string& path) const {
    writeSafetensors(path,
                     {{"layer.bias", bias.view()},
                      {"layer.weight", weight.view()},
                      {"step", step.view()},
                      {"none", none.view()}},
                     {{"format", "pt"}, {"plan", "dp=2 \"quoted\""}});
  }
};

TEST(SafetensorsTest, WhatIsWrittenIsReadAgain) {
  const ScratchFolder folder;
  const Checkpoint checkpoint;
  const std::string path = folder.file("model.safetensors");
  checkpoint.write(path);
  checkpoint.write(path);  // over an existing one
  EXPECT_EQ(folder.entries(), 1u);
  const SafetensorsFile file(path);
  EXPECT_EQ(file.tensors().size(), 4u);
  EXPECT_EQ(file.metadata().at("plan"), "dp=2 \"quoted\"");
  for (const auto& [name, tensor] :
       {std::pair{"layer.weight", &checkpoint.weight}, std::pair{"layer.bias", &checkpoint.bias},
        std::pair{"step", &checkpoint.step}, std::pair{"none", &checkpoint.none}}) {
    const HostTensor read = file.read(name, tensor->type());
    EXPECT_TRUE(std::equal(read.bytes().begin(), read.bytes().end(), tensor->bytes().begin()));
    const auto address = reinterpret_cast<uintptr_t>(file.find(name)->view.data);
    EXPECT_EQ(address % static_cast<uintptr_t>(dtypeBytes(tensor->type().dtype)), 0u);
  }
  EXPECT_EQ(file.find("layer"), nullptr);
  EXPECT_THROW(file.read("layer", checkpoint.weight.type()), Error);
  EXPECT_THROW(file.read("step", {DType::i32, {}}), Error);
}

TEST(SafetensorsTest, TheHeaderIsPaddedSoThatTheDataBeginsAligned) {
  const ScratchFolder folder;
  const HostTensor x = filled({DType::f32, {4}}, 0);
  for (size_t length = 1; length < 70; ++length) {
    writeSafetensors(folder.file("x"), {{std::string(length, 'n'), x.view()}});
    const std::string bytes = contents(folder.file("x"));
    EXPECT_EQ((bytes.size() - 16) % 64, 0u);
    EXPECT_EQ(SafetensorsFile(folder.file("x")).tensors()[0].view.type, x.type());
  }
}

TEST(SafetensorsTest, NothingIsLeftBehindWhenWritingFails) {
  const ScratchFolder folder;
  const HostTensor x = filled({DType::f32, {4}}, 0);
  EXPECT_THROW(writeSafetensors(folder.file("missing/x"), {{"x", x.view()}}), Error);
  EXPECT_THROW(writeSafetensors(folder.file("x"), {{"x", x.view()}, {"x", x.view()}}), Error);
  EXPECT_EQ(folder.entries(), 0u);
}

TEST(SafetensorsTest, RefusesOverlapsGapsDuplicatesAndWrongSizes) {
  const auto tensor = [](const char* name, const char* type, int begin, int end) {
    return "\"" + std::string(name) + "\":{\"dtype\":\"" + type +
           "\",\"shape\":[1],\"data_offsets\":[" + std::to_string(begin) + "," +
           std::to_string(end) + "]}";
  };
  const std::string data(8, 'x');
  const std::string a = tensor("a", "F32", 0, 4);
  EXPECT_EQ(failure("{" + a + "," + tensor("b", "I32", 4, 8) + "}", data), "no error");
  EXPECT_THAT(failure("{" + a + "," + tensor("b", "F32", 2, 6) + "}", data), HasSubstr("overlaps"));
  EXPECT_THAT(failure("{" + tensor("b", "F32", 4, 8) + "}", data), HasSubstr("gap"));
  EXPECT_THAT(failure("{" + a + "}", data), HasSubstr("4 bytes belong to no tensor"));
  EXPECT_THAT(failure("{" + a + "," + tensor("a", "F32", 4, 8) + "}", data),
              HasSubstr("'a' occurs twice"));
  EXPECT_THAT(failure("{" + tensor("a", "F64", 0, 4) + "}", data), HasSubstr("does not fit"));
  EXPECT_THAT(failure("{" + tensor("a", "F32", 8, 12) + "}", data), HasSubstr("outside"));
  EXPECT_THAT(failure("{" + tensor("a", "U32", 0, 4) + "}", data), HasSubstr("'U32'"));
  EXPECT_THAT(failure("[1]", data), HasSubstr("no JSON object"));
  EXPECT_THAT(failure("{\"__metadata__\":{\"a\":1}}", ""), HasSubstr("is no text"));
  Metadata metadata;
  EXPECT_THROW(safetensorsFromBytes(std::string(8, '\xff') + data, metadata), Error);
}

TEST(SafetensorsTest, DamagedFilesAreRefusedOrRead) {
  const ScratchFolder folder;
  Checkpoint().write(folder.file("x"));
  const std::string bytes = contents(folder.file("x"));
  const int refused = refusedDamage(bytes, [](const std::string& b) {
    Metadata metadata;
    safetensorsFromBytes(b, metadata);
  });
  EXPECT_GE(refused, static_cast<int>(bytes.size()));
}

}  // namespace
}  // namespace meshplan
