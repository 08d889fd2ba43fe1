// SPDX-License-Identifier: Apache-2.0
#include "planner/search/parallel.h"

#include <atomic>
#include <exception>
#include <thread>
#include <vector>

namespace meshplan {

void parallelFor(size_t count, int threads, const std::function<void(size_t)>& f) {
  std::atomic<size_t> next{0};
  std::vector<std::exception_ptr> failures(count);
  const auto work = [&] {
    for (size_t i = next++; i < count; i = next++) try {
        f(i);
      } catch (...) {
        failures[i] = std::current_exception();
      }
  };
  {
    std::vector<std::jthread> pool;
    for (int t = 1; t < threads && static_cast<size_t>(t) < count; ++t) pool.emplace_back(work);
    work();
  }
  for (const std::exception_ptr& failure : failures)
    if (failure) std::rethrow_exception(failure);
}

}  // namespace meshplan
