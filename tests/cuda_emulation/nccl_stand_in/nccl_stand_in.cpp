// SPDX-License-Identifier: Apache-2.0
#include <nccl.h>

#include <chrono>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "backend/comm/ordered_reduction.h"
#include "tests/cuda_emulation/emulator.h"
#include "tests/cuda_emulation/nccl_stand_in/control.h"

namespace {

using meshplan::DType;
using meshplan::ReduceOp;
using Bytes = std::vector<std::byte>;

/// One collective: it happens when all ranks' streams have come to it.
struct Round {
  std::vector<const void*> in;
  std::vector<void*> out;
  size_t arrived = 0;
  bool done = false;
};

struct Group {
  explicit Group(int size)
      : joined(static_cast<size_t>(size)), aborted(static_cast<size_t>(size)) {}
  bool complete() const {
    for (bool j : joined)
      if (!j) return false;
    return true;
  }
  size_t size() const { return joined.size(); }

  std::vector<bool> joined, aborted;                              // by rank
  std::map<uint64_t, Round> rounds;                               // by number
  std::map<std::tuple<int, int, uint64_t>, Bytes> messages;       // by sender, receiver, number
  std::map<uint64_t, std::map<int, std::pair<int, int>>> splits;  // by number: rank, colour, key
  std::map<std::pair<uint64_t, int>, std::shared_ptr<Group>> parts;
};

}  // namespace

struct ncclComm {
  std::shared_ptr<Group> group;
  int rank = 0;
  uint64_t rounds = 0, splits = 0;
  std::map<int, uint64_t> sent, received;
  // Until all ranks have called it: the split that makes this one, or the last one of this one.
  ncclComm* parent = nullptr;
  uint64_t made = 0;
};

namespace {

struct State {
  std::mutex mutex;
  std::map<std::string, std::shared_ptr<Group>> worlds;
  std::set<ncclComm*> open;
  std::vector<std::unique_ptr<ncclComm>> aborted;  // splits in progress may still name them
  uint64_t ids = 0;
  std::string failing;
  int failIn = 0;
  ncclResult_t failure = ncclSuccess, async = ncclSuccess;
  bool hangs = false;
};

State& state() {
  static auto* const kept = new State;
  return *kept;
}

thread_local int version = 0;

/// What a call returns before it does anything.
ncclResult_t entering(const char* call) {
  State& s = state();
  const std::lock_guard lock(s.mutex);
  if (s.failIn == 0 || s.failing != call || --s.failIn > 0) return ncclSuccess;
  return s.failure;
}

#define MESHPLAN_ENTER(call) \
  if (const ncclResult_t e = entering(call); e != ncclSuccess) return e

size_t bytesOf(ncclDataType_t type) {
  return type == ncclFloat64 ? 8 : type == ncclFloat32 ? 4 : type == ncclInt8 ? 1 : 2;
}

DType dtypeOf(ncclDataType_t type) {
  return type == ncclFloat64    ? DType::f64
         : type == ncclFloat32  ? DType::f32
         : type == ncclBfloat16 ? DType::bf16
                                : DType::f16;
}

ncclResult_t resultOf(cudaError_t status) {
  return status == cudaSuccess ? ncclSuccess : ncclUnhandledCudaError;
}

using Movement = std::function<void(const Round&)>;

void arrive(Group& group, uint64_t number, int rank, const void* in, void* out,
            const Movement& move) {
  const std::lock_guard lock(state().mutex);
  Round& round = group.rounds[number];
  round.in.resize(group.size());
  round.out.resize(group.size());
  round.in[static_cast<size_t>(rank)] = in;
  round.out[static_cast<size_t>(rank)] = out;
  if (++round.arrived < group.size()) return;
  for (bool aborted : group.aborted)
    if (aborted) return;
  move(round);
  round.done = true;
}

ncclResult_t collective(ncclComm_t comm, cudaStream_t stream, const void* in, void* out,
                        const Movement& move) {
  const std::shared_ptr<Group> group = comm->group;
  const int rank = comm->rank;
  if (group->size() == 1)
    return resultOf(meshplan::emulation::enqueue(stream, [=] {
      move(Round{{in}, {out}, 1, false});
    }));
  const uint64_t number = comm->rounds++;
  const cudaError_t arrives =
      meshplan::emulation::enqueue(stream, [=] { arrive(*group, number, rank, in, out, move); });
  if (arrives != cudaSuccess) return resultOf(arrives);
  const auto ready = [=] {
    const std::lock_guard lock(state().mutex);
    return group->aborted[static_cast<size_t>(rank)] || group->rounds[number].done;
  };
  return resultOf(meshplan::emulation::enqueueWhen(stream, ready, [] {}));
}

std::byte* at(void* data, size_t offset) {
  return static_cast<std::byte*>(data) + offset;
}
const std::byte* at(const void* data, size_t offset) {
  return static_cast<const std::byte*>(data) + offset;
}

/// Elements `begin` and `count` after it of all inputs to some outputs.
void reduce(const Round& round, size_t begin, std::vector<void*> outputs, size_t count,
            ncclDataType_t type, ncclRedOp_t op) {
  std::vector<const void*> parts;
  for (const void* in : round.in) parts.push_back(at(in, begin * bytesOf(type)));
  meshplan::reduceInOrder(parts, outputs, static_cast<int64_t>(count), dtypeOf(type),
                          op == ncclMax ? ReduceOp::max : ReduceOp::sum);
}

std::shared_ptr<Group> partOf(Group& group, uint64_t number, int colour) {
  std::shared_ptr<Group>& part = group.parts[{number, colour}];
  if (part) return part;
  int size = 0;
  for (const auto& [rank, wish] : group.splits[number]) size += wish.first == colour;
  return part = std::make_shared<Group>(size);
}

/// Whether all ranks have called this split; then `made` finds its group.
bool finishSplit(ncclComm& made) {
  Group& parent = *made.parent->group;
  const auto& wishes = parent.splits[made.made];
  if (wishes.size() < parent.size()) return false;
  const auto [colour, key] = wishes.at(made.parent->rank);
  made.group = partOf(parent, made.made, colour);
  for (const auto& [rank, wish] : wishes)
    if (wish.first == colour && std::pair(wish.second, rank) < std::pair(key, made.parent->rank))
      ++made.rank;
  made.group->joined[static_cast<size_t>(made.rank)] = true;
  made.parent = nullptr;
  return true;
}

void close(ncclComm_t comm, bool aborts) {
  const std::lock_guard lock(state().mutex);
  if (comm->group && aborts) comm->group->aborted[static_cast<size_t>(comm->rank)] = true;
  state().open.erase(comm);
  std::unique_ptr<ncclComm> ended(comm);
  if (aborts) state().aborted.push_back(std::move(ended));
}

}  // namespace

