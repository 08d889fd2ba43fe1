// SPDX-License-Identifier: Apache-2.0
#include <nccl.h>

#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "backend/comm/ordered_reduction.h"
#include "tests/cuda_emulation/emulator.h"
#include "tests/cuda_emulation/nccl_stand_in/board.h"
#include "tests/cuda_emulation/nccl_stand_in/control.h"

namespace {

using meshplan::DType;
using meshplan::ReduceOp;
using Bytes = Board::Bytes;

/// One rank of a group; `name` tells groups apart.
struct Member {
  std::string name;
  int size = 0, rank = 0;
  std::atomic<bool> aborted = false;

  std::string place(const std::string& what, int ofRank) const {
    return name + what + "-" + std::to_string(ofRank);
  }
};

}  // namespace

struct ncclComm {
  std::shared_ptr<Member> member;  // null until the split that makes it is known
  std::shared_ptr<Member> parent;  // of that split
  std::string made;                // and its name
  uint64_t rounds = 0, splits = 0;
  std::map<int, uint64_t> sent, received;  // by peer
};

namespace {

struct State {
  std::unique_ptr<Board> board = openBoard();
  std::mutex mutex;  // guards all below
  std::set<ncclComm*> open;
  uint64_t ids = 0;
  std::string failing;  // empty: any call
  int failIn = 0;
  ncclResult_t failure = ncclSuccess, async = ncclSuccess;
  bool hangs = false;

