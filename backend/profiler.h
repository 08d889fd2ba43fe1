// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "core/units.h"

namespace meshplan {

/// Told by an executor what it does; `call` and `instruction` are those of core/timeline.h's Span.
class Profiler {
 public:
  virtual ~Profiler() = default;
  virtual void beginStep() = 0;
  virtual void begin(uint32_t call, uint32_t instruction) = 0;
  virtual void end(uint32_t call, uint32_t instruction) = 0;
};

}  // namespace meshplan
