// SPDX-License-Identifier: Apache-2.0
#pragma once

/// Put in front of functions that run on the processor and in CUDA kernels alike.
#ifdef __CUDACC__
#define MESHPLAN_DEVICE_CODE __host__ __device__
#else
#define MESHPLAN_DEVICE_CODE
#endif
