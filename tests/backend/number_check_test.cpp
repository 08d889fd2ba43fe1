// SPDX-License-Identifier: Apache-2.0
#include "backend/number_check.h"

#include <gtest/gtest.h>

#include <cmath>

#include "backend/host_tensor.h"

namespace meshplan {
namespace {

NumberKind kindOf(DType type, const std::vector<double>& values) {
  const HostTensor tensor = fromDoubles({type, {static_cast<int64_t>(values.size())}}, values);
  return numbersIn(tensor.bytes().data(), tensor.elements(), type);
}

TEST(NumbersIn, EveryFloatingTypeTheWorstNumberWinsWhereverItIs) {
  for (const DType type : {DType::f64, DType::f32, DType::f16, DType::bf16}) {
    EXPECT_EQ(kindOf(type, {}), NumberKind::finite);
    EXPECT_EQ(kindOf(type, {0, -0.0, 1, -65504, 6e-8}), NumberKind::finite);
    EXPECT_EQ(kindOf(type, {0, 1, INFINITY}), NumberKind::infinite);
    EXPECT_EQ(kindOf(type, {-INFINITY, 2}), NumberKind::infinite);
    EXPECT_EQ(kindOf(type, {INFINITY, 1, NAN}), NumberKind::nan);
    EXPECT_EQ(kindOf(type, {-NAN, INFINITY}), NumberKind::nan);
  }
}

TEST(NumbersIn, IntegersAreFiniteWhateverTheirBits) {
  EXPECT_EQ(kindOf(DType::i32, {-1, 0x7f800000}), NumberKind::finite);
  EXPECT_EQ(kindOf(DType::i64, {-1}), NumberKind::finite);
}

}  // namespace
}  // namespace meshplan
