// SPDX-License-Identifier: Apache-2.0
#include "backend/token_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "core/error.h"
#include "tests/scratch_folder.h"

namespace meshplan {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

template <class T>
std::string raw(const std::vector<T>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
}

TEST(TokenFileTest, ReadsBothWidths) {
  const ScratchFolder folder;
  std::vector<int64_t> tokens(2);
  const TokenFile small(folder.write("a.bin", raw<uint16_t>({5, 65535, 7})), 65536);
  EXPECT_EQ(small.size(), 3);
  small.read(1, tokens);
  EXPECT_THAT(tokens, ElementsAre(65535, 7));
  const TokenFile large(folder.write("b.bin", raw<uint32_t>({5, 100000})), 100001);
  EXPECT_EQ(large.size(), 2);
  large.read(0, tokens);
  EXPECT_THAT(tokens, ElementsAre(5, 100000));
  EXPECT_THROW(large.read(1, tokens), Error);
  const TokenFile wide(folder.write("c.bin", raw<uint32_t>({5, 6})), 100, 4);
  EXPECT_EQ(wide.size(), 2);
}

TEST(TokenFileTest, NamesTheTokenBeyondTheVocabulary) {
  const ScratchFolder folder;
  const std::string path = folder.write("a.bin", raw<uint16_t>({5, 300, 7}));
  try {
    TokenFile(path, 256);
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::input);
    EXPECT_EQ(e.file(), path);
    EXPECT_THAT(e.what(), HasSubstr("byte 2: token 1 is 300, beyond the vocabulary of 256"));
  }
  EXPECT_THROW(TokenFile(folder.write("odd.bin", "abc"), 50257), Error);
  EXPECT_THROW(TokenFile(folder.write("empty.bin", ""), 50257), Error);
}

}  // namespace
}  // namespace meshplan
