// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "core/plan.h"
#include "core/program.h"
#include "planner/memory_model.h"
#include "planner/training_model.h"

namespace meshplan {

/// Lowers a plan to the one program that the simulator and the executor interpret: the routines of
/// each chunk (chunk_lowering.h), called in the order of the plan's schedule, with one rank class
/// per pipeline stage; what stays in memory for the whole step; and offsets for everything that
/// does not. Throws Error(usage) when the plan contradicts itself, the model or the schedule.
enum class LoweredFor : uint8_t { simulation, execution };
/// For execution, instructions come with bindings (core/binding.h) and the arena is laid out.
Program lower(const TrainingModel& model, const Plan& plan, const MemoryReserve& reserve,
              LoweredFor purpose = LoweredFor::simulation);

/// Whether the plan is consistent by itself and with the model: positive degrees, batch divides,
/// chunks cover the blocks, one strategy per operator. Throws Error(usage) that says what to
/// change.
void checkPlan(const TrainingModel& model, const Plan& plan);

/// Lays out the arena of every rank class: residents, a slot for the saved activations of each
/// micro-batch in flight (chunk by chunk), and one scratch area for all calls; gives calls their
/// slots and buffers their offsets. The simulator does not need it; the executor does.
void planOffsets(Program& program);

}  // namespace meshplan
