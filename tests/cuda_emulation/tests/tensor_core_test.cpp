// SPDX-License-Identifier: Apache-2.0
// The emulated forms of what warps do together against plain products and copies.
#include "backend/cuda/kernels/tensor_core.h"

#include <gtest/gtest.h>

#include <array>

#include "tests/cuda_emulation/cuda_runtime.h"

namespace meshplan {
namespace {

using device::AFragment;
using device::BFragment;
using device::CFragment;

template <class T>
struct Matrices {
  std::array<T, 256> a;      // 16 x 16
  std::array<T, 128> b;      // 16 x 8
  std::array<float, 128> c;  // 16 x 8

  Matrices() {
    for (size_t i = 0; i < a.size(); ++i) a[i] = T(static_cast<float>(i * 37 % 64) / 64 - 0.5f);
    for (size_t i = 0; i < b.size(); ++i) b[i] = T(static_cast<float>(i * 29 % 64) / 32 - 1.f);
    for (size_t i = 0; i < c.size(); ++i) c[i] = static_cast<float>(i);
  }
  float product(size_t row, size_t column) const {
    float sum = c[row * 8 + column];
    for (size_t k = 0; k < 16; ++k) sum += float(a[row * 16 + k]) * float(b[k * 8 + column]);
    return sum;
  }
};

template <class T>
uint32_t both(T low, T high) {
  return low.bits | uint32_t{high.bits} << 16;
}

/// Fragments by the tables of the PTX ISA, one element at a time.
template <class T>
void multiplyByTheTables(const Matrices<T>* m, float* result) {
  const auto lane = threadIdx.x, g = lane / 4, t = lane % 4;
  AFragment a;
  for (unsigned r = 0; r < 4; ++r) {
    const unsigned row = g + r % 2 * 8, column = 2 * t + r / 2 * 8;
    a[r] = both(m->a[row * 16 + column], m->a[row * 16 + column + 1]);
  }
  BFragment b;
  for (unsigned r = 0; r < 2; ++r)
    b[r] = both(m->b[(2 * t + 8 * r) * 8 + g], m->b[(2 * t + 8 * r + 1) * 8 + g]);
  CFragment c;
  for (unsigned i = 0; i < 4; ++i) c[i] = m->c[(g + i / 2 * 8) * 8 + 2 * t + i % 2];
  device::multiplyAdd<T>(c, a, b);
  for (unsigned i = 0; i < 4; ++i) result[(g + i / 2 * 8) * 8 + 2 * t + i % 2] = c[i];
}

/// The same from matrices in memory: `a` row by row, `b` as it lies, transposed on the way.
template <class T>
void multiplyLoaded(const Matrices<T>* m, float* result) {
  const auto lane = threadIdx.x, g = lane / 4, t = lane % 4;
  AFragment a;
  device::loadMatrices(a, &m->a[lane % 16 * 16 + lane / 16 * 8]);
  uint32_t b[4];
  device::loadTransposed(b, &m->b[lane % 16 * 8]);
  CFragment c;
  for (unsigned i = 0; i < 4; ++i) c[i] = m->c[(g + i / 2 * 8) * 8 + 2 * t + i % 2];
  device::multiplyAdd<T>(c, a, {b[0], b[1]});
  for (unsigned i = 0; i < 4; ++i) result[(g + i / 2 * 8) * 8 + 2 * t + i % 2] = c[i];
}

class TensorCores : public testing::Test {
 protected:
  TensorCores() { cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking); }
  ~TensorCores() override { cudaStreamDestroy(stream); }

  template <class... P, class... A>
  void run(unsigned threads, void (*kernel)(P...), A... arguments) {
    cudaLaunchConfig_t config;
    config.blockDim = threads;
    config.stream = stream;
    ASSERT_EQ(cudaLaunchKernelEx(&config, kernel, arguments...), cudaSuccess);
    ASSERT_EQ(cudaStreamSynchronize(stream), cudaSuccess);
  }

  template <class T>
  void expectProduct(void (*kernel)(const Matrices<T>*, float*)) {
    const Matrices<T> m;
    std::array<float, 128> result = {};
    run(32, kernel, &m, result.data());
    for (size_t i = 0; i < 16; ++i)
      for (size_t j = 0; j < 8; ++j)
        EXPECT_FLOAT_EQ(result[i * 8 + j], m.product(i, j)) << i << "," << j;
  }

  cudaStream_t stream;
};

TEST_F(TensorCores, MultiplyFragmentsLaidOutAsDocumented) {
  expectProduct<BFloat16>(multiplyByTheTables<BFloat16>);
  expectProduct<Half>(multiplyByTheTables<Half>);
}

TEST_F(TensorCores, MultiplyWhatWarpsLoadTogether) {
  expectProduct<BFloat16>(multiplyLoaded<BFloat16>);
  expectProduct<Half>(multiplyLoaded<Half>);
}

struct Copies {
  float from[8], early[8], late[8];
};
void copyInGroups(Copies* c) {
  alignas(16) float to[8];
  device::copyAsync(to, c->from, true);
  device::commitCopies();
  device::copyAsync(to + 4, c->from + 4, false);
  device::commitCopies();
  device::waitCopies<1>();
  for (int i = 0; i < 8; ++i) c->early[i] = to[i];
  device::waitCopies<0>();
  for (int i = 0; i < 8; ++i) c->late[i] = to[i];
}

TEST_F(TensorCores, FindCopiesOnlyAfterHavingWaitedForThem) {
  Copies c = {{1, 2, 3, 4, 5, 6, 7, 8}, {}, {}};
  run(1, copyInGroups, &c);
  EXPECT_EQ(c.early[3], 4);
  EXPECT_TRUE(std::isnan(c.early[4]));
  EXPECT_EQ(c.late[3], 4);
  EXPECT_EQ(c.late[4], 0);
}

}  // namespace
}  // namespace meshplan
