// SPDX-License-Identifier: Apache-2.0
#include "core/work_json.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>

#include "core/error.h"
#include "tests/damage.h"

namespace meshplan {
namespace {

OperatorWork randomWork(std::mt19937& random) {
  const auto figure = [&] {
    return random() % 4 == 0 ? 0.0 : std::ldexp(static_cast<double>(random()), int(random() % 90));
  };
  OperatorWork work;
  work.def = &operatorDefs()[random() % operatorDefs().size()];
  work.phase = static_cast<Phase>(random() % 4);
  work.compute = static_cast<DType>(random() % 13);
  work.flops = figure();
  work.bytes = figure() / 3;
  work.outputElements = figure();
  work.accumulated = figure();
  work.kernels = static_cast<int64_t>(random() % 3);
  if (random() % 2) work.contraction = {figure(), figure(), figure(), figure()};
  if (random() % 2) work.attention.keyLength = figure();
  if (random() % 2) work.attention.flash = false;
  work.kernelArea = figure();
  work.strideArea = figure();
  work.transposedBytes = figure();
  work.biasBytes = figure();
  work.signature = uint64_t{random()} << 32 | random();
  return work;
}

TEST(WorkJson, LosesNothing) {
  std::mt19937 random(1);
  for (int i = 0; i < 2000; ++i) {
    const OperatorWork work = randomWork(random);
    const OperatorWork back = workFromJson(workToJson(work));
    EXPECT_EQ(back, work) << workToJson(work);
    EXPECT_EQ(workKey(back), workKey(work));
  }
}

TEST(WorkJson, KeepsTheSignOfZeroBecauseTheKeyDoes) {
  OperatorWork work;
  work.def = &operatorDef("MatMul");
  work.flops = -0.0;
  EXPECT_EQ(workKey(workFromJson(workToJson(work))), workKey(work));
}

TEST(WorkJson, RefusesDamage) {
  std::mt19937 random(2);
  const std::string text = workToJson(randomWork(random));
  EXPECT_GT(refusedDamage(text, [](const std::string& t) { workFromJson(t); }), 500);
}

TEST(WorkJson, RefusesWhatCannotBeRead) {
  OperatorWork work;
  work.def = &operatorDef("MatMul");
  work.bytes = std::numeric_limits<double>::infinity();
  EXPECT_THROW(workToJson(work), Error);
}

TEST(WorkJson, AllowsOperatorsOfANewerVersionOnRequest) {
  OperatorWork work;
  work.def = &operatorDef("MatMul");
  std::string text = workToJson(work);
  text.replace(text.find("MatMul"), 6, "FutureOp");
  EXPECT_THROW(workFromJson(text), Error);
  EXPECT_EQ(workFromJson(text, UnknownOperator::allow).def, nullptr);
}

}  // namespace
}  // namespace meshplan
