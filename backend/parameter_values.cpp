// SPDX-License-Identifier: Apache-2.0
#include "backend/parameter_values.h"

#include <algorithm>
#include <cstring>

#include "core/error.h"

namespace meshplan {
namespace {

/// Where a parameter's local part lies in the whole: at most two dimensions are cut, the tensor
/// axis outside the expert axis where both cut the same.
struct Part {
  Shape whole, local, begin;
};

Part partOf(const ParameterPlace& p, const MeshShape& mesh, const MeshCoordinates& at) {
  Part part{p.type.shape, p.type.shape, Shape(p.type.shape.size(), 0)};
  const auto cut = [&](int8_t dim, MeshAxis axis) {
    if (dim < 0) return;
    const auto d = static_cast<size_t>(dim);
    part.begin[d] += at[static_cast<size_t>(axis)] * part.whole[d];
    part.whole[d] *= mesh.size(axis);
  };
  cut(p.expertDim, MeshAxis::expert);
  cut(p.tensorDim, MeshAxis::tensor);
  return part;
}

/// Calls f(offset in the whole, offset in the part, elements) for every contiguous run.
template <class F>
void forRuns(const Part& part, F&& f) {
  const size_t rank = part.whole.size();
  size_t inner = rank;
  int64_t run = 1;
  while (inner > 0) {
    --inner;
    run *= part.local[inner];
    if (part.local[inner] != part.whole[inner]) break;
  }
  const int64_t runs = elementCount(part.local) / std::max<int64_t>(run, 1);
  for (int64_t r = 0; r < runs; ++r) {
    int64_t rest = r, offset = 0, stride = 1;
    for (size_t d = rank; d-- > 0;) {
      int64_t index = part.begin[d];
      if (d < inner) {
        index += rest % part.local[d];
        rest /= part.local[d];
      }
      offset += index * stride;
      stride *= part.whole[d];
    }
    f(offset, r * run, run);
  }
}

DType typeOf(const ParameterPlace& p, ParameterKind kind) {
  switch (kind) {
    case ParameterKind::weights:
      return p.type.dtype;
    case ParameterKind::gradient:
      return p.gradientType;
    default:
      return p.type.dtype == DType::f64 ? DType::f64 : DType::f32;
  }
}

bool keeps(const ParameterPlace& p, ParameterKind kind) {
  switch (kind) {
    case ParameterKind::weights:
    case ParameterKind::gradient:
      return true;
    case ParameterKind::master:
      return p.master >= 0;
    case ParameterKind::firstState:
      return p.states[0] >= 0;
    case ParameterKind::secondState:
      return p.states[1] >= 0;
  }
  return false;
}

/// A run of memory in the arena: `begin` is the first of the parameter's local elements there.
struct Kept {
  std::byte* data;
  int64_t begin, count;
};

/// `ownShare`: only what this rank is responsible for.
Kept keptOf(const RankMemory& memory, const ParameterPlace& p, ParameterKind kind, bool ownShare) {
  const int64_t start = memory.shareStart(p);
  const Kept share{nullptr, start, p.shareElements};
  const Kept whole{nullptr, 0, p.paddedElements()};
  Kept kept = share;
  switch (kind) {
    case ParameterKind::weights:
      if (!p.weightsShared && !ownShare) kept = whole;
      kept.data = ownShare ? memory.ownWeights(p) : memory.weights(p);
      break;
    case ParameterKind::gradient:
      if (!p.gradientShared && !ownShare) kept = whole;
      kept.data = ownShare ? memory.ownGradient(p) : memory.gradient(p);
      break;
    case ParameterKind::master:
      kept.data = memory.state(p.master);
      break;
    case ParameterKind::firstState:
      kept.data = memory.state(p.states[0]);
      break;
    case ParameterKind::secondState:
      kept.data = memory.state(p.states[1]);
      break;
  }
  return kept;
}

TensorType wholeType(const ParameterPlace& p, const MeshShape& mesh, DType dtype) {
  return {dtype, partOf(p, mesh, {}).whole};
}

void fill(Executor& executor, const ParameterPlace& p, ParameterKind kind,
          const HostTensor& whole) {
  const MeshShape& mesh = executor.program().mesh;
  const Part part = partOf(p, mesh, executor.groups().coordinates());
  const int64_t element = dtypeBytes(typeOf(p, kind));
  std::vector<std::byte> local(static_cast<size_t>(p.paddedElements() * element));
  forRuns(part, [&](int64_t from, int64_t to, int64_t count) {
    std::memcpy(local.data() + to * element, whole.bytes().data() + from * element,
                static_cast<size_t>(count * element));
  });
  const Kept kept = keptOf(executor.memory(), p, kind, false);
  executor.device().upload(kept.data, local.data() + kept.begin * element, kept.count * element);
}

/// The ranks of a stage that hold parts no other rank holds: they send them.
bool contributes(const ParameterPlace& p, const MeshCoordinates& at, bool shared) {
  const auto coordinate = [&](MeshAxis a) { return at[static_cast<size_t>(a)]; };
  if (p.tensorDim < 0 && coordinate(MeshAxis::tensor) != 0) return false;
  for (MeshAxis a : {MeshAxis::data, MeshAxis::expert})
    if (coordinate(a) != 0 && !(p.replicas.has(a) && shared) &&
        !(a == MeshAxis::expert && p.expertDim >= 0))
      return false;
  return true;
}

int64_t memberOf(const MeshShape& mesh, const MeshCoordinates& at, MeshAxes axes) {
  int64_t member = 0, stride = 1;
  for (MeshAxis a : {MeshAxis::tensor, MeshAxis::expert, MeshAxis::data, MeshAxis::pipeline}) {
    if (!axes.has(a)) continue;
    member += at[static_cast<size_t>(a)] * stride;
    stride *= mesh.size(a);
  }
  return member;
}

const ParameterPlace* findPlace(const RankClass& rankClass, TensorId parameter) {
  for (const ParameterPlace& p : rankClass.parameters)
    if (p.tensor == parameter) return &p;
  return nullptr;
}

}  // namespace

std::optional<TensorType> wholeParameterType(const ParameterPlace& p, const MeshShape& mesh,
                                             ParameterKind kind) {
  if (!keeps(p, kind)) return std::nullopt;
  return wholeType(p, mesh, typeOf(p, kind));
}

void setParameter(Executor& executor, TensorId parameter, ParameterKind kind,
                  const HostTensor& whole) {
  for (const ParameterPlace& p : executor.memory().parameters()) {
    if (p.tensor != parameter || !keeps(p, kind)) continue;
    const TensorType type = wholeType(p, executor.program().mesh, typeOf(p, kind));
    if (!(whole.type() == type))
      throw Error(ErrorKind::input,
                  "values of " + std::string(dtypeName(whole.type().dtype)) + " " +
                      shapeText(whole.shape()) + " for a parameter of " +
                      std::string(dtypeName(type.dtype)) + " " + shapeText(type.shape),
                  "use the weights of this model")
          .at(executor.graph().tensor(parameter).name);
    fill(executor, p, kind, whole);
  }
}

void setParameters(Executor& executor, const std::function<HostTensor(TensorId)>& whole) {
  for (const ParameterPlace& p : executor.memory().parameters()) {
    const HostTensor values = whole(p.tensor);
    setParameter(executor, p.tensor, ParameterKind::weights, values);
    if (p.master >= 0)
      setParameter(executor, p.tensor, ParameterKind::master, converted(values, DType::f32));
  }
}

std::optional<HostTensor> collectParameter(Executor& executor, TensorId parameter,
                                           ParameterKind kind) {
  const Program& program = executor.program();
  Communicator& world = executor.groups().world();
  for (const RankClass& rankClass : program.rankClasses) {
    const ParameterPlace* p = findPlace(rankClass, parameter);
    if (!p || !keeps(*p, kind)) continue;
    const bool shared = p->shares > 1;
    const int64_t element = dtypeBytes(typeOf(*p, kind));
    std::vector<std::byte> message(static_cast<size_t>(p->shareElements * element));
    const auto isSender = [&](int64_t rank) {
      const MeshCoordinates at = program.mesh.coordinates(rank);
      return at[static_cast<size_t>(MeshAxis::pipeline)] == rankClass.stage &&
             contributes(*p, at, shared);
    };
    if (isSender(world.rank())) {
      const Kept kept = keptOf(executor.memory(), *p, kind, true);
      executor.device().download(message.data(), kept.data, kept.count * element);
      if (world.rank() != 0) world.send(message.data(), static_cast<int64_t>(message.size()), 0);
    }
    if (world.rank() != 0) return HostTensor();
    HostTensor whole(wholeType(*p, program.mesh, typeOf(*p, kind)));
    for (int64_t rank = 0; rank < program.mesh.ranks(); ++rank) {
      if (!isSender(rank)) continue;
      if (rank != 0)
        world.receive(message.data(), static_cast<int64_t>(message.size()), static_cast<int>(rank));
      const MeshCoordinates at = program.mesh.coordinates(rank);
      const int64_t start = shared ? memberOf(program.mesh, at, p->replicas) * p->shareElements : 0;
      forRuns(partOf(*p, program.mesh, at), [&](int64_t to, int64_t from, int64_t count) {
        const int64_t first = std::max(from, start);
        const int64_t last = std::min(from + count, start + p->shareElements);
        if (first < last)
          std::memcpy(whole.bytes().data() + (to + first - from) * element,
                      message.data() + (first - start) * element,
                      static_cast<size_t>((last - first) * element));
      });
    }
    return whole;
  }
  return std::nullopt;
}

}  // namespace meshplan
