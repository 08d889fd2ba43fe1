// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>

#include "core/trace_event.h"
#include "gui/models/timeline_scene.h"

namespace meshplan::gui {

/// Makes a scene of the events of a timeline file, one after the other: a rank class per process, a
/// track per thread and level of nesting, a memory curve per process where a counter of memory is,
/// flows of transfers. Behind it stands a program with an instruction for every name, so that all
/// that looks at scenes finds names, phases and micro-batches. What kind a span is follows from
/// Meshplan's own arguments, else from names that PyTorch and NCCL use.
class TraceSceneBuilder {
 public:
  TraceSceneBuilder();
  ~TraceSceneBuilder();

  void add(const TraceEvent& event);
  /// Once. The earliest event is at 0 where the file counts from an epoch. Throws Error(input) when
  /// there are no slices, or more than 65,535 processes.
  std::shared_ptr<const TimelineScene> scene();

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

/// Chrome's JSON or Perfetto's protobuf, told by its beginning. Throws Error(input) as the readers
/// do (profiles/chrome_events.h, core/trace_event.h).
std::shared_ptr<const TimelineScene> readTraceScene(const std::string& path);
bool isPerfettoTrace(const std::string& path);

}  // namespace meshplan::gui
