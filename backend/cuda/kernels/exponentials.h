// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "backend/cuda/kernels/rows.h"

namespace meshplan::device {

/// The largest of some numbers and the sum of e^(x - largest), NaN if one is, in one pass (Milakov
/// and Gimelshein, Online normalizer calculation for softmax, 2018).
template <class A>
struct Exponentials {
  A most = -kInfinity<A>, sum = 0;

  template <int N>
  __device__ void add(const Pack<A, N>& x) {
    A top = most;
    for (int k = 0; k < N; ++k) top = x.at[k] > top ? x.at[k] : top;
    if (top == -kInfinity<A>) {
      for (int k = 0; k < N; ++k) sum += x.at[k] == x.at[k] ? A(0) : x.at[k];
      return;
    }
    if (top > most) sum *= fastExp(most - top);
    for (int k = 0; k < N; ++k) sum += fastExp(x.at[k] - top);
    most = top;
  }
  __device__ void merge(A otherMost, A otherSum) {
    const A top = otherMost > most ? otherMost : most;
    if (top == -kInfinity<A>) {
      sum += otherSum;
      return;
    }
    sum = sum * fastExp(most - top) + otherSum * fastExp(otherMost - top);
    most = top;
  }
};

/// Of what all threads of the block have.
template <class A>
__device__ Exponentials<A> blockExponentials(const Exponentials<A>& own) {
  const A most = blockMax(own.most);
  return {most, blockSum(own.most == -kInfinity<A> ? own.sum : own.sum * fastExp(own.most - most))};
}

/// Of a row that the block walks.
template <class T>
__device__ Exponentials<Compute<T>> exponentialsOf(const T* row, int64_t n) {
  Exponentials<Compute<T>> own;
  forRow(row, n,
         [&](int64_t at, auto width) { own.add(load<T, decltype(width)::value>(row + at)); });
  return blockExponentials(own);
}

}  // namespace meshplan::device
