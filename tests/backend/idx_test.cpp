// SPDX-License-Identifier: Apache-2.0
#include "backend/idx.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/error.h"
#include "tests/damage.h"
#include "tests/scratch_folder.h"

namespace meshplan {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::string idx(char type, const std::vector<int>& extents, const std::string& data) {
  std::string out{'\0', '\0', type, static_cast<char>(extents.size())};
  for (int e : extents)
    for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>(e >> shift & 255);
  return out + data;
}

std::string failure(const std::string& bytes) {
  try {
    idxFromBytes(bytes);
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::input);
    return e.what();
  }
  return "no error";
}

TEST(IdxTest, ReadsImagesAndBigEndianNumbers) {
  const ScratchFolder folder;
  const HostTensor images = readIdx(folder.write("images", idx(8, {1, 2, 2}, "\x01\x02\x03\xff")));
  EXPECT_EQ(images.type(), (TensorType{DType::u8, {1, 2, 2}}));
  EXPECT_THAT(toDoubles(images), ElementsAre(1, 2, 3, 255));
  const HostTensor shorts = idxFromBytes(idx(0x0b, {2}, {'\x01', '\x02', '\xff', '\xfe'}));
  EXPECT_EQ(shorts.type(), (TensorType{DType::i16, {2}}));
  EXPECT_THAT(toDoubles(shorts), ElementsAre(258, -2));
  const HostTensor floats = idxFromBytes(idx(0x0d, {1}, {'\x3f', '\x80', '\0', '\0'}));
  EXPECT_THAT(toDoubles(floats), ElementsAre(1));
}

TEST(IdxTest, RefusesForeignAndIncompleteFiles) {
  EXPECT_THAT(failure("\x1f\x8b\x08"), HasSubstr("gunzip"));
  EXPECT_THAT(failure("abcd"), HasSubstr("is not an IDX file"));
  EXPECT_THAT(failure(idx(7, {1}, "a")), HasSubstr("element type 7"));
  EXPECT_THAT(failure(idx(8, {3}, "ab")), HasSubstr("2 bytes of data where the shape [3] needs 3"));
  EXPECT_THAT(failure(idx(8, {-1, -1, -1, -1, -1}, "ab")), HasSubstr("overflow"));
}

TEST(IdxTest, DamagedFilesAreRefusedOrRead) {
  const std::string bytes = idx(0x0c, {2, 3}, std::string(24, 'x'));
  EXPECT_GE(refusedDamage(bytes, [](const std::string& b) { idxFromBytes(b); }),
            static_cast<int>(bytes.size()));
}

}  // namespace
}  // namespace meshplan
