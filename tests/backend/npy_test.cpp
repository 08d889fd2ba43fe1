// SPDX-License-Identifier: Apache-2.0
#include "backend/npy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "core/error.h"
#include "tests/damage.h"
#include "tests/scratch_folder.h"

namespace meshplan {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::string npy(const std::string& header, const std::string& data, int version = 1) {
  std::string out = "\x93NUMPY";
  out += static_cast<char>(version);
  out += '\0';
  for (int i = 0; i < (version == 1 ? 2 : 4); ++i)
    out += static_cast<char>(header.size() >> (8 * i) & 255);
  return out + header + data;
}

template <class T>
std::string raw(const std::vector<T>& values, bool big = false) {
  std::string out;
  for (T v : values) {
    std::string bytes(reinterpret_cast<const char*>(&v), sizeof(T));
    if (big) std::reverse(bytes.begin(), bytes.end());
    out += bytes;
  }
  return out;
}

std::string failure(const std::string& bytes) {
  try {
    npyFromBytes(bytes);
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::input);
    return e.what();
  }
  return "no error";
}

TEST(NpyTest, WhatIsWrittenIsReadAgainForEveryType) {
  const ScratchFolder folder;
  for (const DType dtype : {DType::f64, DType::f32, DType::f16, DType::i64, DType::i32, DType::i16,
                            DType::i8, DType::u8, DType::boolean})
    for (const Shape& shape : {Shape{}, Shape{5}, Shape{2, 0, 3}, Shape{2, 3, 4}}) {
      HostTensor tensor(TensorType{dtype, shape});
      for (size_t i = 0; i < tensor.bytes().size(); ++i)
        tensor.bytes()[i] = std::byte(dtype == DType::boolean ? i % 2 : i * 37 % 251);
      writeNpy(folder.file("x.npy"), tensor);
      const HostTensor read = readNpy(folder.file("x.npy"));
      EXPECT_EQ(read.type(), tensor.type());
      EXPECT_TRUE(std::equal(read.bytes().begin(), read.bytes().end(), tensor.bytes().begin()));
      EXPECT_EQ(npyToBytes(read).find('\n') % 64, 63u);
    }
  EXPECT_EQ(folder.entries(), 1u);
}

TEST(NpyTest, FortranOrderAndBigEndianBecomeRowMajorLittleEndian) {
  const std::string header = "{'descr': '>i2', 'fortran_order': True, 'shape': (2, 3), }\n";
  const HostTensor t = npyFromBytes(npy(header, raw<int16_t>({1, 4, 2, 5, 3, 6}, true), 2));
  EXPECT_EQ(t.type(), (TensorType{DType::i16, {2, 3}}));
  EXPECT_THAT(toDoubles(t), ElementsAre(1, 2, 3, 4, 5, 6));
}

TEST(NpyTest, UnsignedIntegersAreWidened) {
  const HostTensor t = npyFromBytes(
      npy("{'descr': '<u2', 'fortran_order': False, 'shape': (2,)}", raw<uint16_t>({65535, 1}), 3));
  EXPECT_EQ(t.type(), (TensorType{DType::i32, {2}}));
  EXPECT_THAT(toDoubles(t), ElementsAre(65535, 1));
  const HostTensor w = npyFromBytes(
      npy("{'descr': '<u4', 'fortran_order': False, 'shape': (1,)}", raw<uint32_t>({4294967295u})));
  EXPECT_EQ(w.as<int64_t>()[0], 4294967295);
}

TEST(NpyTest, RefusesWhatIsNoPlainArray) {
  const std::string data(24, '\0');
  EXPECT_THAT(failure("PK"), HasSubstr("is not a NumPy array"));
  EXPECT_THAT(failure(npy("{'descr': '|O', 'fortran_order': False, 'shape': (3,)}", data)),
              HasSubstr("'|O'"));
  EXPECT_THAT(failure(npy("{'descr': [('a','<f4')], 'fortran_order': False, 'shape': (3,)}", data)),
              HasSubstr("structured"));
  EXPECT_THAT(failure(npy("{'descr': '<f4', 'fortran_order': False, 'shape': (3,)}", data)),
              HasSubstr("24 bytes of data where the shape [3] needs 12"));
  EXPECT_THAT(failure(npy("{'descr': '<f4', 'fortran_order': False, "
                          "'shape': (4294967296, 4294967296)}",
                          data)),
              HasSubstr("overflow"));
  EXPECT_THAT(failure(npy("{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, "
                          "'shape': (6,)}",
                          data)),
              HasSubstr("not what NumPy writes"));
}

TEST(NpyTest, DamagedFilesAreRefusedOrRead) {
  const std::string bytes = npyToBytes(HostTensor(TensorType{DType::f32, {3, 4}}));
  EXPECT_GT(refusedDamage(bytes, [](const std::string& b) { npyFromBytes(b); }),
            static_cast<int>(bytes.size()));
}

}  // namespace
}  // namespace meshplan
