// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>
#include <vector>

#include "core/program.h"

namespace meshplan {

/// A small program with the seconds of each instruction, written as text. Lines (`#` starts a
/// comment):
///   routine NAME forward|backward|update CHUNK [last]: INSTRUCTION; INSTRUCTION; ...
///   stage NUMBER [xRANKS] [resident NAME=BYTES[:CATEGORY]]...: NAME@MICROBATCH ...
/// An instruction is a stream name, its seconds, then any of
///   after I,J        waits
///   drain S,T        drained streams
///   from S | to S    a receive from, or a send to, stage S; needs `boundary B`, may have `reverse`
///   (backward direction) pipeline B       a collective over the pipeline axis with boundary key B
///   bytes N, alloc NAME=BYTES[:CATEGORY][:saved], free NAME, read NAME, write NAME, recomputed
/// Compute-stream instructions are operators, those of the other streams collectives over the axis
/// of that name. `saved` buffers have micro-batch scope and keep their index from a forward to the
/// backward of the chunk.
struct ProgramText {
  Program program;
  std::vector<std::vector<Seconds>> times;
};
ProgramText parseProgram(std::string_view text);

}  // namespace meshplan
