// SPDX-License-Identifier: Apache-2.0
#include "backend/tensor_proto.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "backend/tensor_file.h"
#include "core/error.h"
#include "core/import/onnx.pb.h"
#include "core/import/onnx_reader.h"
#include "tests/damage.h"
#include "tests/scratch_folder.h"

namespace meshplan {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

onnx::TensorProto proto(int code, const std::vector<int64_t>& dims) {
  onnx::TensorProto t;
  t.set_name("x");
  t.set_data_type(code);
  for (int64_t d : dims) t.add_dims(d);
  return t;
}

std::string failure(const onnx::TensorProto& t) {
  try {
    tensorFromProto(t);
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::input);
    return e.what();
  }
  return "no error";
}

TEST(TensorProtoTest, ReadsTheTypedFieldOfEveryType) {
  onnx::TensorProto floats = proto(1, {2});
  floats.add_float_data(1.5f);
  floats.add_float_data(-2);
  EXPECT_THAT(toDoubles(tensorFromProto(floats)), ElementsAre(1.5, -2));
  onnx::TensorProto doubles = proto(11, {1});
  doubles.add_double_data(0.1);
  EXPECT_THAT(toDoubles(tensorFromProto(doubles)), ElementsAre(0.1));
  for (const int code : {2, 3, 4, 5, 6, 9}) {
    onnx::TensorProto ints = proto(code, {3});
    for (int v : {1, 0, code == 9 ? 1 : 100}) ints.add_int32_data(v);
    const HostTensor t = tensorFromProto(ints);
    EXPECT_EQ(t.type(), (TensorType{onnxDType(code), {3}}));
    EXPECT_THAT(toDoubles(t), ElementsAre(1, 0, code == 9 ? 1 : 100));
  }
  onnx::TensorProto negative = proto(3, {1});
  negative.add_int32_data(-7);
  EXPECT_THAT(toDoubles(tensorFromProto(negative)), ElementsAre(-7));
  onnx::TensorProto longs = proto(7, {});
  longs.add_int64_data(int64_t{-1} << 60);
  EXPECT_EQ(tensorFromProto(longs).as<int64_t>()[0], int64_t{-1} << 60);
  for (const int code : {12, 13}) {
    onnx::TensorProto large = proto(code, {1});
    large.add_uint64_data(12345);
    EXPECT_THAT(toDoubles(tensorFromProto(large)), ElementsAre(12345));
  }
  onnx::TensorProto halves = proto(10, {1}), bfloats = proto(16, {1});
  halves.add_int32_data(0x3e00);
  bfloats.add_int32_data(0x3fc0);
  EXPECT_THAT(toDoubles(tensorFromProto(halves)), ElementsAre(1.5));
  EXPECT_THAT(toDoubles(tensorFromProto(bfloats)), ElementsAre(1.5));
}

TEST(TensorProtoTest, WhatIsWrittenIsReadAgain) {
  const ScratchFolder folder;
  for (const DType dtype : {DType::f64, DType::f32, DType::f16, DType::bf16, DType::i64, DType::i32,
                            DType::i16, DType::i8, DType::u8, DType::boolean})
    for (const Shape& shape : {Shape{}, Shape{0, 3}, Shape{2, 3}}) {
      HostTensor tensor(TensorType{dtype, shape});
      for (size_t i = 0; i < tensor.bytes().size(); ++i)
        tensor.bytes()[i] = std::byte(dtype == DType::boolean ? i % 2 : i * 37 % 120);
      writeTensor(folder.file("x.pb"), tensor, "x");
      const HostTensor read = readTensor(folder.file("x.pb"));
      EXPECT_EQ(read.type(), tensor.type());
      EXPECT_TRUE(std::equal(read.bytes().begin(), read.bytes().end(), tensor.bytes().begin()));
    }
  onnx::TensorProto stored;
  const HostTensor counts(TensorType{DType::i64, {1}});
  ASSERT_TRUE(stored.ParseFromString(tensorProtoToBytes(counts, "n", 13)));
  EXPECT_EQ(stored.data_type(), 13);
  ASSERT_TRUE(stored.ParseFromString(tensorProtoToBytes(counts, "n", 1)));
  EXPECT_EQ(stored.data_type(), 7);
  EXPECT_THROW(readTensor(folder.file("x.txt")), Error);
}

TEST(TensorProtoTest, RefusesWhatIsNoPlainNumberOrDoesNotFitItsShape) {
  for (const int code : {8, 14, 15, 17, 21})
    EXPECT_THAT(failure(proto(code, {})), HasSubstr("ONNX type " + std::to_string(code)));
  onnx::TensorProto few = proto(7, {3});
  few.add_int64_data(1);
  EXPECT_THAT(failure(few), HasSubstr("fewer values"));
  for (int i = 0; i < 3; ++i) few.add_int64_data(1);
  EXPECT_THAT(failure(few), HasSubstr("more values"));
  onnx::TensorProto raw = proto(1, {3});
  raw.set_raw_data("12345678");
  EXPECT_THAT(failure(raw), HasSubstr("8 bytes where the shape [3] needs 12"));
  onnx::TensorProto external = proto(1, {1});
  external.set_data_location(1);
  EXPECT_THAT(failure(external), HasSubstr("another file"));
}

TEST(TensorProtoTest, DamagedFilesAreRefusedOrRead) {
  const std::string bytes =
      tensorProtoToBytes(HostTensor(TensorType{DType::f32, {3, 4}}), "weight");
  EXPECT_GE(refusedDamage(bytes, [](const std::string& b) { tensorProtoFromBytes(b); }), 30);
  onnx::TensorProto typed = proto(7, {4});
  for (int i = 0; i < 4; ++i) typed.add_int64_data(1 << (7 * i));
  EXPECT_GE(refusedDamage(typed.SerializeAsString(),
                          [](const std::string& b) { tensorProtoFromBytes(b); }),
            10);
}

}  // namespace
}  // namespace meshplan
