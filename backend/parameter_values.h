// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "backend/executor.h"
#include "backend/host_tensor.h"

namespace meshplan {

/// What is kept of a parameter between steps.
enum class ParameterKind : uint8_t { weights, gradient, master, firstState, secondState };

/// Dtype and shape of the whole tensor; nothing where the plan keeps no such state.
std::optional<TensorType> wholeParameterType(const ParameterPlace& place, const MeshShape& mesh,
                                             ParameterKind kind);

/// Fills a rank's part of every parameter from whole tensors: `whole(tensor)` gives the values in
/// the parameter's dtype and shape; master weights start as the weights, optimizer state as zero.
/// Every rank calls it.
void setParameters(Executor& executor, const std::function<HostTensor(TensorId parameter)>& whole);
/// The same for one parameter and kind of state; values are in its own dtype. Ranks without it do
/// nothing. Throws Error(input) naming the parameter when dtype or shape differ.
void setParameter(Executor& executor, TensorId parameter, ParameterKind kind,
                  const HostTensor& whole);

/// The whole tensor, put together on rank 0 of the world from the parts of all ranks; empty on the
/// other ranks. Every rank calls it, for the same parameters in the same order. Nothing if the plan
/// keeps no such state.
std::optional<HostTensor> collectParameter(Executor& executor, TensorId parameter,
                                           ParameterKind kind);

}  // namespace meshplan
