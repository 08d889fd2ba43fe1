// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <functional>

namespace meshplan {

/// Runs f(0) .. f(count - 1) on up to `threads` threads, each index once, in no order; rethrows the
/// exception of the lowest index that threw, after all have ended.
void parallelFor(size_t count, int threads, const std::function<void(size_t)>& f);

}  // namespace meshplan
