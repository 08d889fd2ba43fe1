// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "tests/cuda_emulation/cuda_runtime_api.h"

/// The device behind tests/cuda_emulation/cuda_runtime.h, and what tests may ask of it. Calls may
/// come from several host threads; work runs in the thread that waits for it.
namespace meshplan::emulation {

/// Of the running thread in its warp.
int lane();
/// The block's dynamic shared memory.
void* sharedMemory();
void blockBarrier();
void warpBarrier(unsigned mask);
/// Gives `value` to the other lanes and returns that of `lane`.
uint64_t exchange(unsigned mask, uint64_t value, int lane);
/// Gives `value` to the other lanes and returns those of all 32, valid until the next exchange.
const uint64_t* exchangeAll(uint64_t value);
/// Copies of the running thread that arrive when it waits for them: until then the target holds
/// bytes of 0xff. `from` null: zeros arrive. Groups as of cp.async.
void copyLater(void* to, const void* from, size_t bytes);
void commitCopies();
void waitCopies(size_t groupsLeft);

cudaError_t enqueueKernel(const cudaLaunchConfig_t& config, std::function<void()> body);
/// Work that libraries do on a stream; `name` is what a profiler would show.
cudaError_t enqueue(cudaStream_t stream, std::function<void()> body);
/// Work that waits for what other ranks do: the stream stands still until `ready`.
cudaError_t enqueueWhen(cudaStream_t stream, std::function<bool()> ready,
                        std::function<void()> body);

/// Streams run in an order that this number decides (0: the one that would end first, as issued).
void setSchedule(uint64_t seed);
/// The k-th runtime call from now on, counted from 1, and every one after it returns `error`, as
/// after an error that sticks; `once`: it alone. k = 0: none.
void failCall(int64_t k, cudaError_t error, bool once = false);
/// Calls since failCall, or since the start.
int64_t calls();
/// Allocations of the device that were not freed.
int64_t allocations();
/// Kernels and copies that have run since the start.
int64_t operations();
void setDeviceMemory(size_t bytes);
/// So many devices, of which each has a memory and streams of its own; the first of them is number
/// `first` of the machine. For threads that use none yet.
void setDevices(int count, int first = 0);

}  // namespace meshplan::emulation

/// extern __shared__ memory of a kernel, as an array of T.
#define MESHPLAN_DYNAMIC_SHARED(T, name) \
  T* name = static_cast<T*>(::meshplan::emulation::sharedMemory())
