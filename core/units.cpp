// SPDX-License-Identifier: Apache-2.0
#include "core/units.h"

#include "core/error.h"

namespace meshplan {

int64_t checkedMul(int64_t a, int64_t b) {
  int64_t r;
  if (__builtin_mul_overflow(a, b, &r))
    throw Error(ErrorKind::input, "a size overflows 64 bits", "use smaller dimensions");
  return r;
}

int64_t checkedAdd(int64_t a, int64_t b) {
  int64_t r;
  if (__builtin_add_overflow(a, b, &r))
    throw Error(ErrorKind::input, "a size overflows 64 bits", "use smaller dimensions");
  return r;
}

}  // namespace meshplan