void ncclStandInFail(const char* call, int k, int result) {
  const std::lock_guard lock(state().mutex);
  state().failing = call;
  state().failIn = k;
  state().failure = static_cast<ncclResult_t>(result);
}
void ncclStandInAsyncError(int result) {
  const std::lock_guard lock(state().mutex);
  state().async = static_cast<ncclResult_t>(result);
}
void ncclStandInHangInAbort(int hangs) {
  const std::lock_guard lock(state().mutex);
  state().hangs = hangs != 0;
}
void ncclStandInVersion(int told) {
  version = told;
}
int ncclStandInOpen() {
  const std::lock_guard lock(state().mutex);
  return static_cast<int>(state().open.size());
}

ncclResult_t ncclGetVersion(int* told) {
  *told = version ? version : 23004;
  return ncclSuccess;
}
const char* ncclGetErrorString(ncclResult_t result) {
  return result == ncclSystemError ? "unhandled system error" : "as the stand-in was told";
}
const char* ncclGetLastError(ncclComm_t) {
  return "no further details";
}

ncclResult_t ncclGetUniqueId(ncclUniqueId* id) {
  MESHPLAN_ENTER("ncclGetUniqueId");
  const std::lock_guard lock(state().mutex);
  *id = {};
  const std::string text = std::to_string(++state().ids);
  std::memcpy(id->internal, text.data(), text.size());
  return ncclSuccess;
}

ncclResult_t ncclCommInitRankConfig(ncclComm_t* comm, int ranks, ncclUniqueId id, int rank,
                                    ncclConfig_t* config) {
  MESHPLAN_ENTER("ncclCommInitRankConfig");
  if (config->magic != 0xcafebeef || config->blocking != 0) return ncclInvalidArgument;
  const std::lock_guard lock(state().mutex);
  std::shared_ptr<Group>& world = state().worlds[id.internal];
  if (!world) world = std::make_shared<Group>(ranks);
  if (rank < 0 || static_cast<size_t>(rank) >= world->size() ||
      world->joined[static_cast<size_t>(rank)])
    return ncclInvalidArgument;
  world->joined[static_cast<size_t>(rank)] = true;
  auto* made = new ncclComm;
  made->group = world;
  made->rank = rank;
  state().open.insert(made);
  *comm = made;
  return ncclInProgress;
}

ncclResult_t ncclCommSplit(ncclComm_t comm, int colour, int key, ncclComm_t* part,
                           ncclConfig_t* config) {
  MESHPLAN_ENTER("ncclCommSplit");
  if (colour < NCCL_SPLIT_NOCOLOR || config->blocking != 0) return ncclInvalidArgument;
  const std::lock_guard lock(state().mutex);
  comm->made = comm->splits++;
  comm->group->splits[comm->made][comm->rank] = {colour, key};
  *part = nullptr;
  if (colour == NCCL_SPLIT_NOCOLOR) return ncclInProgress;
  auto* made = new ncclComm;
  made->parent = comm;
  made->made = comm->made;
  state().open.insert(made);
  *part = made;
  return ncclInProgress;
}

