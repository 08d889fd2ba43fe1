// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "core/units.h"

namespace meshplan {

/// Told by an executor what it does; `call` and `instruction` are those of core/timeline.h's Span.
/// On a device with streams `begin` and `end` come when the work is issued, on the stream in use,
/// and `endStep` when all of it has ended.
class Profiler {
 public:
  virtual ~Profiler() = default;
  virtual void beginStep() = 0;
  virtual void begin(uint32_t call, uint32_t instruction) = 0;
  virtual void end(uint32_t call, uint32_t instruction) = 0;
  virtual void endStep() {}
  /// No step will be recorded any more.
  virtual void finish() {}
};

}  // namespace meshplan
