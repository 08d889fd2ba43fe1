// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstring>

#include "backend/cpu/blocks.h"
#include "backend/cpu/lines.h"
#include "backend/cpu/parallel.h"
#include "backend/cpu/strided.h"
#include "core/error.h"

namespace meshplan {
namespace {

/// Indices count from the end where they are negative; beyond an extent they throw.
std::vector<int64_t> readIndices(const TensorView& indices) {
  std::vector<int64_t> all(static_cast<size_t>(indices.type.elements()));
  const int64_t* loaded = loadBlock(indices, 0, indices.type.elements(), all.data());
  if (loaded != all.data()) std::copy_n(loaded, all.size(), all.data());
  return all;
}

int64_t checkedIndex(const KernelCall& call, int64_t index, int64_t extent) {
  if (index >= -extent && index < extent) return index < 0 ? index + extent : index;
  throw Error(
      ErrorKind::runtime,
      "index " + std::to_string(index) + " is outside an extent of " + std::to_string(extent),
      "check the data")
      .at(call.op->name);
}

/// Where a run of elements of the picked tensor lies in the data: picked[i * run ...] belongs to
/// data[places[i] ...].
struct Picks {
  std::vector<int64_t> places;
  int64_t run = 1;
};

Picks gatherPicks(const KernelCall& call, const Shape& data, const TensorView& indices) {
  const Lines lines(data, call.op->attributes.getInt("axis", 0));
  std::vector<int64_t> all = readIndices(indices);
  for (int64_t& i : all) i = checkedIndex(call, i, lines.extent);
  Picks picks;
  picks.run = lines.inner;
  picks.places.reserve(all.size() * static_cast<size_t>(lines.outer));
  for (int64_t o = 0; o < lines.outer; ++o)
    for (const int64_t i : all) picks.places.push_back((o * lines.extent + i) * lines.inner);
  return picks;
}

/// One element per index: the index replaces the coordinate along the axis.
Picks elementPicks(const KernelCall& call, const Shape& data, const TensorView& indices) {
  const size_t axis = dimensionIndex(call.op->attributes.getInt("axis", 0), data.size());
  const std::vector<int64_t> strides = denseStrides(data), own = denseStrides(indices.type.shape);
  Picks picks{readIndices(indices), 1};
  for (size_t at = 0; at < picks.places.size(); ++at) {
    int64_t place = checkedIndex(call, picks.places[at], data[axis]) * strides[axis];
    for (size_t d = 0; d < data.size(); ++d)
      if (d != axis)
        place += static_cast<int64_t>(at) / own[d] % indices.type.shape[d] * strides[d];
    picks.places[at] = place;
  }
  return picks;
}

/// One run per tuple of indices, which picks the dimensions behind the batch ones.
Picks tuplePicks(const KernelCall& call, const Shape& data, const TensorView& indices) {
  const auto batch = static_cast<size_t>(call.op->attributes.getInt("batch_dims", 0));
  const auto tuple = static_cast<size_t>(indices.type.shape.back());
  const std::vector<int64_t> all = readIndices(indices), strides = denseStrides(data);
  Picks picks;
  for (size_t d = batch + tuple; d < data.size(); ++d) picks.run *= data[d];
  int64_t batches = 1;
  for (size_t d = 0; d < batch; ++d) batches *= data[d];
  const Shape& shape = indices.type.shape;
  const int64_t tuples = elementCount({shape.begin(), shape.end() - 1});
  const int64_t perBatch = tuples / std::max<int64_t>(1, batches);
  const int64_t batchStride = batch == 0 ? 0 : strides[batch - 1];
  for (int64_t t = 0; t < tuples; ++t) {
    int64_t place = batch == 0 ? 0 : t / perBatch * batchStride;
    for (size_t d = 0; d < tuple; ++d)
      place += checkedIndex(call, all[static_cast<size_t>(t) * tuple + d], data[batch + d]) *
               strides[batch + d];
    picks.places.push_back(place);
  }
  return picks;
}

using PicksOf = Picks (*)(const KernelCall&, const Shape& data, const TensorView& indices);

void pick(const CpuContext& context, const Picks& picks, const TensorView& data,
          const TensorView& out) {
  const int64_t bytes = dtypeBytes(data.type.dtype), run = picks.run * bytes;
  parallelRanges(context, static_cast<int64_t>(picks.places.size()), run / 4 + 1,
                 [&](int64_t begin, int64_t end) {
                   for (int64_t i = begin; i < end; ++i)
                     std::memcpy(out.as<char>() + i * run,
                                 data.as<char>() + picks.places[static_cast<size_t>(i)] * bytes,
                                 static_cast<size_t>(run));
                 });
}

/// data[place] = join(data[place], picked), in the order of the picks.
template <class A, class Join>
void put(const Picks& picks, const TensorView& picked, const TensorView& data, Join&& join) {
  std::vector<A> in(static_cast<size_t>(picks.run)), old(in.size()), out(in.size());
  for (size_t i = 0; i < picks.places.size(); ++i) {
    const int64_t at = static_cast<int64_t>(i) * picks.run, place = picks.places[i];
    const A* update = loadBlock(picked, at, picks.run, in.data());
    const A* before = loadBlock(data, place, picks.run, old.data());
    for (size_t k = 0; k < in.size(); ++k) out[k] = join(before[k], update[k]);
    storeBlock(data, place, picks.run, out.data());
  }
}

template <PicksOf picksOf>
void gatherForward(CpuContext& context, const KernelCall& call) {
  const TensorView& data = call.inputs[0];
  pick(context, picksOf(call, data.type.shape, call.inputs[1]), data, call.outputs[0]);
}

/// Sums in the type computed in; what is picked several times adds up.
template <PicksOf picksOf>
void gatherBackward(CpuContext& context, const KernelCall& call) {
  const TensorView &dy = *call.outputGradient(0), &dx = *call.inputGradient(0);
  const Picks picks = picksOf(call, dx.type.shape, *call.forwardInput(1));
  fillZero(context, dx);
  withFloatType(call, [&](auto number) {
    using A = decltype(number);
    put<A>(picks, dy, dx, [](A a, A b) { return a + b; });
  });
}

void replace(const Picks& picks, const TensorView& updates, const TensorView& y) {
  const int64_t run = picks.run * dtypeBytes(y.type.dtype), bytes = dtypeBytes(y.type.dtype);
  for (size_t i = 0; i < picks.places.size(); ++i)
    std::memcpy(y.as<char>() + picks.places[i] * bytes,
                updates.as<char>() + static_cast<int64_t>(i) * run, static_cast<size_t>(run));
}

void copyAll(const CpuContext& context, const TensorView& from, const TensorView& to) {
  StridedBox box;
  box.add(from.type.elements(), 1, 1);
  copyBox(context, box, from, to);
}

std::string scatterMode(const KernelCall& call) {
  return call.op->attributes.getString("reduction", "none");
}

template <PicksOf picksOf>
void scatterForward(CpuContext& context, const KernelCall& call) {
  const TensorView &data = call.inputs[0], &updates = call.inputs[2], &y = call.outputs[0];
  const Picks picks = picksOf(call, data.type.shape, call.inputs[1]);
  const std::string mode = scatterMode(call);
  copyAll(context, data, y);
  if (mode == "none") return replace(picks, updates, y);
  withComputeType(call, [&](auto number) {
    using A = decltype(number);
    if (mode == "add") return put<A>(picks, updates, y, [](A a, A b) { return a + b; });
    if (mode == "mul") return put<A>(picks, updates, y, [](A a, A b) { return a * b; });
    if (mode == "max") return put<A>(picks, updates, y, [](A a, A b) { return std::max(a, b); });
    if (mode == "min") return put<A>(picks, updates, y, [](A a, A b) { return std::min(a, b); });
    rejectInputs("scatter reduction '" + mode + "' is unknown");
  });
}

/// Of replacement and addition. Where several updates reach one place, the last one counts.
template <PicksOf picksOf>
void scatterBackward(CpuContext& context, const KernelCall& call) {
  const TensorView& dy = *call.outputGradient(0);
  const std::string mode = scatterMode(call);
  if (mode != "none" && mode != "add")
    throw Error(ErrorKind::runtime, "the CPU has no gradient of scatter reduction '" + mode + "'",
                "use none or add")
        .at(call.op->name);
  const Picks picks = picksOf(call, dy.type.shape, *call.forwardInput(1));
  const auto bytes = static_cast<size_t>(dtypeBytes(dy.type.dtype));
  const size_t run = static_cast<size_t>(picks.run) * bytes;
  if (const TensorView* ddata = call.inputGradient(0)) {
    copyAll(context, dy, *ddata);
    if (mode == "none")
      for (const int64_t place : picks.places)
        std::memset(ddata->as<char>() + static_cast<size_t>(place) * bytes, 0, run);
  }
  const TensorView* dupdates = call.inputGradient(2);
  if (!dupdates) return;
  pick(context, picks, dy, *dupdates);
  if (mode == "add") return;
  std::vector<int64_t> order(picks.places);
  std::sort(order.begin(), order.end());
  if (std::adjacent_find(order.begin(), order.end()) == order.end()) return;
  std::vector<size_t> last(static_cast<size_t>(dy.type.elements()), 0);
  for (size_t i = 0; i < picks.places.size(); ++i) last[static_cast<size_t>(picks.places[i])] = i;
  for (size_t i = 0; i < picks.places.size(); ++i)
    if (last[static_cast<size_t>(picks.places[i])] != i)
      std::memset(dupdates->as<char>() + i * run, 0, run);
}

constexpr CpuKernels kKernels[] = {
    {"Gather", gatherForward<gatherPicks>, gatherBackward<gatherPicks>},
    {"GatherElements", gatherForward<elementPicks>, gatherBackward<elementPicks>},
    {"GatherND", gatherForward<tuplePicks>, gatherBackward<tuplePicks>},
    {"ScatterElements", scatterForward<elementPicks>, scatterBackward<elementPicks>},
    {"ScatterND", scatterForward<tuplePicks>, scatterBackward<tuplePicks>},
};

}  // namespace

std::span<const CpuKernels> indexingKernels() {
  return kKernels;
}

}  // namespace meshplan
