// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "backend/communicator.h"
#include "core/graph.h"
#include "core/program.h"

namespace meshplan {

/// A 64-bit hash (FNV-1a) of everything that ranks must agree on: the mesh, every instruction of
/// every routine with its operator, group, bytes and buffers, the calls of every stage and the
/// layout of every arena.
uint64_t programHash(const Graph& graph, const Program& program);

/// Every rank calls it before anything else. Throws Error(usage) on all ranks, naming one that
/// differs from rank 0, when their programs are not the same.
void checkAgreement(Communicator& world, uint64_t programHash);

}  // namespace meshplan
