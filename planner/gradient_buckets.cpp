// SPDX-License-Identifier: Apache-2.0
#include "planner/gradient_buckets.h"

#include "planner/operator_binding.h"

namespace meshplan {

GradientBuckets::GradientBuckets(const Plan& plan, const ChunkParameters& parameters, bool active)
    : plan_(plan), parameters_(parameters), active_(active) {
  for (const LocalParameter& p : parameters.all()) left_.push_back(p.contributions);
}

void GradientBuckets::add(RoutineBuilder& builder, TensorId parameter, int32_t ready,
                          const std::vector<BufferIndex>& buffer) {
  const LocalParameter& p = parameters_.at(parameter);
  // What only a share is kept of must be reduced by every chunk that adds to it.
  if (!active_ || (!p.owned && buffer.empty()) || plan_.mesh.size(p.replicas) <= 1) return;
  Bucket& bucket = buckets_[p.replicas];
  bucket.waits.push_back(ready);
  bucket.gradients.insert(bucket.gradients.end(), buffer.begin(), buffer.end());
  const bool complete = --left_[static_cast<size_t>(parameters_.indexOf(parameter))] == 0;
  if (builder.binds() && (complete || !buffer.empty())) bind(bucket, p, buffer);
  if (!complete) return;
  bucket.bytes += p.gradientBytes();
  if (bucket.bytes.value >= plan_.bucketBytes) emit(builder, p.replicas, bucket);
}

void GradientBuckets::bind(Bucket& bucket, const LocalParameter& p,
                           const std::vector<BufferIndex>& buffer) const {
  const Operand kept = parameterOperand(Operand::Place::gradient, p.tensor, p.type);
  bucket.binding.inputs.push_back(buffer.empty() ? kept : bufferOperand(buffer.front(), p.type));
  bucket.binding.outputs.push_back(kept);
}

void GradientBuckets::flush(RoutineBuilder& builder) {
  for (auto& [replicas, bucket] : buckets_) emit(builder, replicas, bucket);
}

void GradientBuckets::emit(RoutineBuilder& builder, MeshAxes replicas, Bucket& bucket) {
  if (bucket.bytes.value == 0) return;
  Instruction reduce;
  reduce.kind = Instruction::Kind::collective;
  reduce.stream = Stream::data;
  reduce.collective =
      plan_.zeroStage == 0 ? CollectiveKind::allReduce : CollectiveKind::reduceScatter;
  reduce.axes = replicas;
  reduce.bytes = bucket.bytes;
  reduce.reads = bucket.gradients;
  builder.add(std::move(reduce), bucket.waits, std::move(bucket.binding));
  bucket = {};
}

}  // namespace meshplan
