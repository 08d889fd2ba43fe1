// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cuda_runtime.h>

#include <cstdint>
#include <type_traits>

#include "backend/bfloat16.h"
#include "backend/half.h"

/// Products on tensor cores by whole warps, and copies to shared memory that go on beside them
/// (PTX ISA 9.0, sections 9.7.14.5.8 "Matrix fragments for mma.m16n8k16", 9.7.14.5.15 ldmatrix,
/// 9.7.9.25.3 cp.async; compute capability 8.0). T is BFloat16 or Half, two to a register, the
/// lower half first. With g = lane / 4 and t = lane % 4 a lane holds
///   a, 16 x 16: a[0] (g, 2t..), a[1] (g + 8, 2t..), a[2] (g, 2t + 8..), a[3] (g + 8, 2t + 8..)
///   b, 16 x 8:  b[0] (2t.., g), b[1] (2t + 8.., g)
///   c, 16 x 8:  c[0..1] (g, 2t..), c[2..3] (g + 8, 2t..), fp32.
/// So the results of two products side by side, rounded, are the `a` of another.
namespace meshplan::device {

using AFragment = uint32_t[4];
using BFragment = uint32_t[2];
using CFragment = float[4];

#ifdef __CUDACC__

/// c += a b.
template <class T>
__device__ __forceinline__ void multiplyAdd(CFragment& c, const AFragment& a, const BFragment& b) {
  if constexpr (std::is_same_v<T, Half>)
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, "
        "{%8,%9}, {%0,%1,%2,%3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
  else
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, "
        "{%8,%9}, {%0,%1,%2,%3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

__device__ __forceinline__ uint32_t sharedAddress(const void* at) {
  return static_cast<uint32_t>(__cvta_generic_to_shared(at));
}

/// Four 8 x 8 matrices: lane l gives the address of 16 bytes, row l % 8 of matrix l / 8, and gets
/// in r[i] elements (g, 2t..) of matrix i, or of its transpose.
__device__ __forceinline__ void loadMatrices(uint32_t (&r)[4], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(sharedAddress(row))
               : "memory");
}
__device__ __forceinline__ void loadTransposed(uint32_t (&r)[4], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(sharedAddress(row))
               : "memory");
}

/// 16 bytes to shared memory, zeros where not `inside`; arrived after waitCopies, for the thread
/// itself.
__device__ __forceinline__ void copyAsync(void* to, const void* from, bool inside) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(sharedAddress(to)), "l"(from),
               "r"(inside ? 16 : 0)
               : "memory");
}
/// The same for 4 bytes.
__device__ __forceinline__ void copyWordAsync(void* to, const void* from, bool inside) {
  asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;" ::"r"(sharedAddress(to)), "l"(from),
               "r"(inside ? 4 : 0)
               : "memory");
}
__device__ __forceinline__ void commitCopies() {
  asm volatile("cp.async.commit_group;" ::: "memory");
}
/// Until all but the last kLeft groups committed have arrived.
template <int kLeft>
__device__ __forceinline__ void waitCopies() {
  asm volatile("cp.async.wait_group %0;" ::"n"(kLeft) : "memory");
}

template <class T>
__device__ __forceinline__ uint32_t pair(float low, float high) {
  uint32_t bits;
  if constexpr (std::is_same_v<T, Half>)
    asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(bits) : "f"(high), "f"(low));
  else
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(bits) : "f"(high), "f"(low));
  return bits;
}

/// 2^x within 2^-22; 0 for minus infinity.
__device__ __forceinline__ float exp2Fast(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

#else

template <class T>
float half(uint64_t bits, int index) {
  T value;
  value.bits = static_cast<uint16_t>(bits >> 16 * index);
  return value;
}

template <class T>
void multiplyAdd(CFragment& c, const AFragment& a, const BFragment& b) {
  using emulation::exchangeAll;
  const int lane = emulation::lane(), g = lane / 4, t = lane % 4;
  float rows[2][16], columns[2][16];
  // Lane 4 r + l of the first exchange holds columns 2l.. of rows r and r + 8.
  for (int part = 0; part < 2; ++part) {
    const uint64_t* all = exchangeAll(a[2 * part] | uint64_t{a[2 * part + 1]} << 32);
    for (int l = 0; l < 4; ++l)
      for (int i = 0; i < 2; ++i) {
        rows[0][8 * part + 2 * l + i] = half<T>(all[4 * g + l], i);
        rows[1][8 * part + 2 * l + i] = half<T>(all[4 * g + l], 2 + i);
      }
  }
  const uint64_t* all = exchangeAll(b[0] | uint64_t{b[1]} << 32);
  for (int n = 0; n < 2; ++n)
    for (int l = 0; l < 4; ++l)
      for (int i = 0; i < 4; ++i)
        columns[n][2 * l + i % 2 + 8 * (i / 2)] = half<T>(all[4 * (2 * t + n) + l], i);
  for (int e = 0; e < 4; ++e)
    for (int k = 0; k < 16; ++k) c[e] += rows[e / 2][k] * columns[e % 2][k];
}

inline const uint16_t* matrixRow(const uint64_t* rows, int matrix, int row) {
  return reinterpret_cast<const uint16_t*>(rows[8 * matrix + row]);
}
inline void loadMatrices(uint32_t (&r)[4], const void* row) {
  const uint64_t* rows = emulation::exchangeAll(reinterpret_cast<uint64_t>(row));
  const int g = emulation::lane() / 4, t = emulation::lane() % 4;
  for (int i = 0; i < 4; ++i) {
    const uint16_t* from = matrixRow(rows, i, g) + 2 * t;
    r[i] = from[0] | uint32_t{from[1]} << 16;
  }
}
inline void loadTransposed(uint32_t (&r)[4], const void* row) {
  const uint64_t* rows = emulation::exchangeAll(reinterpret_cast<uint64_t>(row));
  const int g = emulation::lane() / 4, t = emulation::lane() % 4;
  for (int i = 0; i < 4; ++i)
    r[i] = matrixRow(rows, i, 2 * t)[g] | uint32_t{matrixRow(rows, i, 2 * t + 1)[g]} << 16;
}

inline void copyAsync(void* to, const void* from, bool inside) {
  emulation::copyLater(to, inside ? from : nullptr, 16);
}
inline void copyWordAsync(void* to, const void* from, bool inside) {
  emulation::copyLater(to, inside ? from : nullptr, 4);
}
inline void commitCopies() {
  emulation::commitCopies();
}
template <int kLeft>
void waitCopies() {
  emulation::waitCopies(kLeft);
}

template <class T>
uint32_t pair(float low, float high) {
  return T(low).bits | uint32_t{T(high).bits} << 16;
}

inline float exp2Fast(float x) {
  return std::exp2(x);
}

#endif

}  // namespace meshplan::device
