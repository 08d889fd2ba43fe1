// SPDX-License-Identifier: Apache-2.0
#include "backend/host_tensor.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>

#include "backend/bfloat16.h"

namespace meshplan {
namespace {

TEST(HostTensorTest, IsZeroAlignedAndCopiesDeeply) {
  HostTensor a(TensorType{DType::f32, {3, 5}});
  EXPECT_EQ(reinterpret_cast<uintptr_t>(a.view().data) % 64, 0u);
  for (float v : a.as<float>()) EXPECT_EQ(v, 0);
  const HostTensor b = a;
  a.as<float>()[7] = 3;
  EXPECT_EQ(b.as<float>()[7], 0);
  EXPECT_EQ(HostTensor(TensorType{DType::f64, {0, 4}}).view().data, nullptr);
}

TEST(HostTensorTest, EveryHalfSurvivesTheWayThroughSinglePrecision) {
  for (uint32_t bits = 0; bits < 65536; ++bits) {
    const auto half = static_cast<uint16_t>(bits);
    const float value = halfToFloat(half);
    if (std::isnan(value))
      EXPECT_TRUE(std::isnan(halfToFloat(floatToHalf(value))));
    else
      ASSERT_EQ(floatToHalf(value), half) << bits;
    const auto wide = std::bit_cast<float>(static_cast<uint32_t>(half) << 16);
    if (!std::isnan(wide)) {
      ASSERT_EQ(BFloat16(wide).bits, half) << bits;
      ASSERT_EQ(float(BFloat16(wide)), wide) << bits;
    }
  }
}

TEST(HostTensorTest, HalvesRoundToTheNearestAndTiesToEven) {
  for (uint16_t half = 0; half < 0x7bff; ++half) {
    const float low = halfToFloat(half), high = halfToFloat(static_cast<uint16_t>(half + 1));
    const float middle = (low + high) / 2;
    EXPECT_EQ(floatToHalf(middle), half % 2 ? half + 1 : half);
    EXPECT_EQ(floatToHalf(std::nextafter(middle, low)), half);
    EXPECT_EQ(floatToHalf(std::nextafter(middle, high)), half + 1);
  }
  EXPECT_EQ(floatToHalf(65519.9f), 0x7bff);
  EXPECT_EQ(floatToHalf(65520.0f), 0x7c00);
  EXPECT_EQ(floatToHalf(-INFINITY), 0xfc00);
}

TEST(HostTensorTest, ConversionsKeepIntegersExactly) {
  HostTensor wide(TensorType{DType::i64, {3}});
  wide.as<int64_t>()[0] = (int64_t{1} << 62) + 1;
  wide.as<int64_t>()[1] = -1;
  EXPECT_EQ(converted(wide, DType::i64).as<int64_t>()[0], (int64_t{1} << 62) + 1);
  EXPECT_EQ(converted(wide, DType::u8).as<uint8_t>()[1], 255);
  EXPECT_TRUE(converted(wide, DType::boolean).as<bool>()[1]);
  const std::vector<double> fractions{-1.9, 2.5, 3};
  const HostTensor doubles = fromDoubles({DType::f64, {3}}, fractions);
  EXPECT_EQ(toDoubles(converted(doubles, DType::i32)), (std::vector<double>{-1, 2, 3}));
  EXPECT_EQ(toDoubles(converted(doubles, DType::f16))[1], 2.5);
}

}  // namespace
}  // namespace meshplan