  State();
};

// MESHPLAN_NCCL_STAND_IN_FAIL=2:30 fails the 30th call of the process that is rank 2.
State::State() {
  const char *wish = std::getenv("MESHPLAN_NCCL_STAND_IN_FAIL"),
             *rank = std::getenv("MESHPLAN_RANK");
  if (!wish || !rank || std::atoi(wish) != std::atoi(rank)) return;
  failIn = std::atoi(std::strchr(wish, ':') + 1);
  failure = ncclSystemError;
}

State& state() {
  static auto* const kept = new State;
  return *kept;
}

Board& board() {
  return *state().board;
}

thread_local int version = 0;

/// What a call returns before it does anything.
ncclResult_t entering(const char* call) {
  State& s = state();
  const std::lock_guard lock(s.mutex);
  const bool counts = s.failing.empty() || s.failing == call;
  if (s.failIn == 0 || !counts || --s.failIn > 0) return ncclSuccess;
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

std::byte* at(void* data, size_t offset) {
  return static_cast<std::byte*>(data) + offset;
}
const std::byte* at(const void* data, size_t offset) {
  return static_cast<const std::byte*>(data) + offset;
}

/// The name of a call; one that was captured has another each time it is repeated.
class Turn {
 public:
  Turn(const char* kind, uint64_t number) : name_(kind + std::to_string(number)) {}
  std::string name() const { return name_ + "." + std::to_string(times_); }
  void next() { ++times_; }

 private:
  const std::string name_;
  uint64_t times_ = 0;
};

bool allPosted(const Member& member, const std::string& what) {
  for (int r = 0; r < member.size; ++r)
    if (!board().has(member.place(what, r))) return false;
  return true;
}

/// What one rank makes of the inputs of all.
using Movement = std::function<void(const std::vector<Bytes>& in)>;

ncclResult_t collective(ncclComm_t comm, cudaStream_t stream, const void* in, size_t bytes,
                        const Movement& move) {
  const std::shared_ptr<Member> member = comm->member;
  const auto turn = std::make_shared<Turn>("round", comm->rounds++);
  const cudaError_t arrives = meshplan::emulation::enqueue(stream, [=] {
    board().post(member->place(turn->name(), member->rank), Bytes(at(in, 0), at(in, bytes)));
  });
  if (arrives != cudaSuccess) return resultOf(arrives);
  const auto ready = [=] { return member->aborted || allPosted(*member, turn->name()); };
  return resultOf(meshplan::emulation::enqueueWhen(stream, ready, [=] {
    if (member->aborted) return;
    std::vector<Bytes> all;
    for (int r = 0; r < member->size; ++r)
      all.push_back(board().read(member->place(turn->name(), r), member->size));
    move(all);
    turn->next();
  }));
}

/// `count` elements of all inputs, from `begin` on.
void reduce(const std::vector<Bytes>& in, size_t begin, void* out, size_t count,
            ncclDataType_t type, ncclRedOp_t op) {
  std::vector<const void*> parts;
  for (const Bytes& part : in) parts.push_back(part.data() + begin * bytesOf(type));
  meshplan::reduceInOrder(parts, {&out, 1}, static_cast<int64_t>(count), dtypeOf(type),
                          op == ncclMax ? ReduceOp::max : ReduceOp::sum);
}

void join(const Member& member) {
  board().post(member.place("joined", member.rank), {});
}

struct Wish {
  int colour, key;
};

/// Whether all ranks have called this split; then `made` finds its group.
bool finishSplit(ncclComm& made) {
  const Member& parent = *made.parent;
  if (!allPosted(parent, made.made)) return false;
  std::vector<Wish> wishes(static_cast<size_t>(parent.size));
  for (int r = 0; r < parent.size; ++r) {
    const Bytes bytes = board().read(parent.place(made.made, r), INT_MAX);
    std::memcpy(&wishes[static_cast<size_t>(r)], bytes.data(), bytes.size());
  }
  const auto [colour, key] = wishes[static_cast<size_t>(parent.rank)];
  auto member = std::make_shared<Member>();
  member->name = parent.name + made.made + "c" + std::to_string(colour);
  for (int r = 0; r < parent.size; ++r) {
    const auto [otherColour, otherKey] = wishes[static_cast<size_t>(r)];
    if (otherColour != colour) continue;
    ++member->size;
    member->rank += std::pair(otherKey, r) < std::pair(key, parent.rank);
  }
  join(*member);
  made.member = std::move(member);
  made.parent = nullptr;
  made.made.clear();
  return true;
}

void close(ncclComm_t comm, bool aborts) {
  const std::lock_guard lock(state().mutex);
  if (comm->member && aborts) comm->member->aborted = true;
  state().open.erase(comm);
  delete comm;
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
  const char* ofProcess = std::getenv("MESHPLAN_NCCL_STAND_IN_VERSION");
  *told = version ? version : ofProcess ? std::atoi(ofProcess) : 23004;
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
  const std::string text =
      "world" + std::to_string(getpid()) + "." + std::to_string(++state().ids) + "-";
  std::memcpy(id->internal, text.data(), text.size());
  return ncclSuccess;
}

ncclResult_t ncclCommInitRankConfig(ncclComm_t* comm, int ranks, ncclUniqueId id, int rank,
                                    ncclConfig_t* config) {
  MESHPLAN_ENTER("ncclCommInitRankConfig");
  if (config->magic != 0xcafebeef || config->blocking != 0) return ncclInvalidArgument;
  if (rank < 0 || rank >= ranks) return ncclInvalidArgument;
  auto member = std::make_shared<Member>();
  member->name = id.internal;
  member->size = ranks;
  member->rank = rank;
  if (board().has(member->place("joined", rank))) return ncclInvalidArgument;
  join(*member);
  const std::lock_guard lock(state().mutex);
  auto* made = new ncclComm;
  made->member = std::move(member);
  state().open.insert(made);
  *comm = made;
  return ncclInProgress;
}

ncclResult_t ncclCommSplit(ncclComm_t comm, int colour, int key, ncclComm_t* part,
                           ncclConfig_t* config) {
  MESHPLAN_ENTER("ncclCommSplit");
  if (colour < NCCL_SPLIT_NOCOLOR || config->blocking != 0) return ncclInvalidArgument;
  const std::lock_guard lock(state().mutex);
  comm->made = "split" + std::to_string(comm->splits++);
  const Wish wish{colour, key};
  const auto* bytes = reinterpret_cast<const std::byte*>(&wish);
  board().post(comm->member->place(comm->made, comm->member->rank),
               Bytes(bytes, bytes + sizeof wish));
  *part = nullptr;
  if (colour == NCCL_SPLIT_NOCOLOR) return ncclInProgress;
  auto* made = new ncclComm;
  made->parent = comm->member;
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
  const bool ready = (!comm->parent || finishSplit(*comm)) && allPosted(*comm->member, "joined") &&
                     (comm->made.empty() || allPosted(*comm->member, comm->made));
  if (!ready) *told = ncclInProgress;
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
  return collective(comm, stream, in, count * bytesOf(type),
                    [=](const std::vector<Bytes>& all) { reduce(all, 0, out, count, type, op); });
}

ncclResult_t ncclReduceScatter(const void* in, void* out, size_t count, ncclDataType_t type,
                               ncclRedOp_t op, ncclComm_t comm, cudaStream_t stream) {
  MESHPLAN_ENTER("ncclReduceScatter");
  const auto size = static_cast<size_t>(comm->member->size),
             rank = static_cast<size_t>(comm->member->rank);
  return collective(
      comm, stream, in, size * count * bytesOf(type),
      [=](const std::vector<Bytes>& all) { reduce(all, rank * count, out, count, type, op); });
}

ncclResult_t ncclAllGather(const void* in, void* out, size_t count, ncclDataType_t type,
                           ncclComm_t comm, cudaStream_t stream) {
  MESHPLAN_ENTER("ncclAllGather");
  const size_t bytes = count * bytesOf(type);
  return collective(comm, stream, in, bytes, [=](const std::vector<Bytes>& all) {
    for (size_t r = 0; r < all.size(); ++r) std::memcpy(at(out, r * bytes), all[r].data(), bytes);
  });
}

ncclResult_t ncclBroadcast(const void* in, void* out, size_t count, ncclDataType_t type, int root,
                           ncclComm_t comm, cudaStream_t stream) {
  MESHPLAN_ENTER("ncclBroadcast");
  const size_t bytes = count * bytesOf(type);
  return collective(comm, stream, in, bytes, [=](const std::vector<Bytes>& all) {
    std::memcpy(out, all[static_cast<size_t>(root)].data(), bytes);
  });
}

ncclResult_t ncclSend(const void* data, size_t count, ncclDataType_t type, int to, ncclComm_t comm,
                      cudaStream_t stream) {
  MESHPLAN_ENTER("ncclSend");
  if (to == comm->member->rank) return ncclInvalidUsage;
  const std::shared_ptr<Member> member = comm->member;
  const std::string path = "from" + std::to_string(member->rank) + "to" + std::to_string(to) + "-";
  const auto turn = std::make_shared<Turn>(path.c_str(), comm->sent[to]++);
  const size_t bytes = count * bytesOf(type);
  return resultOf(meshplan::emulation::enqueue(stream, [=] {
    board().post(member->name + turn->name(), Bytes(at(data, 0), at(data, bytes)));
    turn->next();
  }));
}

ncclResult_t ncclRecv(void* data, size_t count, ncclDataType_t type, int from, ncclComm_t comm,
                      cudaStream_t stream) {
  MESHPLAN_ENTER("ncclRecv");
  if (from == comm->member->rank) return ncclInvalidUsage;
  const std::shared_ptr<Member> member = comm->member;
  const std::string path =
      "from" + std::to_string(from) + "to" + std::to_string(member->rank) + "-";
  const auto turn = std::make_shared<Turn>(path.c_str(), comm->received[from]++);
  const size_t bytes = count * bytesOf(type);
  const auto ready = [=] { return member->aborted || board().has(member->name + turn->name()); };
  return resultOf(meshplan::emulation::enqueueWhen(stream, ready, [=] {
    if (member->aborted) return;
    const Bytes message = board().read(member->name + turn->name(), 1);
    std::memcpy(data, message.data(), std::min(bytes, message.size()));
    turn->next();
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
