// SPDX-License-Identifier: Apache-2.0
#include "core/program.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "core/error.h"
#include "tests/program_text.h"

namespace meshplan {
namespace {

using testing::HasSubstr;

// The message of the internal error, or nothing when the program is valid.
std::string problemOf(const Program& program) {
  try {
    validate(program);
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::internal);
    return e.what();
  }
  return "";
}

constexpr const char* kTwoStages = R"(
  routine F0 forward 0: compute 1 alloc a=8:saved; send 0.5 after 0 to 1 boundary 0 bytes 8
  routine F1 forward 1: receive 0 from 0 boundary 0 bytes 8 alloc x=8:saved; compute 1 after 0 read x
  routine B1 backward 1: compute 2 read x free x; send 0.5 after 0 to 0 boundary 1 reverse bytes 8
  routine B0 backward 0: receive 0 from 1 boundary 1 reverse bytes 8; compute 2 after 0 free a
  stage 0: F0@0 F0@1 B0@0 B0@1
  stage 1: F1@0 B1@0 F1@1 B1@1
)";

TEST(Program, NamesAreDistinct) {
  std::set<std::string_view> names;
  for (int s = 0; s < kStreams; ++s) names.insert(streamName(Stream(s)));
  for (int c = 0; c < kMemoryCategories; ++c) names.insert(memoryCategoryName(MemoryCategory(c)));
  EXPECT_EQ(names.size(), size_t(kStreams + kMemoryCategories));
}

TEST(Program, ACorrectProgramIsValid) {
  EXPECT_EQ(problemOf(parseProgram(kTwoStages).program), "");
}

TEST(Program, AReceiveWithoutASendIsNamed) {
  Program p = parseProgram(kTwoStages).program;
  p.rankClasses[0].calls.erase(p.rankClasses[0].calls.begin() + 1);
  EXPECT_THAT(problemOf(p), HasSubstr("forward of chunk 1, instruction 0 (receive on receive): "
                                      "nobody sends micro-batch 1 of boundary 0"));
}

TEST(Program, ASendWithoutAReceiveIsNamed) {
  Program p = parseProgram(kTwoStages).program;
  p.rankClasses[0].calls.pop_back();
  EXPECT_THAT(problemOf(p), HasSubstr("nobody receives micro-batch 1 of boundary 1"));
}

TEST(Program, MessagesInAnotherOrderAreNamed) {
  Program p = parseProgram(kTwoStages).program;
  std::swap(p.rankClasses[0].calls[0], p.rankClasses[0].calls[1]);
  EXPECT_THAT(problemOf(p), HasSubstr("receives micro-batch 0 of boundary 0 where the peer sends "
                                      "micro-batch 1 of boundary 0"));
}

TEST(Program, UnequalBytesAreNamed) {
  Program p = parseProgram(kTwoStages).program;
  p.routines[0].instructions[1].bytes = Bytes(9);
  EXPECT_THAT(problemOf(p), HasSubstr("receives 8 bytes where 9 are sent"));
}

TEST(Program, AWaitForALaterInstructionIsNamed) {
  Program p = parseProgram(kTwoStages).program;
  p.routines[0].instructions[0].waits = {1};
  EXPECT_THAT(problemOf(p), HasSubstr("waits for instruction 1, which comes later"));
}

TEST(Program, IndicesOutOfRangeAreNamed) {
  Program p = parseProgram(kTwoStages).program;
  p.routines[0].instructions[0].work = 7;
  EXPECT_THAT(problemOf(p), HasSubstr("work 7 of 1"));
  p = parseProgram(kTwoStages).program;
  p.routines[0].instructions[0].reads = {5};
  EXPECT_THAT(problemOf(p), HasSubstr("no buffer 5"));
  p = parseProgram(kTwoStages).program;
  p.rankClasses[0].calls[0].routine = 9;
  EXPECT_THAT(problemOf(p), HasSubstr("calls routine 9"));
  p = parseProgram(kTwoStages).program;
  p.rankClasses[0].calls[0].microBatch = 2;
  EXPECT_THAT(problemOf(p), HasSubstr("runs micro-batch 2 of 2"));
}

struct BufferCase {
  const char* text;
  const char* problem;
};

TEST(Program, MisusedBuffersAreNamed) {
  const BufferCase cases[] = {
      {"routine F forward 0: compute 1 alloc a=8; compute 1 free a; compute 1 read a\nstage 0: F",
       "instruction 2 (compute on compute): buffer 0 \"a\" is read while it is not allocated"},
      {"routine F forward 0: compute 1 alloc a=8\nstage 0: F", "never frees buffer 0 \"a\""},
      {"routine F forward 0: compute 1 alloc a=8:saved\nroutine B backward 0: compute 1\n"
       "stage 0: F B",
       "backward of chunk 0 never frees buffer 0 \"a\""},
      {"routine F forward 0: compute 1 alloc a=8 free a; compute 1 free a\nstage 0: F",
       "is freed while it is not allocated"},
  };
  for (const BufferCase& c : cases)
    EXPECT_THAT(problemOf(parseProgram(c.text).program), HasSubstr(c.problem)) << c.text;
}

TEST(Program, ABufferThatNobodyWroteMayNotBeRead) {
  Program p = parseProgram(
                  "routine F forward 0: compute 1 alloc a=8; compute 1 read a free a\n"
                  "stage 0: F")
                  .program;
  EXPECT_EQ(problemOf(p), "");
  p.routines[0].instructions[0].writes.clear();
  EXPECT_THAT(problemOf(p), HasSubstr("is read before it is written"));
}

}  // namespace
}  // namespace meshplan