ncclResult_t ncclCommGetAsyncError(ncclComm_t comm, ncclResult_t* told) {
  MESHPLAN_ENTER("ncclCommGetAsyncError");
  const std::lock_guard lock(state().mutex);
  *told = state().async;
  if (*told != ncclSuccess) return ncclSuccess;
  if (comm->parent && !finishSplit(*comm)) *told = ncclInProgress;
  if (!comm->group || !comm->group->complete()) *told = ncclInProgress;
  if (comm->group && comm->splits > 0 &&
      comm->group->splits[comm->made].size() < comm->group->size())
    *told = ncclInProgress;
  return ncclSuccess;
}

ncclResult_t ncclCommFinalize(ncclComm_t) {
  MESHPLAN_ENTER("ncclCommFinalize");
  return ncclSuccess;
}
ncclResult_t ncclCommDestroy(ncclComm_t comm) {
  MESHPLAN_ENTER("ncclCommDestroy");
  close(comm, false);
  return ncclSuccess;
}
ncclResult_t ncclCommAbort(ncclComm_t comm) {
  while (true) {
    {
      const std::lock_guard lock(state().mutex);
      if (!state().hangs) break;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  close(comm, true);
  return ncclSuccess;
}

ncclResult_t ncclAllReduce(const void* in, void* out, size_t count, ncclDataType_t type,
                           ncclRedOp_t op, ncclComm_t comm, cudaStream_t stream) {
  MESHPLAN_ENTER("ncclAllReduce");
  return collective(comm, stream, in, out,
                    [=](const Round& round) { reduce(round, 0, round.out, count, type, op); });
}

ncclResult_t ncclReduceScatter(const void* in, void* out, size_t count, ncclDataType_t type,
                               ncclRedOp_t op, ncclComm_t comm, cudaStream_t stream) {
  MESHPLAN_ENTER("ncclReduceScatter");
  return collective(comm, stream, in, out, [=](const Round& round) {
    for (size_t r = 0; r < round.out.size(); ++r)
      reduce(round, r * count, {round.out[r]}, count, type, op);
  });
}

ncclResult_t ncclAllGather(const void* in, void* out, size_t count, ncclDataType_t type,
                           ncclComm_t comm, cudaStream_t stream) {
  MESHPLAN_ENTER("ncclAllGather");
  return collective(comm, stream, in, out, [=](const Round& round) {
    const size_t bytes = count * bytesOf(type);
    for (void* to : round.out)
      for (size_t r = 0; r < round.in.size(); ++r)
        std::memmove(at(to, r * bytes), round.in[r], bytes);
  });
}

ncclResult_t ncclBroadcast(const void* in, void* out, size_t count, ncclDataType_t type, int root,
                           ncclComm_t comm, cudaStream_t stream) {
  MESHPLAN_ENTER("ncclBroadcast");
  return collective(comm, stream, in, out, [=](const Round& round) {
    for (void* to : round.out)
      std::memmove(to, round.in[static_cast<size_t>(root)], count * bytesOf(type));
  });
}

ncclResult_t ncclSend(const void* data, size_t count, ncclDataType_t type, int to, ncclComm_t comm,
                      cudaStream_t stream) {
  MESHPLAN_ENTER("ncclSend");
  if (to == comm->rank) return ncclInvalidUsage;
  const std::shared_ptr<Group> group = comm->group;
  const std::tuple key(comm->rank, to, comm->sent[to]++);
  const size_t bytes = count * bytesOf(type);
  return resultOf(meshplan::emulation::enqueue(stream, [=] {
    const std::lock_guard lock(state().mutex);
    group->messages[key] = Bytes(at(data, 0), at(data, bytes));
  }));
}

ncclResult_t ncclRecv(void* data, size_t count, ncclDataType_t type, int from, ncclComm_t comm,
                      cudaStream_t stream) {
  MESHPLAN_ENTER("ncclRecv");
  if (from == comm->rank) return ncclInvalidUsage;
  const std::shared_ptr<Group> group = comm->group;
  const auto rank = static_cast<size_t>(comm->rank);
  const std::tuple key(from, comm->rank, comm->received[from]++);
  const size_t bytes = count * bytesOf(type);
  const auto ready = [=] {
    const std::lock_guard lock(state().mutex);
    return group->aborted[rank] || group->messages.count(key) > 0;
  };
  return resultOf(meshplan::emulation::enqueueWhen(stream, ready, [=] {
    const std::lock_guard lock(state().mutex);
    const auto found = group->messages.find(key);
    if (found == group->messages.end()) return;
    std::memcpy(data, found->second.data(), std::min(bytes, found->second.size()));
    group->messages.erase(found);
  }));
}

ncclResult_t ncclGroupStart() {
  MESHPLAN_ENTER("ncclGroupStart");
  return ncclSuccess;
}
ncclResult_t ncclGroupEnd() {
  MESHPLAN_ENTER("ncclGroupEnd");
  return ncclSuccess;
}
